import json
import math

import pandas as pd
import pytest
import yaml

from weaklesion.errors import DataError
from weaklesion.metric_names import IN_MM
from weaklesion.report.tables.cells import direction
from weaklesion.report.tables.definitions import DEFINITIONS, tabulate_definitions
from weaklesion.report.tables.run_scores import read_scores
from weaklesion.report.tables.score_blocks import EXTRA_METRICS
from weaklesion.report.tables.scores import TABLE1_COLUMNS, tabulate_scores
from weaklesion.scoring.catalogue import MEASURES, measure_of
from weaklesion.support.yaml_files import read_yaml

PUBLISHED = {
    "other_papers": {},
    "not_comparable": [],
    "table1": {
        "HAM10K": {
            "A1": {"Dice": {"mean": 90.01, "std": 0.09}, "AVD": {"mean": 10.23, "std": 0.17}}
        }
    },
}
PROTOCOLS = {
    "p": {"undefined": "worst_possible", "published_as": {"Dice": "dice", "AVD": "hausdorff"}}
}
DIAGONAL = 120 * math.sqrt(2)


def write_scores(folder, arm, seed, dice, hausdorff):
    run = {"dataset": "ham10k", "protocol": "p", "arm": arm, "seed": seed}
    rows = []
    for i in range(4):
        for metric, measure in MEASURES.items():
            value = {"dice": dice[i], "hausdorff": hausdorff[i]}.get(metric, 0.5)
            rows.append(
                {
                    **run,
                    "id": f"s{i}",
                    "group": f"g{i}",
                    "metric": metric,
                    "value": value,
                    "status": "ok" if hausdorff[i] == hausdorff[i] else "empty_prediction",
                    "worst": 0.0 if measure.larger_is_better else DIAGONAL,
                }
            )
    path = folder / f"{arm}-{seed}.csv"
    pd.DataFrame(rows).to_csv(path, index=False)
    network = "no network" if arm == "ellipse" else "resnet18, from scratch"
    return path, run | {"network": network}


@pytest.fixture
def scored(tmp_path):
    nan = math.nan
    return [
        write_scores(tmp_path, "ellipse", 0, [0.9, 0.9, 0.9, 0.9], [1, 1, 1, 1]),
        write_scores(tmp_path, "a1", 1, [0.8, 0.9, 0.9, 1.0], [4, 4, 4, 4]),
        write_scores(tmp_path, "a1", 2, [0.6, 0.8, 0.8, 0.0], [6, 6, 6, nan]),
    ]


def tabulate(scored, folder, expected=None, **more):
    (folder / "published.yaml").write_text(yaml.safe_dump(PUBLISHED))
    tabulate_scores(
        item="table1",
        scores_csvs=[path for path, _ in scored],
        expected=expected or [run for _, run in scored],
        published_yaml=folder / "published.yaml",
        published_datasets={"ham10k": "HAM10K"},
        published_arms={"a1": "A1"},
        protocols=more.pop("protocols", PROTOCOLS),
        baseline="a1",
        columns=["Dice", "AVD"],
        title="Table 1",
        references={"ham10k": "dense"},
        sources={"ham10k": "dataverse"},
        table_csv=folder / "table1.csv",
        table_html=folder / "table1.html",
        **more,
    )
    return pd.read_csv(folder / "table1.csv").set_index(["arm", "metric"])


def test_cells_with_known_answers(scored, tmp_path):
    table = tabulate(scored, tmp_path)
    assert list(pd.read_csv(tmp_path / "table1.csv")) == TABLE1_COLUMNS
    dice = table.loc[("a1", "dice")]
    # means of the seeds 0.9 and 0.55
    assert dice["mean"] == pytest.approx(72.5)
    assert dice["std"] == pytest.approx(100 * 0.35 / math.sqrt(2), rel=1e-4)
    assert (dice["n_seeds"], dice["n_samples"], dice["n_undefined"]) == (2, 4, 0)
    assert dice["published_mean"] == 90.01
    assert dice["difference"] == pytest.approx(72.5 - 90.01, abs=1e-3)
    hausdorff = table.loc[("a1", "hausdorff")]
    # the undefined one counts as the diagonal, 120 sqrt 2
    assert hausdorff["mean"] == pytest.approx((4 + (18 + 120 * math.sqrt(2)) / 4) / 2, rel=1e-4)
    assert (hausdorff["n_undefined"], hausdorff["n_empty"]) == (1, 1)
    assert (dice["n_empty"], table["n_empty"].max()) == (1, 1)
    assert (hausdorff["published_mean"], hausdorff["published_std"]) == (10.23, 0.17)


