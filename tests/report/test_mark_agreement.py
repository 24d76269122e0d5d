"""Images with marks and no dense mask: numbers worked out by hand, the page, the study's run."""

import json
import re

import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from PIL import Image
from running import planned, snakemake
from segmenting import colored, lobed, mark_of

from weaklesion.data.ellipse_table import write_marks
from weaklesion.ellipse import Ellipse
from weaklesion.errors import DataError
from weaklesion.prediction.gate import mask_agreement
from weaklesion.recist import RECIST_COLUMNS, compare_diameters
from weaklesion.report.figures.mark_agreement import (
    choose_cases,
    overlaps,
    plot_mark_agreement,
)
from weaklesion.report.tables.mark_agreement import (
    ARM,
    summarize,
    tabulate_mark_agreement,
    tabulate_recovery,
)
from weaklesion.report.tables.mark_agreement_page import segment_command, write_mark_agreement
from weaklesion.study.checks import check_config
from weaklesion.study.items import drawn_arms, items_of, recoveries_of_item
from weaklesion.study.protocols import merge
from weaklesion.support.yaml_files import read_yaml

OWN_MARKS = ROOT / "workflow/studies/own-marks.yaml"


def disc_of(*pixels):
    """A mask of 10 x 10 px with some pixels (x, y)."""
    mask = np.zeros((10, 10), dtype=np.uint8)
    for x, y in pixels:
        mask[y, x] = 1
    return mask


#   3 4 5 6 7
# 4 . . # . .     the pixels of an ellipse with axes 4 and 2 about (5, 5)
# 5 # # # # #
# 6 . . # . .
DRAWN = disc_of((3, 5), (4, 5), (5, 5), (6, 5), (7, 5), (5, 4), (5, 6))
MARK = [[3, 5], [7, 5], [5, 4], [5, 6]]


def test_diameters_by_hand():
    """A rhombus 8 px wide and 4 px high, beside a mark of 6 and 5 px."""
    mask = np.zeros((9, 11), dtype=bool)
    mask[4, 1:10] = mask[2:7, 5] = True
    points = np.array([[1, 4], [7, 4], [5, 1], [5, 6]], float)
    assert compare_diameters(points, mask) == pytest.approx(
        {
            "given_short_px": 5, "short_px": 4, "short_difference_px": -1,
            "given_long_px": 6, "long_px": 8, "long_difference_px": 2,
        }
    )  # fmt: skip
    # rows of 3 mm: in the patient the mask is 12 mm high and the mark 15 mm, so that these are long
    found = compare_diameters(points, mask, (3.0, 1.0))
    assert found["given_long_mm"] == pytest.approx(15)
    assert found["given_long_px"] == pytest.approx(5)
    assert found["long_difference_mm"] == pytest.approx(-3)
    assert found["long_difference_px"] == pytest.approx(-1)
    assert found["short_difference_mm"] == pytest.approx(2)
    assert set(compare_diameters(points, np.zeros((9, 11)))) == {"given_short_px", "given_long_px"}


def test_agreement_by_hand():
    small = Ellipse(5.0, 5.0, 4.0, 2.0, 0.0)  # too small for a fitted ellipse: its drawn pixels
    three = disc_of((4, 5), (5, 5), (6, 5)).astype(bool)
    assert mask_agreement(DRAWN.astype(bool), small) == 1.0
    assert mask_agreement(three, small) == pytest.approx(3 / 7)
    assert mask_agreement(np.zeros((10, 10), bool), small) == 0.0
    # a mask of the right diameters in another place does not agree
    assert mask_agreement(np.roll(DRAWN, 3, axis=0).astype(bool), small) == 0.0


@pytest.fixture
def block(tmp_path):
    """Three test images with the same mark; the masks are its drawn ellipse, three px, and none."""
    rows = [
        {"id": name, "group": name, "split": split, "mm_per_px_x": mm, "mm_per_px_y": mm}
        | dict(zip(RECIST_COLUMNS, np.ravel(MARK), strict=True))
        for name, split, mm in (("t", "train", 0.5), ("a", "test", 0.5), ("b", "test", None),
                                ("c", "test", None))
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "samples.csv", index=False)
    ellipse = {"cx": 5, "cy": 5, "width": 4, "height": 2, "angle_deg": 0}
    marks = [(row["id"], Ellipse(**ellipse), np.asarray(MARK, float)) for row in rows]
    write_marks(tmp_path / "ellipses.csv", marks)
    masks = {"c": disc_of(), "a": DRAWN, "b": disc_of((4, 5), (5, 5), (6, 5))}  # joined by id
    np.save(tmp_path / "predictions.npy", np.stack(list(masks.values())))
    pd.DataFrame({"id": list(masks)}).to_csv(tmp_path / "predictions.csv", index=False)
    place = {"dataset": "own", "protocol": "p"}
    run = place | {"arm": "prompted", "seed": 1, "network": "U-Net", "mark_noise": 0.0}
    run |= {"predictions": tmp_path / "predictions.npy", "ids": tmp_path / "predictions.csv"}
    files = {name: tmp_path / f"{name}.csv" for name in ("samples", "ellipses")}
    return run, place | files


