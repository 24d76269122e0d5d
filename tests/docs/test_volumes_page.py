"""docs/results/volumes.md states the numbers of the table kept beside it."""

import pandas as pd
import pytest
from conftest import ROOT

PAGE = ROOT / "docs/results/volumes.md"
FOLDER = ROOT / "docs/results/volumes"


@pytest.fixture(scope="module")
def summary():
    return pd.read_csv(FOLDER / "summary.csv").set_index(["dataset", "role", "method"])


def test_sentences_state_the_summarys_numbers(summary):
    text = " ".join(PAGE.read_text().split())
    tested, deeplesion, liver, network = (
        summary.loc[key]
        for key in (
            ("sarcoma", "tested", "levels"),
            ("deeplesion", "tested", "levels"),
            ("liver", "chosen", "levels"),
            ("liver", "chosen", "network"),
        )
    )
    for sentence in (
        f"the levels gain {tested['gain']:.1f} points of Dice over the ellipsoid",
        f"none is worse (least gain {tested['worst_gain']:+.1f})",
        f"they gain {deeplesion['gain']:.1f} points, and one is worse by"
        f" {-deeplesion['worst_gain']:.1f}",
        f"Dice {network['dice']:.1f} against {liver['dice']:.1f}",
        f"NSD {network['nsd_2mm']:.1f} against {liver['nsd_2mm']:.1f}",
        f"by more than 2 points on {network['below_minus_2']:.0f} of them, the levels on"
        f" {liver['below_minus_2']:.0f}",
    ):
        assert sentence in text, sentence


def test_the_summary_is_that_of_the_lesions(summary):
    lesions = pd.read_csv(FOLDER / "lesions.csv")
    means = lesions.groupby(["dataset", "role", "method"])["dice"].mean()
    assert (means - summary["dice"]).abs().max() < 1e-3
    covered = lesions[lesions["method"] == "levels"]
    inside = covered["reference_mm3"].between(covered["low_mm3"], covered["high_mm3"])
    assert f"{inside.sum()} of {len(inside)} intervals" in " ".join(PAGE.read_text().split())