def test_the_page_says_which_metric_fewer_samples_have(scored, tmp_path):
    tabulate(scored, tmp_path)
    assert "Fewer have" not in (tmp_path / "table1.html").read_text()
    for path, _ in scored:
        table = pd.read_csv(path)
        spaced = table[(table["metric"].isin(IN_MM)) & (table["id"] != "s3")]
        in_mm = spaced.assign(metric=spaced["metric"] + "_mm")
        pd.concat([table, in_mm]).to_csv(path, index=False)
    tabulate(scored, tmp_path)
    page = (tmp_path / "table1.html").read_text()
    assert "4 test samples in 4 groups" in page
    assert "Fewer have: HD95 in mm (3), Long diameter error in mm (3)." in page


def test_differences_from_the_baseline(scored, tmp_path):
    table = tabulate(scored, tmp_path)
    dice = table.loc[("ellipse", "dice")]
    assert dice["baseline"] == "a1"
    # against the seeds: 0 and 0.35
    assert dice["gain"] == pytest.approx(17.5)
    assert dice["gain_ci_low"] <= 17.5 <= dice["gain_ci_high"]
    assert 0 < dice["p_value"] < 1
    hausdorff = table.loc[("ellipse", "hausdorff")]
    assert hausdorff["gain"] == pytest.approx(1 - (4 + (18 + DIAGONAL) / 4) / 2, rel=1e-4)
    # Holm over the two comparisons there are: the columns of `published_as`
    smaller = min(row["p_value"] for row in (dice, hausdorff))
    corrected = min(dice["p_holm"], hausdorff["p_holm"])
    assert corrected == pytest.approx(min(1, 2 * smaller), rel=1e-4)
    assert table["gain"].count() == 2
    assert table.loc["a1", "gain"].isna().all()


def test_each_group_counts_once_where_groups_are_the_unit(scored, tmp_path):
    for path, _ in scored:
        table = pd.read_csv(path)
        table["group"] = table["id"].map({"s0": "a", "s1": "b", "s2": "b", "s3": "b"})
        table.to_csv(path, index=False)
    table = tabulate(scored, tmp_path, unit="group")
    # of a1: seed 1 has 0.8 and the mean 2.8 / 3, seed 2 has 0.6 and 1.6 / 3
    a1 = table.loc[("a1", "dice")]
    assert a1["mean"] == pytest.approx(100 * (0.8 + 2.8 / 3 + 0.6 + 1.6 / 3) / 4, rel=1e-4)
    assert (a1["n_samples"], a1["n_groups"], a1["n_empty"]) == (2, 2, 1)
    assert set(table["unit"]) == {"group"}
    assert "Groups better, %" in (tmp_path / "table1.html").read_text()
    assert table.loc[("ellipse", "dice"), "mean"] == pytest.approx(90)
    assert table.loc[("ellipse", "dice"), "gain"] == pytest.approx(90 - a1["mean"], rel=1e-4)
    assert "each counts once" in " ".join((tmp_path / "table1.html").read_text().split())


def test_differences_per_group_are_over_the_samples_that_both_arms_have(scored, tmp_path):
    for path, _ in scored:
        table = pd.read_csv(path)
        table["group"] = table["id"].map({"s0": "a", "s1": "a", "s2": "b", "s3": "b"})
        if "ellipse" in path.name:  # finds nothing where a1 is 4 and 6 px off
            table.loc[(table["id"] == "s0") & (table["metric"] == "hausdorff"), "value"] = math.nan
        else:
            easy = (table["id"] != "s0") & (table["metric"] == "hausdorff")
            table.loc[easy, "value"] = 1.0
        table.to_csv(path, index=False)
    protocols = {"p": PROTOCOLS["p"] | {"undefined": "exclude"}}
    hausdorff = tabulate(scored, tmp_path, unit="group", protocols=protocols).xs(
        "hausdorff", level="metric"
    )
    assert hausdorff.loc["a1", "mean"] == pytest.approx(((4 + 1) / 2 + 1 + (6 + 1) / 2 + 1) / 4)
    assert hausdorff.loc["ellipse", ["mean", "gain", "share_better"]].tolist() == [1, 0, 0]