def tabulated(folder, runs, block):
    tabulate_mark_agreement(
        runs=runs,
        blocks=[block],
        table_csv=folder / "t.csv",
        masks_csv=folder / "m.csv",
    )
    return pd.read_csv(folder / "t.csv"), pd.read_csv(folder / "m.csv")


def test_table_by_hand(tmp_path, block):
    run, place = block
    table, masks = tabulated(tmp_path, [run], place)
    assert list(table) == [
        "dataset", "protocol", "arm", "network", "mark_noise", "n_seeds", "n_marks", "n_empty",
        "measure", "unit", "n", "n_groups", "mean", "low", "high",
    ]  # fmt: skip
    rows = table.set_index("measure")
    for column, expected in (("n_seeds", 1), ("n_marks", 3), ("n_empty", 1)):
        assert (rows[column] == expected).all()
    # 1, 3/7 and, of the empty mask, 0
    assert rows.loc["agreement", "n"] == 3
    assert rows.loc["agreement", "mean"] == pytest.approx(100 * (1 + 3 / 7) / 3, rel=1e-5)
    assert rows.loc["agreement", "low"] == pytest.approx(100 * 0.05 * 3 / 7, rel=1e-5)
    # long diameters 4 and 2 for a marked 4: 0 and -2; short ones 2 and 0 for a marked 2
    for which in ("long", "short"):
        difference = rows.loc[f"{which}_difference_px"]
        assert difference["n"] == 2  # the empty mask has no diameters, and is counted above
        assert difference["mean"] == pytest.approx(-1)
        assert difference["low"] == pytest.approx(-1 - 1.96 * np.sqrt(2), rel=1e-5)
        assert difference["high"] == pytest.approx(-1 + 1.96 * np.sqrt(2), rel=1e-5)
    assert "long_difference_mm" not in rows.index  # of one mask there are no limits
    assert masks.set_index("id")["agreement"].to_dict() == pytest.approx(
        {"a": 1, "b": 3 / 7, "c": 0}, rel=1e-5
    )
    assert masks.set_index("id").loc["a", "given_long_mm"] == 2


def test_a_patient_with_many_marks_counts_once():
    """As in the tables of sizes; by hand: group means 0, 3 and 0 (one mask each, or six)."""
    groups = {"a": [-2.0, 2.0, -2.0, 2.0, -2.0, 2.0], "b": [3.0], "c": [0.0]}
    rows = [
        {"group": group, "id": f"{group}{number}", "seed": 1, "empty": False, "agreement": 0.5,
         "long_difference_px": value}
        | dict.fromkeys(ARM, "x")
        for group, values in groups.items()
        for number, value in enumerate(values)
    ]  # fmt: skip
    row = summarize(pd.DataFrame(rows)).set_index("measure").loc["long_difference_px"]
    assert (row["n"], row["n_groups"], row["mean"]) == (8, 3, 1.0)
    # squares about 1, each mask as its part of its group: (9 + 1) / 2, 4 and 1; divided by 3 - 1
    assert row["high"] == pytest.approx(1 + 1.96 * np.sqrt(10 / 2), rel=1e-12)


@pytest.fixture
def recoveries(tmp_path):
    """Two values of a constant, each on two marks; the second was taken."""
    rows = [
        (name, value, given, recovered)
        for value, results in ((1.0, (0.7, 0.9)), (2.0, (0.9, 0.95)))
        for name, given, recovered in zip("ab", (0.8, 0.9), results, strict=True)
    ]
    columns = ["id", "max_amplitude", "given_iou", "recovered_iou"]
    pd.DataFrame(rows, columns=columns).to_csv(tmp_path / "recovery.csv", index=False)
    (tmp_path / "choice.json").write_text(json.dumps({"max_amplitude": 2.0}))
    files = {"recovery": tmp_path / "recovery.csv", "choice": tmp_path / "choice.json"}
    place = {"dataset": "own", "protocol": "p", "of": "prompted", "constant": "max_amplitude"}
    return [place | files | {"used_by": ["prompted", "robust"]}]


