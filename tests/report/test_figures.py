import numpy as np
import pandas as pd

from weaklesion.report.figures.arms import choose_cases, plot_contours
from weaklesion.report.figures.style import PALETTE, arm_colors, distinct_colors


def test_cases_are_chosen_by_the_stated_rule():
    dice = pd.DataFrame(
        {"a1": np.arange(9) / 10, "a1l": np.arange(9) / 10}, index=list("abcdefghi")
    )
    dice.loc["d", "a1l"] = 0.9
    dice.loc["h", "a1l"] = 0.3
    cases = choose_cases(dice, "a1", 2)
    assert cases == {
        "worst of a1": ["a", "b"],
        "median of a1": ["d", "e"],
        "best of a1": ["h", "i"],
        "networks differ most": ["d", "h"],
    }
    assert choose_cases(dice.iloc[:1], "a1", 5)["best of a1"] == ["a"]
    # an image without Dice, where reference and prediction are empty, is neither best nor worst
    dice.loc["empty", "a1l"] = 0.0
    assert choose_cases(dice, "a1", 2) == cases


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
        figures=[tmp_path / "f.svg"],
    )
    drawn = (tmp_path / "f.svg").read_text()
    assert "GrabCut mask (white)" in drawn
    assert "reference" not in drawn