def test_no_difference_is_said_to_be_detectable_that_the_metric_cannot_reach(scored, tmp_path):
    table = tabulate(scored, tmp_path)
    assert table.loc[("ellipse", "dice"), "detectable"] > 100
    page = (tmp_path / "table1.html").read_text()
    assert f"{table.loc[('ellipse', 'dice'), 'detectable']:.2f}" not in page


def test_arms_of_unequal_epochs_are_named_and_not_compared(scored, tmp_path):
    def trained(epochs, patience):
        settings = {"epochs": epochs, "patience": patience, "iterations": None}
        path = tmp_path / f"{epochs}-{patience}.json"
        path.write_text(json.dumps({"settings": settings, "epochs_run": epochs}))
        return {"dataset": "ham10k", "protocol": scored[0][1]["protocol"], "run": path}

    # the arm `ellipse` stands for a trained one
    runs = [trained(6, None) | {"arm": "a1"}, trained(2, None) | {"arm": "ellipse"}]
    tabulate(scored, tmp_path, trained=runs)
    page = (tmp_path / "table1.html").read_text()
    words = "Epochs of training: a1 6; ellipse 2. Not comparable with a1, so without a difference"
    assert words in page
    assert "+17.50" not in page
    # nor does any other reader of the table see a difference, or a test that Holm would count
    kept = pd.read_csv(tmp_path / "table1.csv").set_index(["arm", "metric"]).loc["ellipse"]
    assert kept[["gain", "gain_ci_low", "p_value", "p_holm", "share_better"]].isna().all(axis=None)
    assert kept.loc["dice", "gain_unknown"] == "not trained equally long"
    assert "0 comparisons" in page
    # training runs that stop on their own may differ
    runs = [trained(6, 3) | {"arm": "a1"}, trained(2, 3) | {"arm": "ellipse"}]
    tabulate(scored, tmp_path, trained=runs)
    page = (tmp_path / "table1.html").read_text()
    assert "Epochs of training: a1 6; ellipse 2. Training runs stop when" in page
    assert "+17.50" in page


def test_verdicts():
    assert direction(1.0, "dice", 0.01) == "better"
    assert direction(1.0, "hausdorff_mm", 0.01) == "worse"
    assert direction(-1.0, "iou", 0.01) == "worse"
    assert direction(1.0, "dice", 0.05) == "undecided"
    assert direction(1.0, "dice", math.nan) == "undecided"


def test_networks_and_their_start_are_told(scored, tmp_path):
    table = tabulate(scored, tmp_path)
    assert set(table.loc["a1", "network"]) == {"resnet18, from scratch"}
    assert "ResNet-18, from scratch; 2 seeds; 1 empty" in (tmp_path / "table1.html").read_text()


def test_the_same_runs_under_three_definitions(scored, tmp_path):
    (tmp_path / "published.yaml").write_text(yaml.safe_dump(PUBLISHED))
    tabulate_definitions(
        scores_csvs=[path for path, _ in scored],
        expected=[run for _, run in scored],
        published_yaml=tmp_path / "published.yaml",
        published_datasets={"ham10k": "HAM10K"},
        published_arms={"a1": "A1"},
        table_csv=tmp_path / "d.csv",
        table_html=tmp_path / "d.html",
    )
    table = pd.read_csv(tmp_path / "d.csv").set_index(["arm", "column", "definition"])["mean"]
    assert len(table) == 2 * 6 * 3
    # Dice: as it is, 55; with the worst of the run's others, 0.6, in place of the empty one, 70
    assert table["a1", "Dice", "released"] == pytest.approx((90 + 55) / 2)
    assert table["a1", "Dice", "paper"] == pytest.approx((90 + 70) / 2)
    assert table["a1", "Dice", "textbook"] == pytest.approx((90 + 55) / 2)
    # AVD: the maximum, whose empty one becomes the run's worst, 6; else metrics that are 0.5
    assert table["a1", "AVD", "released"] == pytest.approx((4 + 6) / 2)
    assert table["a1", "AVD", "paper"] == pytest.approx(0.5)
    page = (tmp_path / "d.html").read_text()
    for name, definition in DEFINITIONS.items():
        assert f"<th>{name}</th>" in page
        assert definition.text in page
    assert "90.01 ± 0.09" in page


