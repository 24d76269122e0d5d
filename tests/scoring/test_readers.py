"""Several readers' masks: marks by one, scores by the others (`tools/readers.py`)."""

import math
import sys
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import readers as readers_tool
from PIL import Image

from weaklesion.recist import RECIST_COLUMNS

WIDTHS = {"1": 10, "2": 12, "3": 16}  # of rectangles ten rows high, one inside the other
# twice the smaller width by the sum of both, %
DICE = {("1", "2"): 2000 / 22, ("1", "3"): 2000 / 26, ("2", "3"): 2400 / 28}
PATIENTS = [f"P{number}" for number in range(10)]


def write_png(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array.astype(np.uint8)).save(path)


def rectangle(width, rows=10):
    mask = np.zeros((40, 40))
    mask[15 : 15 + rows, 10 : 10 + width] = 255
    return mask


@pytest.fixture
def folder(tmp_path):
    """Ten patients, one lesion each, on two slices; the second is smaller and has two readers."""
    rows = []
    for patient in PATIENTS:
        for number, (readers, height) in enumerate((("123", 10), ("12", 8))):
            name = f"{patient}_s{number}"
            rows.append({"name": name, "patient": patient, "nodule": 0, "pixel_mm": 0.5})
            write_png(tmp_path / f"images/{name}.png", np.full((40, 40), 90))
            for reader in readers:
                mask = rectangle(WIDTHS[reader], height)
                write_png(tmp_path / f"masks/{name}_reader{reader}.png", mask)
    pd.DataFrame(rows).to_csv(tmp_path / "slices.csv", index=False)
    return tmp_path


def run(capsys, folder, *words):
    """Call the tool in this process; return what it printed."""
    command, *named = words
    with mock.patch.object(
        sys, "argv", ["readers.py", command, str(folder), str(folder / "o"), *named]
    ):
        readers_tool.main()
    return capsys.readouterr().out


def test_marks_of_one_reader_train_and_marks_of_all_readers_test(folder, capsys):
    said = run(capsys, folder, "marks")
    assert "20 marks for training, validation and test; 9 test marks of 3 lesions" in said
    train = pd.read_csv(folder / "o/marks.csv")
    test = pd.read_csv(folder / "o/test.csv")
    assert len(train) == 20  # one mark per slice
    assert train.groupby("group")["split"].nunique().tolist() == [1] * 10
    per_split = train.groupby("split")["group"].nunique()
    assert per_split.to_dict() == {"train": 6, "val": 1, "test": 3}
    # of each test lesion the slice that all three outlined
    tested = set(train.loc[train["split"] == "test", "group"])
    assert set(test["id"]) == {f"{name}_s0_reader{k}" for name in tested for k in WIDTHS}
    for row in test.itertuples():
        points = np.array([getattr(row, column) for column in RECIST_COLUMNS]).reshape(4, 2)
        # the long diameter is the rectangle's diagonal, from outline to outline
        width = WIDTHS[row.id[-1]]
        assert math.dist(*points[:2]) == pytest.approx(math.hypot(width, 10), abs=1)
        assert (row.spacing_x, row.spacing_y) == (0.5, 0.5)
    for row in train.itertuples():
        assert row.mask.startswith(str(folder / "masks" / row.id))


def test_the_reader_of_a_training_mark_is_drawn_from_those_who_outlined_the_slice(folder, capsys):
    run(capsys, folder, "marks")
    train = pd.read_csv(folder / "o/marks.csv")
    readers = train["mask"].str[-5]
    assert set(readers[train["id"].str.endswith("s0")]) == {"1", "2", "3"}
    assert set(readers[train["id"].str.endswith("s1")]) == {"1", "2"}
    first = (folder / "o/marks.csv").read_text()
    run(capsys, folder, "marks")
    assert (folder / "o/marks.csv").read_text() == first