def test_recovery_beside_copying_the_mark(tmp_path, recoveries):
    tabulate_recovery(recoveries, tmp_path / "r.csv")
    table = pd.read_csv(tmp_path / "r.csv").set_index("value")
    assert table["chosen"].to_dict() == {1.0: False, 2.0: True}
    assert table["given"].to_dict() == pytest.approx({1.0: 85, 2.0: 85})
    assert table["recovered"].to_dict() == pytest.approx({1.0: 80, 2.0: 92.5})
    assert table["closer"].to_dict() == {1.0: 0, 2.0: 100}


def test_page_says_what_is_known_and_what_is_not(tmp_path, block, recoveries):
    run, place = block
    perturbed = run | {"arm": "prompted_noise6", "mark_noise": 0.06}
    tabulated(tmp_path, [run, perturbed], place)
    Image.new("RGB", (2, 2)).save(tmp_path / "f.png")
    write_mark_agreement(
        table_csv=tmp_path / "t.csv",
        figures=[{"dataset": "own", "protocol": "p", "figure": tmp_path / "f.png"}],
        recoveries=recoveries,
        recovery_noise=0.06,
        models=[
            {"dataset": "own", "protocol": "p", "arm": "prompted", "model": "runs/a b/seed-1",
             "window_hu": [-160, 240], "saw_noise": False}
        ],
        title="Own marks",
        recovery_csv=tmp_path / "r.csv",
        page_html=tmp_path / "p.html",
    )  # fmt: skip
    page = (tmp_path / "p.html").read_text()
    text = " ".join(re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", page, flags=re.DOTALL).split())
    exact, rest = text.split("Recovery of perturbed marks")
    assert "47.6 [2.1, 97.1]" in exact
    assert "-1.0 px [-3.8, +1.8] of 2 masks" in exact
    assert "prompted_noise6" not in exact
    assert "prompted_noise6" in rest
    assert "for prompted, robust" in rest
    assert "85.0 92.5 +7.5 100" in rest
    assert "It does not say which arm is more accurate." in text
    assert "reference: dense" in text
    assert (
        "weaklesion segment --model 'runs/a b/seed-1' --window -160 240 --marks TABLE.csv"
        in page.replace("&#39;", "'")
    )
    assert "data:image/png;base64," in page
    assert not re.search(r"\bnan\b", text)
    assert not re.search(r"Dice|better than|▲", text)


def test_command_for_coloured_images_has_no_window():
    assert segment_command("runs/x", None) == (
        "weaklesion segment --model runs/x --marks TABLE.csv --out FOLDER"
    )


def test_images_are_chosen_by_the_stated_rule():
    full, half, none = (np.full((1, 2, 2), value) for value in (True, False, False))
    half[0, 0] = True
    first, second = np.concatenate([full, full, none]), np.concatenate([full, half, none])
    np.testing.assert_allclose(overlaps([first, second]), [1, 0.5, 1])
    agreement = pd.Series([0.9, 0.5, 0.7, 0.6, 0.8], index=list("abcde"))
    overlap = pd.Series([0.9, 0.8, 0.2, 1.0, 0.5], index=list("abcde"))
    assert choose_cases(agreement, overlap, "x", 2) == {
        "x agrees least": ["b", "d"],
        "median of x": ["d", "c"],
        "masks differ most": ["c", "e"],
    }


@pytest.fixture
def config(root):
    paper = read_yaml(root / "config.yaml")
    return merge(paper, read_yaml(OWN_MARKS))


def test_the_figure_calls_arms_as_its_page_does(tmp_path, block):
    run, place = block
    tabulated(tmp_path, [run], place)
    np.save(tmp_path / "images.npy", np.zeros((4, 10, 10, 3), np.uint8))
    plot_mark_agreement(
        images_npy=tmp_path / "images.npy",
        samples_csv=place["samples"],
        ellipses_csv=place["ellipses"],
        masks_csv=tmp_path / "m.csv",
        arms=[run],
        all_arms=["prompted"],
        channel_order="rgb",
        ranked_by="prompted",
        num_images=1,
        title="Own marks",
        labels={"arms": {"prompted": "Given"}},
        figures=[tmp_path / "f.svg"],
    )
    drawn = (tmp_path / "f.svg").read_text()
    for text in ("Given", "median of Given", "Given 0.00", "Given 0.43"):
        assert f">{text}<" in drawn, text
    assert "prompted" not in drawn


def test_the_study_says_what_is_drawn_and_what_was_chosen_by_recovery(config):
    check_config(config)
    assert items_of(config, "mark_agreement") == ["prompted"]
    assert "ellipse" not in drawn_arms(config, "prompted")
    chosen = {
        (recovery["of"], recovery["constant"]): recovery["used_by"]
        for recovery in recoveries_of_item(config, "prompted")
    }
    networks = ["prompted_ends", "prompted_ends_robust"]
    assert chosen == {
        ("pseudo-masks from four ends", "prior_weight"): ["pseudo_masks_ends", *networks],
        ("prompted_ends", "max_amplitude"): networks,
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"experiments": {"prompted": {"kind": "scores"}}}, "Set kind: mark_agreement; or"),
        (
            {"experiments": {"prompted": {"kind": "gap", "against": ["ellipse"]}}},
            "an item of kind gap would rank its arms by a mask that is made from the",
        ),
        ({"datasets": {"own": {"reference": "dense"}}}, "own has dense masks .* Set kind: scores"),
        ({"experiments": {"prompted": {"contours": ["a1"]}}}, r"prompted\.contours is 'a1'"),
        ({"experiments": {"prompted": {"contours": ["ellipse"]}}}, "contours: no arm has a net"),
    ],
)
def test_own_marks_are_not_scored_against_themselves(config, change, message):
    with pytest.raises(DataError, match=message):
        check_config(merge(config, change))


