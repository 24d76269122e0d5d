"""What arms lack against others: known gaps, on known images."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from weaklesion.report.figures.gap import plot_gap
from weaklesion.report.tables.gap import (
    contrast,
    describe_samples,
    image_gaps,
    strata,
    tabulate_gap,
)
from weaklesion.scoring.catalogue import MEASURES


@pytest.fixture
def runs(tmp_path):
    """Four images: the ellipse is at 0.9; the arm equals it on two, and lacks 0.1 and 0.3."""

    def write(arm, seed, dice):
        run = {"dataset": "d", "protocol": "p", "arm": arm, "seed": seed}
        path = tmp_path / f"{arm}-{seed}.csv"
        rows = [
            {**run, "id": name, "group": f"g-{name}", "metric": "dice", "value": value,
             "status": "ok", "worst": 0.0}
            for name, value in dice.items()
        ]  # fmt: skip
        others = [row | {"metric": m} for row in rows for m in MEASURES if m != "dice"]
        pd.DataFrame(rows + others).to_csv(path, index=False)
        return run | {"scores": path}

    return [
        write("ellipse", 0, dict.fromkeys("abcd", 0.9)),
        write("a1", 1, {"d": 0.9, "c": 0.9, "b": 0.8, "a": 0.6}),
        write("a1", 2, {"a": 0.6, "b": 0.8, "c": 0.9, "d": 0.9}),
        write("a1_dense", 1, dict.fromkeys("abcd", 0.7)),
    ]


@pytest.fixture
def trained(tmp_path):
    """A1 was trained for six epochs, and the arm on dense masks for two."""
    found = []
    for arm, epochs in (("a1", 6), ("a1_dense", 2)):
        path = tmp_path / f"{arm}.json"
        path.write_text(json.dumps({"epochs_run": epochs, "settings": {"epochs": epochs}}))
        found.append({"dataset": "d", "protocol": "p", "arm": arm, "run": str(path)})
    return found


@pytest.fixture
def traits(tmp_path):
    table = pd.DataFrame(
        {
            "id": list("dcba"),
            "area": [0.1, 0.2, 0.3, 0.4],
            "ellipse_dice": 0.9,
            "contrast": [1.0, math.nan, 3.0, 2.0],
            "at_border": False,
            "in_training": [True, True, False, False],
        }
    )
    table.to_csv(tmp_path / "traits.csv", index=False)
    return [{"dataset": "d", "protocol": "p", "traits": str(tmp_path / "traits.csv")}]


def test_gaps_and_shares_with_known_answers(runs, trained, traits, tmp_path):
    table_csv, samples_csv = tmp_path / "gap.csv", tmp_path / "gap.samples.csv"
    tabulate_gap(
        runs=runs,
        trained=trained,
        traits=traits,
        pairs=[("a1", "ellipse"), ("a1", "a1_dense")],
        undefined={"p": "worst_possible"},
        title="Gap",
        table_csv=table_csv,
        samples_csv=samples_csv,
        table_html=tmp_path / "gap.html",
    )
    table = pd.read_csv(table_csv, keep_default_na=False).set_index(["against", "stratum", "value"])
    whole = table.loc[("ellipse", "all images", "")]
    assert (whole["n_samples"], whole["n_seeds"]) == (4, 2)
    assert float(whole["gap"]) == pytest.approx(10.0)
    assert float(whole["ci_low"]) < 10 < float(whole["ci_high"])
    largest = table.loc[("ellipse", "largest gaps", "25 %")]
    assert float(largest["share_of_gap"]) == pytest.approx(75.0)  # 30 of 40 points on one image
    new = table.loc[("ellipse", "in_training", "no")]
    assert (float(new["gap"]), float(new["share_of_gap"])) == (pytest.approx(20), 100)
    assert float(table.loc[("ellipse", "in_training", "yes")]["gap"]) == pytest.approx(0)
    assert float(table.loc[("ellipse", "area", "highest quarter")]["gap"]) == pytest.approx(30)
    contrasts = table.sort_index().loc[("ellipse", "contrast")]
    assert contrasts["n_samples"].sum() == 3  # nan is in no quarter
    assert ("ellipse", "at_border", "no") not in table.index  # all images share it
    dense = table.loc[("a1_dense", "all images", "")]
    assert dense["n_seeds"] == 1  # the one that both have
    assert float(dense["gap"]) == pytest.approx(-10.0)
    by_image = pd.read_csv(samples_csv)
    assert list(by_image[by_image["against"] == "ellipse"]["id"][:2]) == ["a", "b"]
    page = (tmp_path / "gap.html").read_text()
    assert "a (60 against 90), b (80 against 90)" in page
    assert "Every network was trained for 6 epochs." in page  # against the ellipse, without one
    assert "Epochs of training: a1 6; a1_dense 2." in page
    assert page.count("trained longer than the other") == 1
    plot_gap(
        table_csv=table_csv,
        samples_csv=samples_csv,
        title="Gap",
        figures=[tmp_path / "gap.svg", tmp_path / "gap.png"],
    )
    drawn = (tmp_path / "gap.svg").read_text()
    assert "lesion trained on: no" in drawn
    assert "bars: 95 % intervals over groups and seeds<" in drawn  # as the page says
    assert drawn.count(">a1 against ellipse<") == drawn.count(">a1 against a1_dense<") == 1
    pd.read_csv(table_csv).assign(ci_low=np.nan, ci_high=np.nan).to_csv(table_csv, index=False)
    plot_gap(
        table_csv=table_csv, samples_csv=samples_csv, title="Gap", figures=[tmp_path / "none.svg"]
    )
    assert "; no intervals<" in (tmp_path / "none.svg").read_text()


def test_what_one_arm_lacks_is_left_out_of_both():
    """The reference of b is empty: the arm's mask is too, and the other arm's is not."""
    ours, theirs = (
        pd.DataFrame({"id": ["a", "b"], "group": ["a", "b"], "seed": 1, "value": values})
        for values in ([0.6, math.nan], [0.8, 0.0])
    )
    gaps = image_gaps(ours, theirs, pd.DataFrame({"id": ["a", "b"]})).set_index("id")
    assert gaps.loc["a"].tolist() == pytest.approx([60, 80, 20])
    assert gaps.loc["b"].isna().all()


def test_gaps_that_cancel_have_no_shares(runs, trained, traits, tmp_path):
    """5, 18, -32 and 9 points sum up to 0, except for an error of rounding."""
    path = runs[0]["scores"]
    other = dict(zip("abcd", (0.65, 0.98, 0.58, 0.99), strict=True))
    scores = pd.read_csv(path)
    scores["value"] = scores["value"].where(scores["metric"] != "dice", scores["id"].map(other))
    scores.to_csv(path, index=False)
    tabulate_gap(
        runs=runs[:3],
        trained=trained,
        traits=traits,
        pairs=[("a1", "ellipse")],
        undefined={"p": "worst_possible"},
        title="Gap",
        table_csv=tmp_path / "gap.csv",
        samples_csv=tmp_path / "gap.samples.csv",
        table_html=tmp_path / "gap.html",
    )
    table = pd.read_csv(tmp_path / "gap.csv")
    assert table["gap"][0] == pytest.approx(0, abs=1e-9)
    assert table["gap"].abs().max() == pytest.approx(32)
    assert table["share_of_gap"].isna().all()


def test_the_figure_says_which_arm_is_better_and_sums_from_zero(tmp_path, monkeypatch):
    pair = {"dataset": "d", "protocol": "p", "arm": "a1", "against": "ellipse"}
    gaps = pd.DataFrame([pair | {"id": name, "gap": gap} for name, gap in (("a", -2), ("b", 6))])
    kind = {"stratum": "area", "value": "lowest quarter", "gap": 2, "ci_low": 1, "ci_high": 3}
    gaps.to_csv(tmp_path / "gap.samples.csv", index=False)
    pd.DataFrame([pair | kind]).to_csv(tmp_path / "gap.csv", index=False)
    drawn = []
    monkeypatch.setattr("weaklesion.report.figures.gap.save", lambda *given: drawn.append(given[0]))
    plot_gap(
        table_csv=tmp_path / "gap.csv",
        samples_csv=tmp_path / "gap.samples.csv",
        title="Gap",
        figures=[],
    )
    (figure,) = drawn
    assert "Gap: Dice of the second arm minus that of the first;" in figure.get_suptitle()
    summed = figure.axes[0].get_lines()[0]
    assert summed.get_xydata().tolist() == [[0, 0], [50, 3], [100, 2]]
    (named,) = figure.legends[0].legend_handles
    assert summed.get_marker() == named.get_marker() == "o"  # colours alone are equal in grey


def test_contrast_is_the_distance_of_mean_colours():
    reference = np.zeros((40, 40), np.uint8)
    reference[15:25, 15:25] = 1
    image = np.full((40, 40, 3), 100, np.uint8)
    image[reference > 0] = (103, 104, 100)
    assert contrast(image, reference) == pytest.approx(5.0)
    assert math.isnan(contrast(image, np.ones_like(reference)))
    assert math.isnan(contrast(image, np.zeros_like(reference)))


def test_traits_are_joined_by_id(tmp_path):
    samples = pd.DataFrame(
        {
            "id": ["x", "y", "z"],
            "group": ["one", "one", "two"],
            "split": ["test", "train", "test"],
        }
    )
    samples.to_csv(tmp_path / "samples.csv", index=False)
    samples[::-1].to_csv(tmp_path / "reversed.csv", index=False)
    masks = np.zeros((3, 20, 20), np.uint8)
    masks[0, 5:15, 5:15] = 1
    masks[2, 0:10, 5:10] = 1
    np.save(tmp_path / "reference.npy", masks)
    np.save(tmp_path / "ellipse.npy", masks[::-1])
    np.save(tmp_path / "images.npy", np.zeros((3, 20, 20, 3), np.uint8))
    describe_samples(
        images_npy=tmp_path / "images.npy",
        reference_npy=tmp_path / "reference.npy",
        reference_ids_csv=tmp_path / "samples.csv",
        ellipse_npy=tmp_path / "ellipse.npy",
        ellipse_ids_csv=tmp_path / "reversed.csv",
        samples_csv=tmp_path / "samples.csv",
        traits_csv=tmp_path / "traits.csv",
    )
    traits = pd.read_csv(tmp_path / "traits.csv").set_index("id")
    assert list(traits.index) == ["x", "z"]
    assert list(traits["area"]) == [0.25, 0.125]
    assert list(traits["ellipse_dice"]) == [1.0, 1.0]
    assert list(traits["at_border"]) == [False, True]
    assert list(traits["in_training"]) == [True, False]


def test_ties_do_not_go_by_the_gap():
    ids = [f"{number:03d}" for number in np.random.default_rng(0).permutation(400)]
    gaps = pd.DataFrame(
        {
            "id": ids,
            "gap": np.linspace(10, -10, 400),  # the largest first, as they come
            "area": np.repeat([1.0, 2.0], 200)[np.random.default_rng(1).permutation(400)],
            "ellipse_dice": 0.9,
            "contrast": np.nan,
            "at_border": False,
            "in_training": False,
        }
    )
    by_id = gaps.set_index("id")["gap"]
    kinds = list(strata(gaps))
    assert {kind["stratum"] for kind, _ in kinds} == {"all images", "area", "largest gaps"}
    means = [by_id[ids].mean() for kind, ids in kinds if kind["stratum"] == "area"]
    assert max(means) - min(means) < 3  # 5 apart and more if ties went by the gap


def test_quarters_hold_every_image_once():
    rng = np.random.default_rng(0)
    gaps = pd.DataFrame(
        {
            "id": [str(number) for number in range(103)],
            "gap": rng.normal(size=103),
            "area": rng.integers(0, 3, 103),  # many ties
            "ellipse_dice": rng.normal(size=103),
            "contrast": rng.normal(size=103),
            "at_border": rng.random(103) < 0.5,
            "in_training": False,
        }
    )
    for trait in ("area", "ellipse_dice", "contrast", "at_border"):
        ids = [name for kind, ids in strata(gaps) if kind["stratum"] == trait for name in ids]
        assert sorted(ids) == sorted(gaps["id"])
        sizes = [len(ids) for kind, ids in strata(gaps) if kind["stratum"] == trait]
        if trait != "at_border":
            assert max(sizes) - min(sizes) <= 1