def test_masks_are_scored_by_readers_who_did_not_draw_the_mark(folder, capsys):
    run(capsys, folder, "marks")
    test = pd.read_csv(folder / "o/test.csv")
    for seed in (1, 2):  # a network that always answers with the second reader's mask
        for name in test["id"]:
            write_png(folder / f"seed{seed}/{name}.png", rectangle(WIDTHS["2"]))
    run(capsys, folder, "score", f"net={folder}/seed1", f"net={folder}/seed2")
    pairs = pd.read_csv(folder / "o/pairs.csv", dtype={"drawn_by": str, "scored_by": str})
    table = pd.read_csv(folder / "o/readers.csv", index_col="mask")
    readers = pairs[pairs["mask"] == "another reader"]
    assert len(readers) == 3 * 6  # three lesions, six ordered pairs
    for row in readers.itertuples():
        expected = DICE[tuple(sorted((row.drawn_by, row.scored_by)))]
        assert row.dice == pytest.approx(expected, rel=1e-4)
    assert table.loc["another reader", "dice_of_others"] == pytest.approx(
        np.mean(list(DICE.values())), rel=1e-4
    )
    assert math.isnan(table.loc["another reader", "dice_of_own"])
    # against the two readers who did not draw: (2, 3), (1, 3) and (1, 2) of three drawing readers
    of_second = {"1": DICE["1", "2"], "2": 100.0, "3": DICE["2", "3"]}
    wanted = np.mean([np.mean([of_second[k] for k in "123" if k != drawn]) for drawn in "123"])
    assert table.loc["net", "dice_of_others"] == pytest.approx(wanted, rel=1e-4)
    assert table.loc["net", "dice_of_own"] == pytest.approx(
        np.mean(list(of_second.values())), rel=1e-4
    )
    # paired: each of the networks' masks against the outline by whoever drew its mark
    assert table.loc["net", "from_reader"] == pytest.approx(
        wanted - np.mean(list(DICE.values())), rel=1e-4
    )
    assert table.loc["another reader", "from_reader"] == 0
    assert table.loc["net", "seeds"] == 2
    assert table.loc["ellipse", ["lesions", "patients", "gain"]].tolist() == [3, 3, 0]


def test_a_drawn_mark_needs_no_mask_by_whoever_drew_it(folder, capsys):
    marks = pd.DataFrame(
        {"id": f"{patient}_s0_readerdrawn", "image": f"images/{patient}_s0.png"}
        | dict(zip(RECIST_COLUMNS, (10, 20, 20, 20, 15, 15, 15, 25), strict=True))
        for patient in PATIENTS
    )
    (folder / "o").mkdir()
    marks.to_csv(folder / "o/test.csv", index=False)
    run(capsys, folder, "score")
    pairs = pd.read_csv(folder / "o/pairs.csv", dtype={"scored_by": str})
    assert set(pairs["drawn_by"]) == {"drawn"}
    assert len(pairs) == 10 * 4 * 3  # lesions, shapes of a mark, readers with a mask
    table = pd.read_csv(folder / "o/readers.csv", index_col="mask")
    assert "another reader" not in table.index
    assert table[["dice_of_own", "from_reader"]].isna().all(axis=None)
    dice = table["dice_of_others"]  # the diameters halve each other
    assert dice["ellipse about the crossing"] == pytest.approx(dice["ellipse"])
    assert dice["ends"] < dice["quarter-ellipses"]


def test_limits_of_agreement_are_relative_to_the_mean_of_both(folder, capsys):
    run(capsys, folder, "marks")
    run(capsys, folder, "score")
    limits = pd.read_csv(folder / "o/diameters.csv")
    area = limits[(limits["mask"] == "another reader") & (limits["size"] == "area")].iloc[0]
    one_way = [200 * 2 / 22, 200 * 6 / 26, 200 * 4 / 28]  # of areas 100, 120, 160
    values = np.array([*one_way, *(-value for value in one_way)] * 3)
    assert area["mean"] == pytest.approx(0, abs=1e-6)
    assert area["limit_high"] == pytest.approx(1.96 * values.std(ddof=1), rel=1e-4)
    assert area["pairs"] == 18


def test_what_is_missing_is_named(folder, capsys):
    run(capsys, folder, "marks")
    with pytest.raises(SystemExit, match="o/nowhere"):
        run(capsys, folder, "score", f"net={folder}/o/nowhere")
    for reader in WIDTHS:
        (folder / f"masks/P0_s0_reader{reader}.png").unlink()
    with pytest.raises(SystemExit, match=r"has no P0_s0_readerK\.png"):
        run(capsys, folder, "marks")
    (folder / "slices.csv").write_text("name,patient\nP0_s0,P0\n")
    with pytest.raises(SystemExit, match="has no column nodule"):
        run(capsys, folder, "marks")


def test_a_name_with_brackets_has_its_masks(folder, capsys):
    table = pd.read_csv(folder / "slices.csv")
    for old in table["name"]:
        for path in [*folder.glob(f"*/{old}.png"), *folder.glob(f"*/{old}_*.png")]:
            path.rename(path.with_name(path.name.replace(old, f"[{old}]")))
    table["name"] = "[" + table["name"] + "]"
    table.to_csv(folder / "slices.csv", index=False)
    assert run(capsys, folder, "marks").startswith("20 marks for training")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("\n", r"test\.csv: has no marks"),
        ("id\nP0_s0\n", r"test\.csv: the id P0_s0 is not NAME_readerK"),
        ("id\nP0_s9_reader1\n", r"slices\.csv: has no P0_s9"),
    ],
)
def test_marks_that_cannot_be_scored_are_named(folder, capsys, text, why):
    (folder / "o").mkdir()
    (folder / "o/test.csv").write_text(text)
    with pytest.raises(SystemExit, match=why):
        run(capsys, folder, "score")