def test_own_marks_with_dense_masks_are_scored(config):
    dense = {"datasets": {"own": {"reference": "dense"}}}
    scores = {"experiments": {"prompted": {"kind": "scores", "contours": True}}}
    check_config(merge(merge(config, dense), scores))
    cost = {"experiments": {"table2": {"contours": True}}, "select": {"items": ["table2"]}}
    paper = read_yaml(ROOT / "config.yaml")
    with pytest.raises(DataError, match="only one of kind scores or mark_agreement does"):
        check_config(merge(paper, cost))
    cost["experiments"]["table2"] = {"unit": "group"}
    with pytest.raises(DataError, match=r"table2.unit: .* only one of kind scores or answers does"):
        check_config(merge(paper, cost))


@pytest.mark.workflow
def test_the_page_of_a_small_study(tmp_path):
    """From marks to the page, without a GrabCut mask and without a score."""
    rng = np.random.default_rng(7)
    rows = []
    for number in range(24):
        mask = lobed(rng)
        Image.fromarray(colored(mask, rng)).save(tmp_path / f"{number}.png")
        rows.append({"id": f"l{number}", "image": f"{number}.png", "group": f"p{number}"}
                    | mark_of(mask))  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "marks.csv", index=False)
    study = ("--configfile", OWN_MARKS)
    jobs = planned(tmp_path, *study)
    expected = {"tabulate_mark_agreement": 1, "plot_mark_agreement": 1, "write_mark_agreement": 1}
    assert expected.items() <= jobs.items()
    assert not {"draw_grabcut", "score_predictions", "tabulate_scores"} & jobs.keys()
    small = {
        "protocols": {
            "own": {
                "patches": {"side_px": 64},
                "supervision": {"prior_weights": [10]},
                "training": {"iterations": 3, "epochs": 1, "batch_size": 8},
            }
        },
        "recovery": {"images": 2},
        "experiments": {
            "prompted": {
                "arms": ["ends", "pseudo_masks_ends", "prompted_copy", "ends_noise6"],
                "contours": True,
            }
        },
    }
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(small))
    snakemake(tmp_path, "prompted", *study, tmp_path / "small.yaml")
    results = tmp_path / "results/own-marks"
    table = pd.read_csv(results / "tables/prompted.csv").set_index(["arm", "measure"])["mean"]
    assert table["ends", "agreement"] > 94
    assert table["ends_noise6", "agreement"] < table["ends", "agreement"] - 3
    recovered = pd.read_csv(results / "tables/prompted.recovery.csv")
    assert recovered["of"].tolist() == ["pseudo-masks from four ends"]
    page = (results / "tables/prompted.html").read_text()
    assert f"--model {results.relative_to(tmp_path)}/own/own/runs/prompted_copy/seed-1" in page
    with Image.open(results / "figures/prompted.own.own.png") as figure:
        assert min(figure.size) > 300
