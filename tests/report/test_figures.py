import json

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D

from weaklesion.report.figures.arms import (
    choose_cases,
    plot_contours,
    plot_training_curves,
    strip_ids,
)
from weaklesion.report.figures.patches import outline, score_lines
from weaklesion.report.figures.scatter import counts, image_dice, plot_scatter
from weaklesion.report.figures.style import (
    PALETTE,
    arm_colors,
    contour_looks,
    distinct_colors,
    line_through,
    style,
)
from weaklesion.report.figures.supervision import plot_k_sweep
from weaklesion.report.figures.sweep import plot_sweep


def test_cases_are_chosen_by_the_stated_rule():
    dice = pd.DataFrame(
        {"a1": np.arange(9) / 10, "a1l": np.arange(9) / 10}, index=list("abcdefghi")
    )
    dice.loc["f", "a1l"] = 0.9
    dice.loc["h", "a1l"] = 0.3  # differs most of all, but is shown as one of the best
    cases = choose_cases(dice, "a1", 2, "A1")
    assert cases == {
        "Worst of A1": ["a", "b"],
        "Median of A1": ["d", "e"],
        "Best of A1": ["h", "i"],
        "Networks differ most": ["f", "c"],
    }
    assert choose_cases(dice.iloc[:1], "a1", 5) == {"Worst of a1": ["a"]}
    alone = choose_cases(dice[["a1"]], "a1", 2, "A1")  # one network differs from no other
    assert list(alone) == ["Worst of A1", "Median of A1", "Best of A1"]
    # an image without Dice, where reference and prediction are empty, is neither best nor worst
    dice.loc["empty", "a1l"] = 0.0
    assert choose_cases(dice, "a1", 2, "A1") == cases


@pytest.mark.parametrize("number", range(1, 30))
def test_no_image_is_shown_twice_and_all_rows_are_equally_long(number):
    values = np.random.default_rng(number).random((number, 2))
    dice = pd.DataFrame(values, columns=["a1", "a1l"], index=[str(i) for i in range(number)])
    cases = choose_cases(dice, "a1", 5)
    shown = [name for names in cases.values() for name in names]
    assert len(set(shown)) == len(shown)
    assert len({len(names) for names in cases.values()}) == 1
    assert len(cases) == min(4, number)


