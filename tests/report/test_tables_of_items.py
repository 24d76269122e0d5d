"""Each table and figure from a small hand-made set of scores, with known answers."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from weaklesion.errors import DataError
from weaklesion.report.figures.arms import plot_cost
from weaklesion.report.figures.sweep import plot_sweep
from weaklesion.report.tables.accuracy import tabulate_accuracy
from weaklesion.report.tables.answers import tabulate_answers
from weaklesion.report.tables.attribution import tabulate_attribution
from weaklesion.report.tables.cost import tabulate_cost
from weaklesion.report.tables.parameters import tabulate_parameters
from weaklesion.report.tables.policies import tabulate_policies
from weaklesion.report.tables.sweep import tabulate_sweep
from weaklesion.study.published import printed_cells, printed_choice, printed_gain, read_published
from weaklesion.support.yaml_files import read_yaml

POLICY = "worst_possible"
PROTOCOL = {
    "undefined": POLICY,
    "published_as": {
        "IoU": "iou",
        "Dice": "dice",
        "VS": "volumetric_similarity",
        "CenterError": "center_error",
        "PerimeterError": "perimeter_error",
        "AVD": "hausdorff",
    },
}


def test_published_tables_are_found_by_dataset_arm_and_column(published):
    numbers = read_published(published)
    arms = {"a1": "A1", "a1l": "A1_L", "acoseg": "ACoseg"}
    table1 = printed_cells(numbers, "table1", arms)
    assert len(table1) == 3 * 3 * 6
    assert table1[("HAM10K", "a1l", "Dice")] == (
        numbers["table1"]["HAM10K"]["A1_L"]["Dice"]["mean"],
        numbers["table1"]["HAM10K"]["A1_L"]["Dice"]["std"],
    )
    table3 = printed_cells(numbers, "table3", arms)
    assert len(table3) == 4 * 4
    shown = numbers["table3_NIH_DeepLesion_supervision"]
    assert table3[("NIH_DeepLesion", "a1_grabcut", "Dice")][0] == shown["A1_GrabCut"]["Dice"]
    perimeter = table3[("NIH_DeepLesion", "a1l", "PerimeterError")]
    assert perimeter[0] == shown["A1_L_Ellipse"]["CircumfError"]
    assert math.isnan(perimeter[1])
    table6 = printed_cells(numbers, "table6", arms)
    full = numbers["table6_supervision_dice"]["HAM10K"]["FullySupervised"]
    assert table6[("HAM10K", "a1l_dense", "Dice")][0] == full
    assert len(table6) == 9
    table7 = printed_cells(numbers, "table7", arms)
    assert table7[("LiTS", "unet", "Dice")][0] == numbers["table7_backbone_dice"]["LiTS"]["UNet"]
    assert printed_cells(numbers, "controls", arms) == {}


def costs(runs, published, folder, **choices):
    """The table of costs, by arm."""
    tabulate_cost(
        runs=runs,
        **{"undefined": {"p": POLICY}} | choices,
        published_yaml=published,
        published_datasets={"ham10k": "HAM10K"},
        title="Table 2",
        table_csv=folder / "t.csv",
        table_html=folder / "t.html",
    )
    return pd.read_csv(folder / "t.csv").set_index("arm")


def test_cost_with_known_answers(make_run, published, tmp_path):
    runs = [
        make_run("a1l", 1, [0.8, 1.0], hours=1.0),
        make_run("a1l", 2, [0.6, 0.8], hours=2.0),
        make_run("acoseg", 1, [0.5, 0.5], hours=6.0),
        make_run("acoseg", 2, [0.5, 0.5], hours=6.0),
    ]
    table = costs(runs, published, tmp_path)
    ours = table.loc["a1l"]
    assert (ours["hours"], ours["n_seeds"], ours["epochs"]) == (1.5, 2, 15)
    assert ours["hours_std"] == pytest.approx(math.sqrt(0.5), rel=1e-5)
    assert ours["saved_percent"] == pytest.approx(75)
    assert ours["dice"] == pytest.approx(80)
    assert ours["peak_gpu_gib"] == 2
    numbers = read_published(published)["table2_training_gpu_hours"]["HAM10K"]
    assert ours["published_hours"] == numbers["A1_L"]
    assert ours["published_saved_percent"] == -numbers["pct"]
    assert table.loc["acoseg", "published_hours"] == numbers["ACoseg"]
    assert table.loc["acoseg", "saved_percent"] == 0
    assert "one GPU, 1 thread" in (tmp_path / "t.html").read_text()
    plot_cost(
        table_csv=tmp_path / "t.csv",
        all_arms=["a1l", "acoseg"],
        title="Table 2",
        figures=[tmp_path / "f.svg", tmp_path / "f.png"],
    )
    assert "acoseg (15 epochs)" in (tmp_path / "f.svg").read_text()


def test_the_dice_of_costs_is_that_of_the_scores(make_run, published, tmp_path):
    run = make_run("a1", 1, [0.9, 0.9, 0.9, 0.0], groups=["a", "a", "a", "b"])
    table = pd.read_csv(run["scores"])
    table.loc[table["id"] == "s3", "status"] = "empty_prediction"
    table.to_csv(run["scores"], index=False)
    found = {
        (policy, unit): costs([run], published, tmp_path, undefined={"p": policy}, unit=unit)[
            "dice"
        ]
        for policy in ("worst_possible", "stated")
        for unit in ("sample", "group")
    }
    assert found["worst_possible", "sample"]["a1"] == pytest.approx(67.5)
    assert found["worst_possible", "group"]["a1"] == pytest.approx((90 + 0) / 2)
    assert found["stated", "sample"]["a1"] == pytest.approx(90)  # the worst of the others


def test_time_is_saved_against_the_same_device_only(make_run, published, tmp_path):
    runs = [
        make_run("a1l", 1, [0.8, 1.0], hours=1.0),
        make_run("acoseg", 1, [0.5, 0.5], hours=20.0),
    ]
    info = json.loads(runs[1]["run"].read_text()) | {"device": "cpu"}
    runs[1]["run"].write_text(json.dumps(info))
    saved = costs(runs, published, tmp_path)["saved_percent"]
    assert math.isnan(saved["a1l"])
    assert saved["acoseg"] == 0


def test_accuracy_with_known_answers(published, tmp_path):
    runs = []
    for seed, accuracy in ((1, 0.4), (2, 0.6)):
        path = tmp_path / f"{seed}.json"
        splits = {
            split: {"accuracy": accuracy, "majority": 0.1, "num_samples": 10}
            for split in ("train", "val", "test")
        }
        path.write_text(json.dumps({"num_classes": 40, **splits}))
        runs.append({"dataset": "lits", "protocol": "p", "arm": "a1l", "seed": seed,
                     "network": "resnet101", "accuracy": path})  # fmt: skip
    tabulate_accuracy(
        runs=runs,
        published_yaml=published,
        published_datasets={"lits": "LiTS"},
        title="Table 8",
        table_csv=tmp_path / "t.csv",
        table_html=tmp_path / "t.html",
    )
    test = pd.read_csv(tmp_path / "t.csv").set_index("split").loc["test"]
    assert test["accuracy"] == pytest.approx(50)
    assert test["std"] == pytest.approx(100 * math.sqrt(0.02), rel=1e-5)
    assert (test["majority"], test["chance"], test["n_seeds"]) == (10, 2.5, 2)
    printed = read_published(published)["table8_classification_accuracy_percent"]["LiTS"]["test"]
    assert test["published"] == printed


def drawing_of_sweep(folder):
    """The figure of the table of a sweep over K, t.csv."""
    plot_sweep(
        table_csv=folder / "t.csv",
        over="k",
        own={"ham10k": {"p": 45}},
        title="Figure 2",
        figures=[folder / "f.svg", folder / "f.png"],
    )
    return (folder / "f.svg").read_text()


def test_sweep_with_known_answers(make_run, published, tmp_path):
    """Three values of K: the test set chooses 45, validation 20 by its Dice and 5 by its loss."""
    made = {"a1l~k5": (0.7, (0.1, 0.80)), "a1l~k20": (0.75, (0.2, 0.90)), "a1l": (0.8, (0.3, 0.85))}
    runs = [
        make_run(arm, seed, [dice, dice], val=(val[0], val[1] + shift))
        for arm, (dice, val) in made.items()
        for seed, shift in ((1, -0.01), (2, 0.01))
    ]
    points = [
        {"dataset": "ham10k", "protocol": "p", "arm": "a1l", "value": 45},
        {"dataset": "ham10k", "protocol": "p", "arm": "a1l~k5", "value": 5},
        {"dataset": "ham10k", "protocol": "p", "arm": "a1l~k20", "value": 20},
    ]
    given = {
        "points": points,
        "over": "k",
        "undefined": {"p": POLICY},
        "published_yaml": published,
        "published_datasets": {"ham10k": "HAM10K"},
        "table_csv": tmp_path / "t.csv",
    }
    tabulate_sweep(runs=runs, **given)
    table = pd.read_csv(tmp_path / "t.csv").set_index("k")
    assert table["mean"].to_dict() == pytest.approx({5: 70, 20: 75, 45: 80})
    assert table["n_seeds"].tolist() == [2, 2, 2]
    # of the kept epoch, not of the last or the best
    assert table["val_loss"].to_dict() == pytest.approx({5: 0.1, 20: 0.2, 45: 0.3})
    assert table["val_dice"].to_dict() == pytest.approx({5: 80, 20: 90, 45: 85})
    assert table["val_dice_std"].to_numpy() == pytest.approx(math.sqrt(2), rel=1e-5)
    for chooser, value in (("validation_loss", 5), ("validation_dice", 20), ("test", 45)):
        assert table.index[table[f"chosen_by_{chooser}"]].tolist() == [value]
    assert (table["paper_value"] == 45).all()
    drawn = drawing_of_sweep(tmp_path)
    assert "Number of clusters K" in drawn
    assert "chosen by validation: 5 (loss), 20 (Dice)" in drawn
    assert "by test: 45 (+10.00 points against 5); by the paper: 45" in drawn
    assert "2 seeds; band: 95 % interval" in drawn
    tabulate_sweep(runs=[run for run in runs if run["seed"] == 1], **given)
    drawn = drawing_of_sweep(tmp_path)
    assert "1 seed; no interval: one seed" in drawn
    with pytest.raises(DataError, match="missing"):
        tabulate_sweep(runs=[runs[0] | {"seed": 3}, *runs[1:]], **given)
    told = json.loads(runs[0]["run"].read_text()) | {"kept_epoch": 3}
    runs[0]["run"].write_text(json.dumps(told))
    with pytest.raises(DataError, match="epoch 3, whose network was kept, is not in it"):
        tabulate_sweep(runs=runs, **given)


def test_a_sweep_whose_networks_find_nothing_chooses_no_value(make_run, published, tmp_path):
    runs = [make_run(arm, 1, [0.0, 0.0]) for arm in ("a1l", "a1l~k5")]
    for run in runs:
        pd.read_csv(run["scores"]).assign(status="empty_prediction").to_csv(
            run["scores"], index=False
        )
    point = {"dataset": "ham10k", "protocol": "p"}
    tabulate_sweep(
        runs=runs,
        points=[point | {"arm": "a1l", "value": 45}, point | {"arm": "a1l~k5", "value": 5}],
        over="k",
        undefined={"p": "stated"},  # the worst of the values that are defined
        published_yaml=published,
        published_datasets={"ham10k": "HAM10K"},
        table_csv=tmp_path / "t.csv",
    )
    table = pd.read_csv(tmp_path / "t.csv")
    assert table["mean"].isna().all()
    assert not table["chosen_by_test"].any()
    drawn = drawing_of_sweep(tmp_path)
    assert "no test Dice is defined" in drawn


def test_a_setting_that_the_paper_did_not_choose(published):
    numbers = read_published(published)
    assert printed_choice(numbers, "k", "LiTS") == numbers["K_opt"]["LiTS"]
    assert printed_choice(numbers, "alpha", "HAM10K") == 50
    assert math.isnan(printed_choice(numbers, "samples", "HAM10K"))
    assert math.isnan(printed_choice(numbers, "alpha", "LiTS_liver"))


def test_attribution_with_known_answers(make_run, tmp_path):
    rng = np.random.default_rng(0)
    base = rng.uniform(0.5, 0.7, 30)
    apart = np.tile([-0.001, 0.001], 15)  # else all images had the same difference
    runs = []
    for seed in (1, 2):
        runs += [
            make_run("a1", seed, base, protocol="c"),
            make_run("a1l", seed, base + 0.01, protocol="c"),
            make_run("a1", seed, base - 0.05 + apart, protocol="c~G18"),
            make_run("a1l", seed, base + 0.01, protocol="c~G18"),
            make_run("a1", seed, base + 0.2, protocol="c~S1", ids="other"),
            make_run("a1l", seed, base + 0.2, protocol="c~S1", ids="other"),
            make_run("a1l", seed, base + 0.03, protocol="c~T1"),
        ]
    flips = [
        {"dataset": "ham10k", "base": "c", "switch": "G18", "a1": "c~G18", "a1l": "c~G18"},
        {"dataset": "ham10k", "base": "c", "switch": "S1", "a1": "c~S1", "a1l": "c~S1"},
        {"dataset": "ham10k", "base": "c", "switch": "T1", "a1": "c", "a1l": "c~T1"},
    ]
    tabulate_attribution(
        runs=runs,
        flips=flips,
        undefined={"c": POLICY},
        arms=["a1l", "a1"],
        baseline="a1",
        title="Attribution",
        table_csv=tmp_path / "t.csv",
        table_html=tmp_path / "t.html",
    )
    table = pd.read_csv(tmp_path / "t.csv")
    table = table[table["metric"] == "dice"].set_index(["switch", "quantity"])
    found = table["difference"]
    assert found["G18", "a1"] == pytest.approx(-5)
    assert found["G18", "a1l"] == pytest.approx(0, abs=1e-6)
    assert found["G18", "gain"] == pytest.approx(5)
    # other test samples: means of both, with a wide interval
    assert found["S1", "a1"] == pytest.approx(20)
    assert found["S1", "gain"] == pytest.approx(-1)
    assert not table.loc[("S1", "a1"), "paired"]
    assert table.loc[("S1", "a1"), "ci_low"] < 19 < 21 < table.loc[("S1", "a1"), "ci_high"]
    # an arm that the switch does not change keeps its runs
    assert found["T1", "a1"] == 0
    assert found["T1", "gain"] == pytest.approx(2)
    assert table.loc[("T1", "a1"), "unknown"] == "the same runs"
    assert math.isnan(table.loc[("T1", "a1"), "p_holm"])
    page = (tmp_path / "t.html").read_text()
    assert "other test samples" in page
    # bold is what passes the corrected test, and nothing else
    assert "<strong>-5.00</strong>" in page
    assert page.count("<strong>") == (pd.read_csv(tmp_path / "t.csv")["p_holm"] < 0.05).sum()


def test_attribution_does_not_depend_on_the_order_of_its_arms(make_run, tmp_path):
    base = np.random.default_rng(0).uniform(0.5, 0.7, 30)
    runs = [
        make_run(arm, seed, base + gain + 0.001 * seed, protocol=protocol)
        for seed in (1, 2)
        for protocol, arm, gain in (
            ("c", "a1", 0), ("c", "a1l", 0.01), ("c~T1", "a1", 0), ("c~T1", "a1l", 0.03)
        )
    ]  # fmt: skip
    flips = [{"dataset": "ham10k", "base": "c", "switch": "T1", "a1": "c~T1", "a1l": "c~T1"}]
    tables = []
    for arms in (["a1", "a1l"], ["a1l", "a1"]):
        tabulate_attribution(
            runs=runs,
            flips=flips,
            undefined={"c": POLICY},
            arms=arms,
            baseline="a1",
            title="Attribution",
            table_csv=tmp_path / "t.csv",
            table_html=tmp_path / "t.html",
        )
        tables.append((tmp_path / "t.csv").read_text())
    assert tables[0] == tables[1]


@pytest.mark.workflow
def test_attribution_calls_chance_decided_as_seldom_as_it_says(make_run, tmp_path):
    """Seeds differ as much as they like and switches do nothing: little may be bold."""
    rng = np.random.default_rng(5)
    runs, flips = [], []
    for number in range(12):
        name = f"d{number}"
        flips.append({"dataset": name, "base": "c", "switch": "S", "a1": "c~S", "a1l": "c~S"})
        for seed in (1, 2, 3):
            base = rng.uniform(0.5, 0.7, 30)
            runs += [
                make_run(arm, seed, base + rng.normal(0, 0.03), dataset=name, protocol=protocol)
                for arm in ("a1", "a1l")
                for protocol in ("c", "c~S")
            ]
    tabulate_attribution(
        runs=runs,
        flips=flips,
        undefined={"c": POLICY},
        arms=["a1", "a1l"],
        baseline="a1",
        title="Attribution",
        table_csv=tmp_path / "t.csv",
        table_html=tmp_path / "t.html",
    )
    table = pd.read_csv(tmp_path / "t.csv")
    dice = table[table["metric"] == "dice"]
    excluded_zero = (dice["ci_low"] > 0) | (dice["ci_high"] < 0)
    assert excluded_zero.mean() <= 0.15  # 36 tests, two of three dependent
    assert not (table["p_holm"] < 0.05).any()


def test_parameters_with_known_answers(make_run, published, tmp_path):
    sizes = read_published(published)["section_7_6_parameter_counts"]
    runs = [make_run("a1", seed, [0.5], parameters=sizes["A1"] + 7) for seed in (1, 2)]
    runs.append(make_run("a1l", 1, [0.5], classes=45, parameters=sizes["A1_L"]["HAM10K"]))
    runs.append(make_run("unet", 1, [0.5], dataset="mine", parameters=5))
    given = {
        "published_yaml": published,
        "published_datasets": {"ham10k": "HAM10K"},
        "title": "Parameters",
        "table_csv": tmp_path / "t.csv",
        "table_html": tmp_path / "t.html",
    }
    tabulate_parameters(runs=runs, **given)
    table = pd.read_csv(tmp_path / "t.csv").set_index("arm")
    assert table["difference"].to_dict() == pytest.approx(
        {"a1": 7, "a1l": 0, "unet": math.nan}, nan_ok=True
    )
    assert table.loc["a1l", ["num_classes", "published"]].tolist() == [45, sizes["A1_L"]["HAM10K"]]
    assert "<td>45761918</td>" in (tmp_path / "t.html").read_text()
    runs.append(make_run("a1", 3, [0.5], parameters=8))
    with pytest.raises(DataError, match="different sizes"):
        tabulate_parameters(runs=runs, **given)


def test_published_file_has_no_other_tables_of_scores(published):
    content = read_yaml(published)
    tables = {key for key in content if key.startswith("table")}
    assert len(tables) == 8


def test_published_tables_of_the_other_papers(published):
    numbers = read_published(published)
    table = printed_cells(numbers, "agarwal_table2", {})
    assert table[("NIH_DeepLesion", "coseg_mg_d2", "Dice")] == (90.3, 9.0)
    assert printed_cells(numbers, "cmu_table1", {})[("LiTS_liver", "cmu_net", "Hausdorff")] == (
        12.2134,
        4.2547,
    )
    # Agarwal et al.'s Table 1 has a CRF: its last row is Table 2's (docs/reference/audit.md, B8)
    first = printed_cells(numbers, "agarwal_table1", {})
    for column in ("Recall", "Precision", "Dice", "AVD", "VS"):
        place = ("NIH_DeepLesion", "coseg_mg_d1_crf", column)
        assert first[place] == table[place]
    for place, gain in {
        ("HAM10K", "a1l", "a1", "dice"): 0.53,
        ("HAM10K", "a1l", "a1", "hausdorff"): 9.73 - 10.23,
        ("NIH_DeepLesion", "coseg_d1_crf", "fcn32", "dice"): 0.5,
        ("LiTS_liver", "cmu_net", "cmu_unet", "dice"): 4.17,
        ("LiTS_liver", "cmu_net", "cmu_unet", "hausdorff"): 12.2134 - 15.7667,
    }.items():
        assert printed_gain(numbers, *place) == pytest.approx(gain)
    assert math.isnan(printed_gain(numbers, "LiTS", "cmu_net", "cmu_unet", "dice"))
    assert set(numbers["not_comparable"]) <= set(numbers["other_papers"])


def test_answers_with_known_gains(make_run, published, tmp_path):
    wobble = np.linspace(-0.01, 0.01, 40)
    runs = []
    for seed in (1, 2, 3):
        runs += [
            make_run("a1", seed, 0.6 + wobble),
            make_run("a1l", seed, 0.65 + 0.001 * seed + wobble[::-1]),
            make_run("cmu_unet", seed, 0.7 + wobble, dataset="liver"),
            make_run("cmu_net", seed, 0.7 + wobble, dataset="liver"),
        ]
    pair = {"paper": "P", "task": "t", "protocol": "p"}
    tabulate_answers(
        runs=runs,
        trained=[],
        pairs=[
            pair | {"arm": "a1l", "baseline": "a1", "dataset": "ham10k"},
            pair | {"arm": "cmu_net", "baseline": "cmu_unet", "dataset": "liver"},
        ],
        undefined={"p": POLICY},
        published_yaml=published,
        published_datasets={"ham10k": "HAM10K", "liver": "LiTS_liver"},
        title="Answers",
        table_csv=tmp_path / "answers.csv",
        table_html=tmp_path / "answers.html",
    )
    table = pd.read_csv(tmp_path / "answers.csv").set_index(["dataset", "metric"])
    ham, liver = table.loc[("ham10k", "dice")], table.loc[("liver", "dice")]
    assert ham["gain"] == pytest.approx(5.2)
    assert (ham["answer"], liver["answer"]) == ("better", "undecided")
    assert liver["gain"] == pytest.approx(0)
    assert (ham["published_gain"], liver["published_gain"]) == (
        pytest.approx(0.53),
        pytest.approx(4.17),
    )
    assert (ham["n_seeds"], ham["n_groups"]) == (3, 40)
    page = (tmp_path / "answers.html").read_text()
    assert "+5.20" in page
    assert "undecided" in page


def test_answers_per_sample_and_per_group(make_run, published, tmp_path):
    groups = ["large"] * 3 + ["small"]  # 0.1 better on three samples, 0.3 worse on the fourth
    runs = [
        make_run(arm, seed, dice, groups=groups)
        for seed in (1, 2)
        for arm, dice in (("a1", [0.5] * 4), ("a1l", [0.6, 0.6, 0.6, 0.2]))
    ]
    pair = {"paper": "P", "task": "t", "protocol": "p", "dataset": "ham10k"}
    gains = {}
    for unit in ("sample", "group"):
        tabulate_answers(
            runs=runs,
            trained=[],
            pairs=[pair | {"arm": "a1l", "baseline": "a1"}],
            undefined={"p": POLICY},
            published_yaml=published,
            published_datasets={"ham10k": "HAM10K"},
            title="Answers",
            unit=unit,
            table_csv=tmp_path / f"{unit}.csv",
            table_html=tmp_path / f"{unit}.html",
        )
        row = pd.read_csv(tmp_path / f"{unit}.csv").set_index("metric").loc["dice"]
        assert (row["unit"], row["n_groups"]) == (unit, 2)
        gains[unit] = row["gain"]
        said = "Each group counts once" in (tmp_path / f"{unit}.html").read_text()
        assert said == (unit == "group")
    assert gains == {"sample": pytest.approx(0), "group": pytest.approx(-10)}


def test_answers_per_group_are_over_the_samples_that_both_arms_have(make_run, published, tmp_path):
    nothing = [0.9, math.nan, 0.9, math.nan]
    runs = [
        make_run(arm, seed, dice, groups=["a", "a", "b", "b"])
        for seed in (1, 2)
        for arm, dice in (("a1", [0.9, 0.3, 0.9, 0.3]), ("a1l", nothing))
    ]
    pair = {"paper": "P", "task": "t", "protocol": "p", "dataset": "ham10k"}
    tabulate_answers(
        runs=runs,
        trained=[],
        pairs=[pair | {"arm": "a1l", "baseline": "a1"}],
        undefined={"p": "exclude"},
        published_yaml=published,
        published_datasets={"ham10k": "HAM10K"},
        title="Answers",
        unit="group",
        table_csv=tmp_path / "t.csv",
        table_html=tmp_path / "t.html",
    )
    dice = pd.read_csv(tmp_path / "t.csv").set_index("metric").loc["dice"]
    assert (dice["gain"], dice["answer"]) == (0, "undecided")


def test_arms_that_were_not_trained_equally_long_have_no_gain(make_run, published, tmp_path):
    dice = np.linspace(0.5, 0.6, 40)
    about_20 = np.linspace(0.19, 0.21, 40)
    runs = [
        make_run(arm, seed, dice + better + 0.001 * seed, epochs=epochs)
        for seed in (1, 2, 3)
        for arm, better, epochs in (("a1", 0.0, 2), ("a1l", 0.1, 24), ("acoseg", about_20, 2))
    ]
    pair = {"paper": "P", "task": "t", "protocol": "p", "dataset": "ham10k", "baseline": "a1"}
    files = {"table_csv": tmp_path / "t.csv", "table_html": tmp_path / "t.html"}
    tabulate_answers(
        runs=runs,
        trained=runs,
        pairs=[pair | {"arm": "a1l"}, pair | {"arm": "acoseg"}],
        undefined={"p": POLICY},
        published_yaml=published,
        published_datasets={},
        title="Answers",
        **files,
    )
    table = pd.read_csv(files["table_csv"]).set_index(["arm", "metric"])
    longer, equal = table.loc[("a1l", "dice")], table.loc[("acoseg", "dice")]
    assert (longer["answer"], equal["answer"]) == ("undecided", "better")
    assert longer[["gain", "ci_low", "p_value", "p_holm"]].isna().all()
    assert longer["unknown"] == "not trained equally long"
    assert equal["gain"] == pytest.approx(20)
    assert "not trained equally long" in files["table_html"].read_text()
    tabulate_policies(runs=runs, trained=runs, baseline="a1", title="Policies", **files)
    table = pd.read_csv(files["table_csv"]).set_index(["policy", "arm", "metric"])["gain"]
    gains = table.xs("dice", level="metric")
    assert gains.xs("a1l", level="arm").isna().all()
    assert gains.xs("acoseg", level="arm").to_list() == pytest.approx([20] * 4)


def test_policies_with_known_answers(make_run, tmp_path):
    """Three images: found, wrongly left empty, rightly left empty."""
    runs = [make_run("cmu_unet", 1, [0.8, 0.0, np.nan]), make_run("cmu_net", 1, [0.9, 0.0, np.nan])]
    for run in runs:
        table = pd.read_csv(run["scores"])
        table.loc[table["id"] == "s1", "status"] = "empty_prediction"
        table.loc[table["id"] == "s2", "status"] = "both_empty"
        distances = table["metric"] == "hausdorff"
        table.loc[distances, "value"] = table.loc[distances, "id"].map(
            {"s0": 10.0, "s1": np.nan, "s2": np.nan}
        )
        table.to_csv(run["scores"], index=False)
    tabulate_policies(
        runs=runs,
        trained=[],
        baseline="cmu_unet",
        title="Policies",
        table_csv=tmp_path / "policies.csv",
        table_html=tmp_path / "policies.html",
    )
    table = pd.read_csv(tmp_path / "policies.csv").set_index(["policy", "arm", "metric"])
    of_arm = table["mean"].xs("cmu_unet", level="arm")
    assert of_arm.xs("dice", level="metric").round(3).to_dict() == {
        "correct_empty": 60,
        "with_reference": 40,
        "exclude": 40,
        "worst_possible": 26.667,
    }
    assert of_arm.xs("hausdorff", level="metric").round(3).to_dict() == {
        "correct_empty": 36.667,
        "with_reference": 55,
        "exclude": 10,
        "worst_possible": 70,
    }
    counted = table["n_counted"].xs(("cmu_unet", "hausdorff"), level=("arm", "metric"))
    assert counted.to_dict() == {
        "correct_empty": 3, "with_reference": 2, "exclude": 1, "worst_possible": 3
    }  # fmt: skip
    gains = table["gain"].xs(("cmu_net", "dice"), level=("arm", "metric"))
    assert gains["with_reference"] == pytest.approx(5)
    page = (tmp_path / "policies.html").read_text()
    assert "correct_empty" in page
    assert "no interval: one seed" in page
    assert "nan" not in page