def test_ellipse_row_has_no_published_value_and_no_deviation(scored, tmp_path):
    row = tabulate(scored, tmp_path).loc[("ellipse", "dice")]
    assert row["mean"] == pytest.approx(90)
    assert math.isnan(row["std"])
    assert math.isnan(row["published_mean"])
    assert math.isnan(row["difference"])


def test_page_states_every_definition_and_published_value(scored, tmp_path):
    tabulate(scored, tmp_path)
    page = (tmp_path / "table1.html").read_text()
    for name in ("dice", "hausdorff", *EXTRA_METRICS):
        measure = measure_of(name)
        assert f"<th>{measure.label}, {measure.unit}</th>" in page
        assert f"<dd>{measure.text}</dd>" in page
    assert "paper 90.01 ± 0.09" in page
    assert "1 empty" in page
    assert "the dense reference" in page
    assert "source: dataverse" in page
    assert "worst_possible" in page


def test_the_page_names_the_metrics_that_have_no_test(scored, tmp_path):
    table = tabulate(scored, tmp_path)
    page = (tmp_path / "table1.html").read_text()
    assert table.loc[[("ellipse", name) for name in EXTRA_METRICS], "p_value"].isna().all()
    named = "; HD95, Surface Dice, Long diameter error are shown without tests."
    assert f"2 comparisons under this protocol can be tested{named}" in page
    assert "nothing is decided, or that the metric is shown without tests" in page


def test_same_input_gives_the_same_bytes(scored, tmp_path):
    tabulate(scored, tmp_path)
    first = (tmp_path / "table1.csv").read_bytes(), (tmp_path / "table1.html").read_bytes()
    tabulate(scored[::-1], tmp_path, [run for _, run in scored])
    again = tabulate(scored, tmp_path)
    assert first == (
        (tmp_path / "table1.csv").read_bytes(),
        (tmp_path / "table1.html").read_bytes(),
    )
    assert len(again) == 2 * len(MEASURES)


def test_missing_run_is_an_error(scored, tmp_path):
    with pytest.raises(DataError, match=r"missing.*'a1', 2"):
        tabulate(scored[:2], tmp_path, [run for _, run in scored])


def test_run_that_is_not_expected_is_an_error(scored, tmp_path):
    with pytest.raises(DataError, match=r"not expected.*'a1', 2"):
        tabulate(scored, tmp_path, [run for _, run in scored[:2]])


def test_run_given_twice_or_without_a_metric_is_an_error(scored):
    paths, runs = [p for p, _ in scored], [r for _, r in scored]
    with pytest.raises(DataError, match="twice"):
        read_scores([*paths, paths[0]], runs)
    scores = pd.read_csv(paths[0])
    scores[scores["metric"] != "iou"].to_csv(paths[0], index=False)
    with pytest.raises(DataError, match="lacks a metric"):
        read_scores(paths, runs)


def test_metrics_in_mm_are_all_there_or_none(scored):
    path, run = scored[0]
    scores = pd.read_csv(path)
    in_mm = [scores[scores["metric"] == name].assign(metric=f"{name}_mm") for name in IN_MM]
    pd.concat([scores, *in_mm]).to_csv(path, index=False)
    read_scores([path], [run])
    pd.concat([scores, *in_mm[1:]]).to_csv(path, index=False)
    with pytest.raises(DataError, match="lacks a metric"):
        read_scores([path], [run])


def test_published_columns_are_known(root):
    published = read_yaml(root / "workflow/resources/published_numbers.yaml")["table1"]
    config = read_yaml(root / "config.yaml")
    chosen = config["protocols"]["corrected"]["scoring"]["published_as"]
    columns = set(published[config["datasets"]["ham10k"]["published"]]["A1"])
    assert set(chosen) - columns == {"Recall", "Precision", "Hausdorff"}  # of the other papers
    assert columns < set(chosen)
    assert set(chosen.values()) <= set(MEASURES)
    schema = read_yaml(root / "workflow/schemas/config.schema.yaml")
    assert set(schema["$defs"]["metric"]["enum"]) == set(MEASURES)
    for definition in DEFINITIONS.values():
        assert set(definition.metrics) == columns
        assert set(definition.metrics.values()) <= set(MEASURES)
