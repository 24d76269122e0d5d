"""docs/results/volumes.md states the numbers of the table kept beside it."""

import math

import pandas as pd
import pytest
from conftest import ROOT
from scipy import stats

PAGE = ROOT / "docs/results/volumes.md"
FOLDER = ROOT / "docs/results/volumes"
CARRIED = ROOT / "docs/results/volumes-carried"


@pytest.fixture(scope="module")
def summary():
    return pd.read_csv(FOLDER / "summary.csv").set_index(["dataset", "role", "method"])


def test_sentences_state_the_summarys_numbers(summary):
    text = " ".join(PAGE.read_text().split())
    tested, deeplesion, liver, network, sarcomas, others = (
        summary.loc[key]
        for key in (
            ("sarcoma", "tested", "levels"),
            ("deeplesion", "chosen", "levels"),
            ("liver", "chosen", "levels"),
            ("liver", "chosen", "network"),
            ("sarcoma", "tested", "network"),
            ("deeplesion", "chosen", "network"),
        )
    )
    worst = math.ceil(-10 * summary["worst_gain"].drop("network", level=2).min()) / 10
    for sentence in (
        f"the levels gain {tested['gain']:.1f} points of Dice over the ellipsoid [",
        f"none is worse (least gain {tested['worst_gain']:+.1f})",
        f"they gain {deeplesion['gain']:.1f} points on average, and one lesion is worse by"
        f" {-deeplesion['worst_gain']:.1f}.",
        f"none is worse by more than {worst:.1f} points",
        f"it has {sarcomas['dice']:.1f} % against {tested['dice']:.1f} of the levels"
        f" ({difference(FOLDER, 'dice')}; NSD {difference(FOLDER, 'nsd_2mm')})",
        f"it is {deeplesion['dice'] - others['dice']:.1f} points below the levels",
        f"on eight liver tumours {network['dice']:.1f} % against {liver['dice']:.1f}",
        f"by more than 2 points on {('none', 'one', 'two')[int(network['below_minus_2'])]}.",
        f"an NSD of {network['nsd_2mm']:.1f} % against {liver['nsd_2mm']:.1f}, an HD95 of"
        f" {network['hd95_mm']:.1f} mm against {liver['hd95_mm']:.1f}.",
    ):
        assert sentence in text, sentence


def of_tested_sarcomas(folder, method, measure):
    lesions = pd.read_csv(folder / "lesions.csv")
    chosen = (lesions["dataset"] == "sarcoma") & (lesions["role"] == "tested")
    return lesions[chosen & (lesions["method"] == method)].set_index("id")[measure]


def difference(folder, measure):
    """Without an interval, because the network was trained once."""
    network, levels = (
        of_tested_sarcomas(folder, method, measure) for method in ("network", "levels")
    )
    return f"{(network - levels).mean():+.1f}"


def test_the_gain_on_tested_sarcomas_has_the_interval_of_a_mean_over_patients():
    levels, ellipsoid = (
        of_tested_sarcomas(FOLDER, method, "dice") for method in ("levels", "ellipsoid")
    )
    gains = levels - ellipsoid
    low, high = stats.t.interval(0.95, len(gains) - 1, gains.mean(), gains.sem())
    for page in (PAGE, ROOT / "README.md"):
        assert f"[{low:.1f}, {high:.1f}]" in " ".join(page.read_text().split()), page.name


def test_what_carried_marks_add_is_that_of_both_tables():
    carried, plain = (of_tested_sarcomas(folder, "network", "dice") for folder in (CARRIED, FOLDER))
    said = f"{carried.mean():.1f} against {plain.mean():.1f} % ({(carried - plain).mean():+.1f},"
    assert said in " ".join(PAGE.read_text().split())


def test_the_summary_is_that_of_the_lesions(summary):
    lesions = pd.read_csv(FOLDER / "lesions.csv")
    means = lesions.groupby(["dataset", "role", "method"])["dice"].mean()
    assert (means - summary["dice"]).abs().max() < 1e-3
    covered = lesions[lesions["method"] == "levels"]
    inside = covered["reference_mm3"].between(covered["low_mm3"], covered["high_mm3"])
    text = " ".join(PAGE.read_text().split())
    assert f"{inside.sum()} of {len(inside)} contain the true volume" in text
    tested = inside[covered["role"] == "tested"]
    assert tested.all()
    least = 0.025 ** (1 / len(tested))  # Clopper and Pearson 1934
    assert f"{len(tested)} of {len(tested)} shows only that more than {100 * least:.0f} %" in text