@pytest.mark.parametrize("number", [3, 4, 9, 10, 21, 42])
@pytest.mark.parametrize("per_case", [1, 2, 5])
def test_the_strip_has_the_worst_image_the_median_one_and_the_best_one(number, per_case):
    values = np.random.default_rng(number).permutation(number) / number
    dice = pd.DataFrame({"a1": values, "a1l": values}, index=[str(i) for i in range(number)])
    shown = dice.loc[strip_ids(list(choose_cases(dice, "a1", per_case).values())), "a1"]
    middle = sorted(values)[(number - 1) // 2 : number // 2 + 1]
    assert len(shown) == 3
    assert (shown.iloc[0], shown.iloc[2]) == (values.min(), values.max())
    assert shown.iloc[1] in middle


def test_arms_of_a_figure_have_different_colours():
    study = [f"arm{number}" for number in range(2 * len(PALETTE))]
    usual = arm_colors(study)
    assert distinct_colors(study[2:4], study) == {arm: usual[arm] for arm in study[2:4]}
    clashing = [study[1], study[1 + len(PALETTE)]]
    found = distinct_colors(clashing, study)
    assert found[clashing[0]] == usual[clashing[0]] != found[clashing[1]]


def test_contours_say_what_they_are_compared_with(tmp_path):
    ids = ["a", "b"]
    pd.DataFrame({"id": ids, "group": ids, "split": "test"}).to_csv(
        tmp_path / "samples.csv", index=False
    )
    masks = np.zeros((2, 16, 16), dtype=np.uint8)
    masks[:, 4:12, 4:12] = 1
    np.save(tmp_path / "images.npy", np.zeros((2, 16, 16, 3), dtype=np.uint8))
    np.save(tmp_path / "masks.npy", masks)
    scores = pd.DataFrame({"id": ids, "metric": "dice", "value": [0.5, np.nan]})
    scores.to_csv(tmp_path / "scores.csv", index=False)
    arm = {"arm": "a1", "network": "U-Net", "scores": tmp_path / "scores.csv"}
    plot_contours(
        images_npy=tmp_path / "images.npy",
        reference_npy=tmp_path / "masks.npy",
        reference_ids_csv=tmp_path / "samples.csv",
        reference_name="GrabCut mask",
        samples_csv=tmp_path / "samples.csv",
        channel_order="rgb",
        all_arms=["a1"],
        arms=[arm | {"predictions": tmp_path / "masks.npy", "ids": tmp_path / "samples.csv"}],
        ranked_by="a1",
        num_images=1,
        title="Contours",
        labels={"arms": {"a1": "A1, our label"}},
        figures=[tmp_path / "f.svg"],
        strip_png=tmp_path / "strip.svg",
    )
    drawn = (tmp_path / "f.svg").read_text()
    assert "GrabCut mask (white)" in drawn
    assert "reference" not in drawn
    for name in ("f.svg", "strip.svg"):
        assert ">A1, our label 0.50<" in (tmp_path / name).read_text()
    assert ">A1, our label: U-Net<" in drawn
    assert ">Worst of A1, our label<" in (tmp_path / "strip.svg").read_text()


@pytest.mark.parametrize("arms", [["a1", "a1l"], ["ellipse", "a1", "a1l"]])
def test_contours_of_arms_differ_in_print_without_colour(arms):
    looks = contour_looks(arms, arms)
    mask = np.pad(np.ones((8, 8), dtype=np.uint8), 4)
    with style():
        figure, axis = plt.subplots()
        for look in looks.values():
            outline(axis, mask, width=1.2, **look)
        score_lines(axis, dict.fromkeys(arms, 0.5), looks, None, 2)
    keys = [line for line in axis.get_children() if isinstance(line, Line2D)]
    drawn = [contours.get_linestyles()[0] for contours in axis.collections]
    assert len({str(dashes) for dashes in drawn}) == len(arms)
    assert len({str(key._dash_pattern) for key in keys}) == len(arms)
    for contours, key in zip(axis.collections, keys, strict=True):
        assert to_hex(contours.get_edgecolor()[0]) == to_hex(key.get_color())
    plt.close(figure)


def test_a_label_is_no_wider_than_its_image():
    with style():
        axis = plt.figure().add_subplot()
        looks = {"long": {"color": "red"}}
        score_lines(axis, {"long": 0.5}, looks, {"arms": {"long": "a1, b2, c3, d4"}}, 1)
        assert [text.get_text() for text in axis.texts] == ["a1, b2… 0.50"]
        score_lines(axis, {"long": 0.5}, looks, {"arms": {"long": "a1, b2, c"}}, 1)
        assert axis.texts[-1].get_text() == "a1, b2, c 0.50"
    plt.close()


def test_powers_of_ten_are_numbers(tmp_path):
    qualities = []
    for k in (3, 6):
        sizes = [2, 40, 300]
        quality = {"k": k, "inertia": 1.0, "silhouette": 0.5, "stability": 0.9, "sizes": sizes}
        qualities.append(tmp_path / f"{k}.json")
        qualities[-1].write_text(json.dumps(quality))
    plot_k_sweep(quality_jsons=qualities, chosen_k=3, title="K", figures=[tmp_path / "k.svg"])
    drawn = (tmp_path / "k.svg").read_text()
    assert "mathdefault" not in drawn
    for number in (2, 5, 10, 20, 50, 100, 200):
        assert f">{number}</text>" in drawn


def test_each_image_is_a_point_and_both_sides_of_the_diagonal_are_counted(tmp_path):
    runs = []
    for arm, values in {"a1": [0.5, 0.6, 0.7], "a1l": [0.6, 0.6, 0.6]}.items():
        for seed in (1, 2, 3):
            if (arm, seed) == ("a1l", 3):  # a seed of one arm alone does not count
                continue
            scores = pd.DataFrame({"id": list("abc"), "value": values, "seed": seed, "arm": arm})
            scores["value"] += 0.1 * (seed - 1.5)
            path = tmp_path / f"{arm}{seed}.csv"
            scores.assign(metric="dice", status="ok", worst=0.0).to_csv(path, index=False)
            runs.append({"arm": arm, "seed": seed, "scores": path})
    dice = image_dice(runs, "worst_possible")
    assert dice["a1"].to_list() == pytest.approx([50, 60, 70])
    assert counts(dice["a1l"], dice["a1"]) == (1, 1)
    plot_scatter(
        runs=runs,
        baseline="a1",
        undefined="worst_possible",
        title="Images",
        labels={"arms": {"a1": "A1", "a1l": "A1+L"}},
        figures=[tmp_path / "s.svg"],
    )
    drawn = (tmp_path / "s.svg").read_text()
    assert "A1+L is better on 1 of 3 images" in drawn
    assert "A1 on 1, neither on 1" in drawn


def test_points_of_empty_masks_are_whole(tmp_path, monkeypatch):
    runs = []
    for arm, values in {"a1": [0.0, 0.9], "a1l": [0.8, 0.0]}.items():
        scores = pd.DataFrame({"id": list("ab"), "value": values, "seed": 1, "arm": arm})
        path = tmp_path / f"{arm}.csv"
        scores.assign(metric="dice", status="ok", worst=0.0).to_csv(path, index=False)
        runs.append({"arm": arm, "seed": 1, "scores": path})
    drawn = []
    monkeypatch.setattr(
        "weaklesion.report.figures.scatter.save",
        lambda figure, figures: drawn.append(figure.axes[0].axis()),
    )
    given = {"baseline": "a1", "undefined": "worst_possible", "title": "Images", "figures": []}
    plot_scatter(runs=runs, **given)
    left, right, bottom, top = drawn[0]
    assert max(left, bottom) < -1  # a point's radius is about 1 %
    assert min(right, top) > 100


def test_training_curves_of_two_arms_differ_in_print_without_colour(tmp_path, monkeypatch):
    names = ("train_segmentation_loss", "val_segmentation_loss", "val_dice")
    history = pd.DataFrame({"epoch": [0, 1]} | {name: [0.5, 0.4] for name in names})
    history.to_csv(tmp_path / "history.csv", index=False)
    arms = ["a1", "a1l"]
    figures = []
    monkeypatch.setattr(
        "weaklesion.report.figures.arms.save", lambda figure, paths: figures.append(figure)
    )
    plot_training_curves(
        runs=[{"arm": arm, "seed": 1, "history": tmp_path / "history.csv"} for arm in arms],
        all_arms=arms,
        title="Curves",
        figures=[],
    )
    named = figures[0].legends[0].legend_handles
    for lines in (named, *(axis.get_lines() for axis in figures[0].axes)):
        assert [line.get_marker() for line in lines] == ["o", "s"]


def test_two_points_of_a_sweep_are_no_curve():
    assert line_through(2) == "none"
    assert line_through(3) == "-"


def test_the_legend_of_a_sweep_has_the_lines_of_every_panel(tmp_path):
    """The first dataset has no value of the paper, and no value of the other tables."""
    rows = [
        {"dataset": dataset, "protocol": "p", "k": k, "mean": 70.0 + k, "ci_low": 60.0,
         "ci_high": 90.0, "unknown": "", "n_seeds": 2, "val_dice": 80.0, "paper_value": paper,
         "chosen_by_test": k == 9, "chosen_by_validation_dice": k == 5,
         "chosen_by_validation_loss": k == 5}
        for dataset, paper in (("a_phantom", np.nan), ("ham10k", 9))
        for k in (5, 7, 9)
    ]  # fmt: skip
    pd.DataFrame(rows).to_csv(tmp_path / "t.csv", index=False)
    own = {"a_phantom": {"p": np.inf}, "ham10k": {"p": 7}}
    figure = tmp_path / "f.svg"
    plot_sweep(table_csv=tmp_path / "t.csv", over="k", own=own, title="K", figures=[figure])
    drawn = figure.read_text()
    assert drawn.count("the paper's value") == 1
    assert drawn.count("value of the other tables") == 1
    assert drawn.count("highest test Dice") == 1


def test_titles_with_dollars_are_drawn_as_they_are():
    with style():
        title = plt.figure().text(0.5, 0.5, "$5 and $\\nope$")
        assert not title.get_parse_math()
        title.figure.canvas.draw()  # as a formula this would stop
    plt.close()
