"""Numbers that the pages state in words are numbers of the tables kept beside them."""

import json
import re

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from keep_runs import scores_of
from readers import dice_table, limits_table

from weaklesion.report.power import seeds_needed
from weaklesion.scoring.pairs import pair
from weaklesion.scoring.statistics import parts_of_difference
from weaklesion.study.published import printed_cells, read_published
from weaklesion.support.yaml_files import read_yaml

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs/results").glob("*.md"))]
# Gains with their intervals as pages print them, and the table and arm that they are from.
MARK_READER = "prompted-ends/mark_reader.csv"
GAINS = [
    ("README.md", "1.89 points [1.72, 2.06]", "ham10k-cpu/refined.csv", "a1_refined"),
    ("README.md", "3.28 points [3.08, 3.48]", "prompted-ham10k/prompted.csv", "prompted_refined"),
    ("reproduction.md", "-0.06 points [-0.30, +0.18]", "ham10k-ends/ends.csv", "a1l"),
    ("README.md", "1.08 points [0.85, 1.30]", "ham10k-ends/ends.csv", "a1_ends"),
    ("reproduction.md", "1.08 points [0.85, 1.30]", "ham10k-ends/ends.csv", "a1_ends"),
    ("reproduction.md", "1.11 [0.91, 1.32]", "ham10k-ends/ends.csv", "a1l_ends"),
    ("reproduction.md", "1.07 [0.81, 1.32]", "ham10k-ends/ends.csv", "a1_refined"),
    ("README.md", "+0.07 points [-0.09, +0.22]", "ham10k-cpu/table1.csv", "a1l"),
    ("reproduction.md", "+0.08 points of Dice [-2.64, +2.79]", "ham10k-small/table1.csv", "a1l"),
    ("reproduction.md", "+0.07 points of Dice [-0.09, +0.22]", "ham10k-cpu/table1.csv", "a1l"),
    ("reproduction.md", "+0.07 points [-0.07, +0.21]", "ham10k-cpu/table1.csv", "a1l_shuffled"),
    ("reproduction.md", "1.89 points [1.72, 2.06]", "ham10k-cpu/refined.csv", "a1_refined"),
    ("reproduction.md", "2.65 [2.42, 2.87]", "ham10k-cpu/refined.csv", "a1_dense"),
    ("reproduction.md", "+0.04 points [-0.04, +0.12]", "ham10k-cpu/by_image.csv", "a1l"),
    ("prompted.md", "+3.28 [+3.08, +3.48]", "prompted-ham10k/prompted.csv", "prompted_refined"),
    ("prompted.md", "2.33 [2.18, 2.48]", "prompted-ham10k/prompted.csv", "prompted"),
    ("prompted.md", "+3.32 [3.15, 3.50]", "prompted-ham10k/prompted_by_image.csv",
     "prompted_refined"),
    ("prompted.md", "5.17 [4.94, 5.40]", "prompted-ends/prompted.csv", "prompted_ends"),
    ("prompted.md", "-0.69 [-0.88, -0.49]", MARK_READER, "ends_reader"),
    ("prompted.md", "+6.39 [5.99, 6.80]", MARK_READER, "prompted_ends_robust10_reader"),
    ("reproduction.md", "+0.06 points [-0.70, +0.82]", "ham10k-recipe/last.csv", "a1l"),
    ("reproduction.md", "+0.07 points [-0.60, +0.74]", "ham10k-recipe/table1.csv", "a1l_shuffled"),
    ("prompted.md", "4.71 [4.54, 4.88]", "prompted-ends/prompted_by_image.csv", "prompted_ends"),
    ("prompted.md", "5.35 [5.14, 5.55]", "prompted-ends/prompted_by_image.csv",
     "prompted_ends_levels_sized"),
    ("prompted.md", "3.32 [3.15, 3.50]", "prompted-ends/prompted_hull_by_image.csv",
     "prompted_refined"),
    ("prompted.md", "5.50 [5.26, 5.74]", "prompted-ends/prompted.csv",
     "prompted_ends_levels_sized"),
    ("README.md", "-1.04 points [-2.56, +0.48]", "lits-ends/ends.csv", "a1_ends"),
    ("lits.md", "-1.04 points of Dice over patients [-2.56, +0.48]", "lits-ends/ends.csv",
     "a1_ends"),
    ("lits.md", "-0.30 over patches [-2.00, +1.40]", "lits-ends/ends_patches.csv", "a1_ends"),
    ("lits.md", "-0.18 points over patients [-4.87, +4.50]", "lits-ends/ends.csv", "a1l"),
    ("lits.md", "+0.23 over patches [-2.58, +3.04]", "lits-ends/ends_patches.csv", "a1l"),
    ("lits.md", "0.81 points more over patients [-0.23, +1.86]",
     "lits-ends/second_task_on_ends.csv", "a1l_ends"),
    ("prompted-ct.md", "-0.20 points [-0.66, +0.26]", "prompted-lits25/bound.csv",
     "prompted_ends_dense"),
    ("prompted-ct.md", "+0.02 points [-0.23, +0.27]", "prompted-lits25/over_ends.csv",
     "prompted_ends"),
    ("prompted-ct.md", "0.26 points above the shape [0.06, 0.46]", "prompted-lits25/over_ends.csv",
     "pseudo_masks_ends"),
    ("prompted-ct.md", "0.97 points of Dice over that ellipse [0.61, 1.33]",
     "prompted-lits25/prompted_ellipse.csv", "prompted_refined"),
    ("prompted-ct.md", "gains a point over it**: 0.97 points [0.61, 1.33]",
     "prompted-lits25/prompted_ellipse.csv", "prompted_refined"),
    ("prompted-ct.md", "+0.01 points [-0.25, +0.28]", "prompted-lits25/prompted_ellipse.csv",
     "prompted_refined_gated"),
    ("prompted-ct.md", "0.33 points [0.23, 0.43]", "prompted-lits25/prompted_ellipse.csv",
     "pseudo_masks"),
    ("prompted-ct.md", "0.20 [0.14, 0.27]", "prompted-lits25/prompted_ellipse.csv", "shrunken"),
    ("README.md", "-0.41 points [-0.89, +0.07]", "prompted-lits25/prompted_hull.csv",
     "prompted_refined"),
    ("prompted-ct.md", "-0.41 points [-0.89, +0.07]", "prompted-lits25/prompted_hull.csv",
     "prompted_refined"),
    ("prompted-ct.md", "-0.03 [-0.33, +0.26]", "prompted-lits25/prompted_hull.csv",
     "prompted_refined_gated"),
    ("prompted-ct.md", "gain 0.35 [0.20, 0.51]", "prompted-lits25/prompted_hull.csv",
     "pseudo_masks"),
    ("prompted-ct.md", "3.63 points above the ellipse [2.85, 4.42]", "prompted-lits25/prompted.csv",
     "prompted_ends"),
]  # fmt: skip
# Differences of Dice between two arms of a table.
COMPUTED = {
    "0.41": ("ham10k-paper/test_means.csv", "a1", "a1_last"),
    "0.55": ("ham10k-paper/test_means.csv", "a1l", "a1l_last"),
    "0.06": ("ham10k-native/last.csv", "a1l", "a1l_last"),
    "0.94": ("prompted-ham10k/prompted.csv", "prompted_refined", "pseudo_masks"),
}


def numbers_of(value):
    """Every number in a nested structure."""
    if isinstance(value, dict):
        return [number for part in value.values() for number in numbers_of(part)]
    if isinstance(value, list):
        return [number for part in value for number in numbers_of(part)]
    return [float(value)] if isinstance(value, int | float) else []


def printed(value):
    """A number with two decimals and no sign, also as a percentage."""
    return {f"{abs(value):.2f}", f"{100 * abs(value):.2f}"}


@pytest.fixture(scope="module")
def known():
    """Numbers of the kept tables and of the papers."""
    values = []
    for path in sorted((ROOT / "docs/results").glob("*/*.csv")):  # but not of single runs
        table = pd.read_csv(path).select_dtypes("number").to_numpy().ravel()
        values += table[np.isfinite(table)].tolist()
    paper = read_yaml(ROOT / "workflow/resources/published_numbers.yaml")
    values += numbers_of(paper)
    return {text for value in values for text in printed(value)} | {"0.53"}  # A1+L less A1, HAM10K


def dice_rows(path):
    """Rows of a table that are about Dice, by arm."""
    table = pd.read_csv(ROOT / "docs/results" / path).set_index("arm")
    return table[table["metric"] == "dice"] if "metric" in table else table


def dice_of(path, arm):
    rows = dice_rows(path)
    return rows["mean"][arm] if "mean" in rows else 100 * rows["dice"][arm]


@pytest.mark.parametrize(("name", "text", "path", "arm"), GAINS)
def test_gains_are_those_of_their_tables(name, text, path, arm):
    (page,) = (page for page in PAGES if page.name == name)
    assert text in " ".join(page.read_text().split())
    row = dice_rows(path).loc[arm]
    stated = [float(number) for number in re.findall(r"[-+]?\d+\.\d\d", text)]
    exact = [row[key] for key in ("gain", "gain_ci_low", "gain_ci_high")]
    assert stated == pytest.approx(exact, abs=0.0051)


def test_tables_of_readers_follow_from_the_kept_pairs():
    kept = ROOT / "docs/results/readers"
    names = {"drawn_by": str, "scored_by": str}
    pairs = pd.read_csv(kept / "pairs.csv.xz", dtype=names)
    for name, table in (("readers", dice_table(pairs)), ("diameters", limits_table(pairs))):
        written = pd.read_csv(kept / f"{name}.csv")
        pd.testing.assert_frame_equal(table, written, check_dtype=False, rtol=1e-4, atol=1e-4)


def test_words_on_readers_are_those_of_the_kept_table():
    table = pd.read_csv(ROOT / "docs/results/readers/readers.csv").set_index("mask")
    network = table.loc["prompted_ends"]
    gain = "{:.2f} [{:.2f}, {:.2f}]".format(
        *(network[key] for key in ("gain", "gain_ci_low", "gain_ci_high"))
    )
    less = "{:.2f} points [{:.2f}, {:.2f}] less".format(
        *(-network[key] for key in ("from_reader", "from_reader_ci_high", "from_reader_ci_low"))
    )
    dice = {mask: f"{mean:.2f} %" for mask, mean in table["dice_of_others"].items()}
    readme, page = (
        " ".join((ROOT / name).read_text().split())
        for name in ("README.md", "docs/results/readers.md")
    )
    assert f"{dice['prompted_ends']} against the other readers: {less} than the" in readme
    assert f"{gain} more than the mark's ellipse (three seeds" in readme
    assert f"a Dice of {dice['prompted_ends']}, which is {less} than the outlines" in page
    assert f"reader who drew it ({dice['another reader']})" in page
    points = gain.replace(" ", " points ", 1)
    assert f"{points} more than the ellipse of the mark ({dice['ellipse']}; three" in page
    assert network["seeds"] == 3


def test_shares_and_rounded_numbers():
    text = " ".join((ROOT / "README.md").read_text().split())
    gains = dice_rows("ham10k-cpu/refined.csv")["gain"]
    assert f"{100 * gains['a1_refined'] / gains['a1_dense']:.0f} % of what dense masks" in text
    assert f"on one GPU, has {dice_of('ham10k-paper/test_means.csv', 'a1'):.1f} %" in text


def test_differences_that_are_computed():
    for text, (path, arm, other) in COMPUTED.items():
        exact = dice_of(path, arm) - dice_of(path, other)
        assert abs(exact) == pytest.approx(float(text), abs=0.0051), (text, exact)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_numbers_in_words_are_numbers_of_tables(page, known):
    text = re.sub(r"<!-- begin (.*?) -->.*?<!-- end \1 -->", "", page.read_text(), flags=re.S)
    text = re.sub(r"^ {4,}.*$|`[^`\n]*`", "", text, flags=re.M)
    stated = re.findall(r"(?<![\w.])\d+\.\d{2}(?![\d.])", text)
    assert [number for number in stated if number not in known | set(COMPUTED)] == []


def test_words_on_networks_on_ct_are_those_of_the_kept_tables():
    text = " ".join((ROOT / "docs/results/prompted-ct.md").read_text().split())
    dense = dice_of("prompted-lits25/bound.csv", "prompted_ends_dense")
    assert f"Trained on dense masks instead of pseudo-masks, it has {dense:.2f} %," in text
    gap = pd.read_csv(ROOT / "docs/results/prompted-lits25/gap.csv").query("arm == 'ends'")
    gap = gap.set_index(["stratum", "value"])
    good = gap.loc["ellipse_dice", "highest quarter"]
    poor, large = gap.loc["ellipse_dice", "lowest quarter"], gap.loc["area", "highest quarter"]
    assert (
        f"{good['dice_against']:.2f} against {good['dice']:.2f} % in the quarter of the parts with"
        " the highest Dice of the ellipse"
        f" ({good['gap']:.2f} [{good['ci_low']:.2f}, {good['ci_high']:.2f}];"
    ) in text
    assert f"nothing is decided ({poor['dice_against']:.2f} against {poor['dice']:.2f} %)" in text
    assert f"large lesions ({large['dice_against']:.2f} against {large['dice']:.2f} %)" in text
    assert all(one["ci_low"] < 0 < one["ci_high"] for one in (poor, large))
    runs = ROOT / "docs/results/prompted-lits25/runs/lits/recist/runs"
    ellipse, *seeds = (
        pd.read_csv(runs / run / "scores.csv.xz").groupby("group")["dice"].mean()
        for run in ("ellipse/seed-0", *(f"prompted_ends/seed-{seed}" for seed in (1, 2, 3)))
    )
    assert (sum(seeds) / 3 > ellipse).sum() == len(ellipse) == 25


def test_words_on_the_ellipse_name_the_papers_network_that_beats_it():
    paper = read_yaml(ROOT / "workflow/resources/published_numbers.yaml")
    full = paper["table6_supervision_dice"]["HAM10K"]["FullySupervised"]
    ellipse = dice_of("prompted-ham10k/prompted.csv", "ellipse")
    printed_dice = [arm["Dice"]["mean"] for arm in paper["table1"]["HAM10K"].values()]
    assert max(printed_dice) < ellipse < full
    for name in ("table1.md", "reproduction.md"):
        text = " ".join((ROOT / "docs/results" / name).read_text().split())
        findings = text[: text.index("<!-- begin")]
        assert re.search(rf"fully supervised (network|one)[^.]*\({full}", findings), name


def test_words_on_other_organs_and_on_skin_are_those_of_the_kept_tables():
    text = " ".join((ROOT / "docs/results/prompted-ct.md").read_text().split())
    bounds = dice_rows("prompted-ham10k/bounds.csv")["mean"]
    dense = bounds["prompted_dense"] - bounds["prompted_refined"]
    assert f"dense masks gain {dense:.1f} points for a network that is given the ellipse" in text
    gained = []
    for path in ("other-organ/prompted.csv", "prompted-lits25/prompted.csv",
                 "prompted-ends/prompted.csv"):  # fmt: skip
        dice = pd.read_csv(ROOT / "docs/results" / path).query("metric == 'dice'")
        dice = dice.pivot_table(index="dataset", columns="arm", values="mean")
        gained += (dice["prompted_ends_gated"] - dice["prompted_ends"]).tolist()
    *sarcomas, liver, skin = gained
    words = (
        f"they gain {min(sarcomas):.1f} to {max(sarcomas):.1f} points; on liver it adds"
        f" {liver:.2f} points (three seeds), on skin it costs {-skin:.2f} (three seeds)."
    )
    assert words in text


def test_words_on_windows_of_ct_are_those_of_the_kept_tables():
    text = " ".join((ROOT / "docs/results/prompted-ct.md").read_text().split())
    tables = [
        pd.read_csv(ROOT / f"docs/results/{study}/prompted.csv").query("metric == 'dice'")
        for study in ("prompted-windows", "other-organ")
    ]
    narrow, wide = (tables[0].query(f"protocol == '{name}'") for name in ("narrow", "wide"))
    own = tables[1].query("dataset == 'from_sarcoma'")
    means = [each.set_index("arm")["mean"] for each in (narrow, wide, own)]
    dice = [f"{each['prompted_ends']:.2f}" for each in means]
    assert f"{dice[0]} % over 15 patients" in text
    assert f"in one of -1000 to 1000 {dice[1]} %" in text
    assert f"at -40 to 160, {dice[2]} %" in text
    (shape,) = {f"{each['ends']:.2f}" for each in means}
    assert f"The shape has {shape} % in all" in text


def test_what_the_kept_weights_are_worth_is_that_of_the_kept_runs():
    """T1: the Dice of the last weights less that of the kept ones, of the same training."""
    runs = ROOT / "docs/results/ham10k-recipe/runs/ham10k/recipe/runs"
    text = " ".join((ROOT / "docs/results/reproduction.md").read_text().split())
    kept, stopped, accuracies = set(), set(), []
    of_arms = (
        ("a1", "move A1 by {} to {} points", "move A1 by {} and"),
        ("a1l", "A1+L by {} to {};", "and A1+L by {}."),
    )
    for arm, words, words_on_mean in of_arms:
        moved = []
        for seed in range(1, 6):
            dice = [
                100 * pd.read_csv(runs / name / f"seed-{seed}/scores.csv.xz")["dice"].mean()
                for name in (arm, f"{arm}_last")
            ]
            moved.append(dice[1] - dice[0])
            run = json.loads((runs / arm / f"seed-{seed}/run.json").read_text())
            history = pd.read_csv(runs / arm / f"seed-{seed}/history.csv")
            kept.add(run["kept_epoch"] + 1)
            stopped.add(len(history))
            accuracies.append(history["val_accuracy"][run["kept_epoch"]])
        assert words.format(f"{min(moved):+.2f}", f"{max(moved):+.2f}") in text
        assert words_on_mean.format(f"{np.mean(moved):+.2f}") in text
    assert (min(stopped), max(stopped), min(kept), max(kept)) == (13, 16, 8, 11)
    assert "after 13 to 16 epochs and kept the weights of the eighth to the eleventh" in text
    low, high = (100 * share for share in (np.nanmin(accuracies), np.nanmax(accuracies)))
    assert f"{low:.0f} to {high:.0f} % of the validation" in text
    learned = pd.read_csv(ROOT / "docs/results/ham10k-recipe/table8.csv")
    learned = learned.set_index(["arm", "split"])["accuracy"]
    own = f"{learned['a1l', 'train']:.1f} % of the training and {learned['a1l', 'test']:.1f} %"
    assert own in text
    assert f"not learned ({learned['a1l_shuffled', 'test']:.1f} % of the test images" in text


def test_words_on_diameters_and_areas_are_those_of_the_table_of_sizes():
    text = " ".join((ROOT / "docs/results/prompted.md").read_text().split())
    table = pd.read_csv(ROOT / "docs/results/prompted-ends/sizes.csv")
    table = table[table["unit"] == "%"].set_index(["arm", "size"])
    ends, robust, shape = (
        table.loc[arm, "long_diameter"]
        for arm in ("prompted_ends", "prompted_ends_robust10", "ends")
    )
    reader = table.xs("long_diameter", level="size")["mean"]
    areas = table.xs("area", level="size")["mean"]
    for words in (
        f"within {ends['limit_low']:.1f} to {ends['limit_high']:.1f} % of the true ones",
        f"{-ends['mean']:.1f} % too short on average; the shape through the same ends is within"
        f" {shape['limit_low']:.1f} to {shape['limit_high']:.1f} %",
        f"{-robust['mean']:.1f} % too short ({robust['limit_low']:.1f} to"
        f" {robust['limit_high']:.1f} %)",
        f"a reader's marks are {-reader['ellipse_reader']:.1f} % too short, these masks are"
        f" {-reader['prompted_ends_robust10_reader']:.1f} % too short and their areas"
        f" {-areas['prompted_ends_robust10_reader']:.1f} % too small, while the ellipse is"
        f" {-areas['ellipse_reader']:.1f} % too small and the shape through the ends"
        f" {-areas['ends_reader']:.1f} %",
    ):
        assert words in text, words


def test_words_on_what_four_ends_make_worse_are_those_of_the_kept_table():
    table = pd.read_csv(ROOT / "docs/results/ham10k-ends/ends.csv")
    means = table.pivot_table(index="metric", columns="arm", values="mean")
    more = means["a1_ends"] - means["a1"]
    text = " ".join((ROOT / "docs/results/reproduction.md").read_text().split())
    assert (
        f"recall falls by {-more['recall']:.1f} points while precision rises by"
        f" {more['precision']:.1f}, and the error of the short diameter grows by"
        f" {more['short_diameter_error']:.1f} px."
    ) in text
    readme = " ".join((ROOT / "README.md").read_text().split())
    both = f"{more['perimeter_error_canny_half']:.1f} and {more['short_diameter_error']:.1f} px."
    assert f"of the perimeter and of the short diameter grow, by {both}" in readme
    tested = table[(table["arm"] == "a1_ends") & table["gain"].notna()].set_index("metric")["gain"]
    errors = {"perimeter_error_canny_half", "center_error", "hausdorff"}
    worse = [name for name, gain in tested.items() if (gain > 0) == (name in errors)]
    assert worse == ["perimeter_error_canny_half"]


def test_words_on_flips_are_those_of_the_kept_tables():
    text = " ".join((ROOT / "docs/results/reproduction.md").read_text().split())
    section = text[text.index("## HAM10K, all images") : text.index("<!-- begin ham10k-cpu -->")]
    learned = pd.read_csv(ROOT / "docs/results/ham10k-cpu/table8.csv")
    learned = learned.set_index(["arm", "split"])
    own, shuffled = (learned.loc[arm, "accuracy"] for arm in ("a1l", "a1l_shuffled"))
    assert f"predicts {own['train']:.1f} % of the training and {own['test']:.1f} %" in section
    paper = f"the paper has {learned.loc[('a1l', 'train'), 'published']:.1f} and"
    assert f"{paper} {learned.loc[('a1l', 'test'), 'published']:.1f}" in section
    assert f"not learned ({shuffled['test']:.1f} % of the test images" in section
    assert f"class has {learned.loc[('a1l', 'test'), 'majority']:.1f})" in section
    dice = dice_rows("ham10k-cpu/table1.csv").loc["a1l"]
    assert f"difference of {dice['detectable']:.2f} points would have been found" in section
    assert dice["gain_ci_high"] < dice["published_mean"] - 90.01
    assert (dice["n_seeds"], "(five seeds)" in section) == (5, True)
    judged = pd.read_csv(ROOT / "docs/results/ham10k-cpu/verdicts.csv")
    by_image = judged[judged["protocol"] == "by_image"].set_index("claim")["verdict"]
    judged = judged[judged["protocol"] == "by_lesion"].set_index("claim")
    of_paper = ("Dice", "IoU", "VS", "AVD", "Centre")
    verdicts = judged.loc[[f"{name} against A1" for name in of_paper], "verdict"]
    assert set(verdicts) == {"not reproduced"}
    assert judged.loc["Perimeter against A1", ["verdict", "seeds_needed"]].tolist() == [
        "undecided",
        12,
    ]
    assert judged.loc["Equal training time", "verdict"] == "reproduced"
    assert set(by_image[[f"{name} against A1" for name in of_paper[:3]]]) == {"not reproduced"}
    others = [*(f"{name} against A1" for name in (*of_paper[3:], "Perimeter"))]
    assert set(by_image[others]) == {"undecided"}


def test_words_on_the_second_task_do_not_decide_what_its_intervals_leave_open():
    for path in ("ham10k-cpu/table1.csv", "ham10k-ends/ends.csv", "ham10k-cpu/by_image.csv"):
        row = dice_rows(path).loc["a1l"]
        assert row["gain_ci_low"] < 0 < row["gain_ci_high"], path
    for page in (ROOT / "README.md", ROOT / "docs/results/reproduction.md"):
        assert "shows no gain" in " ".join(page.read_text().split()), page.name


def test_the_gap_to_the_ellipse_is_that_of_the_seeds_that_are_named():
    text = " ".join((ROOT / "docs/results/reproduction.md").read_text().split())
    gaps = [
        pd.read_csv(ROOT / f"docs/results/ham10k-cpu/{name}.csv").query(
            "stratum == 'all images' and arm == 'a1' and against == 'ellipse'"
        )
        for name in ("gap", "seen_lesions")
    ]
    assert {f"{table['gap'].item():.1f}, {table['n_seeds'].item()}" for table in gaps} == {"3.6, 3"}
    a1, ellipse = (dice_rows("ham10k-cpu/table1.csv").loc[arm] for arm in ("a1", "ellipse"))
    five = f"{ellipse['mean'] - a1['mean']:.1f}"
    assert (a1["n_seeds"], f"(three seeds; by lesion, five seeds give {five})" in text) == (5, True)


def test_words_on_gaps_and_splits_with_flips_are_those_of_the_kept_tables():
    text = " ".join((ROOT / "docs/results/reproduction.md").read_text().split())
    table = pd.read_csv(ROOT / "docs/results/ham10k-cpu/attribution.csv")
    switched = table.query("base == 'by_lesion' and metric == 'dice'").set_index("quantity")
    assert set(switched["n_seeds"]) == {3}
    assert "makes no visible difference** (three seeds)" in text
    for name, words in (("a1", "A1 moves by"), ("gain", "the gain of A1+L by")):
        moved = "{difference:.2f} points [{ci_low:.2f}, +{ci_high:.2f}]"
        assert f"{words} {moved.format(**switched.loc[name])}" in text
    gap = pd.read_csv(ROOT / "docs/results/ham10k-cpu/gap.csv")
    refined = gap.query("arm == 'a1_refined' and against == 'ellipse'")
    refined = refined.set_index(["stratum", "value"]).sort_index()
    few, pale = refined.loc[("largest gaps", "5 %")], refined.loc[("contrast", "lowest quarter")]
    assert f"contrast accounts for {pale['share_of_gap']:.0f} % of the gap to the ellipse" in text
    assert f"and 51 images for {few['share_of_gap']:.0f} %" in text
    assert f"({few['dice']:.2f} against {few['dice_against']:.2f})" in text
    seen = pd.read_csv(ROOT / "docs/results/ham10k-cpu/seen_lesions.csv")
    seen = seen[seen["stratum"] == "in_training"].set_index("value")
    numbers = "{gap:.2f} [{ci_low:.2f}, {ci_high:.2f}]"
    known, new = (numbers.format(**seen.loc[value]) for value in ("yes", "no"))
    assert f"is {known} points for them and {new} for the others" in text


def test_words_on_the_gpu_say_that_its_finished_seeds_have_the_highest_validation_loss():
    text = " ".join((ROOT / "docs/results/reproduction.md").read_text().split())
    study = ROOT / "docs/results/ham10k-paper"
    finished = pd.read_csv(study / "test_means.csv").set_index("arm")["seed"]
    epochs = pd.read_csv(study / "validation.csv")
    lowest = epochs.groupby(["arm", "seed"])["val_segmentation_loss"].min()
    losses = []
    for arm in ("a1", "a1l"):
        own, others = lowest[arm, finished[arm]], lowest[arm].drop(finished[arm])
        assert (len(others), own > others.max()) == (3, True)
        losses += [own, others.min(), others.max()]
    losses = [f"{loss:.3f}" for loss in losses]
    assert losses[1] == losses[2]
    words = "A1: {0}, the others {1}; A1+L: {3}, the others {4} to {5}"
    assert words.format(*losses) in text
    for page in (ROOT / "README.md", ROOT / "docs/results/reproduction.md"):
        assert "(one of four seeds, the first to stop" in " ".join(page.read_text().split())


def test_words_on_the_native_frame_are_those_of_the_kept_runs():
    text = " ".join((ROOT / "docs/results/reproduction.md").read_text().split())
    dice = {arm: dice_of("ham10k-native/last.csv", arm) for arm in ("a1", "a1_last", "a1l")}
    assert f"A1 has {dice['a1']:.2f} % Dice and A1+L {dice['a1l']:.2f}," in text
    assert f"their difference, {dice['a1l'] - dice['a1']:+.2f} points" in text
    assert f"move A1 by {dice['a1_last'] - dice['a1']:+.2f} points" in text
    runs = ROOT / "docs/results/ham10k-native/runs/ham10k/native/runs"
    epochs = {}
    for arm in ("a1", "a1l"):
        run = json.loads((runs / arm / "seed-1/run.json").read_text())
        history = pd.read_csv(runs / arm / "seed-1/history.csv")
        epochs[arm] = run["kept_epoch"] + 1, len(history)
    assert epochs == {"a1": (9, 14), "a1l": (8, 13)}
    assert "ninth epoch of 14, A1+L those of the eighth of 13" in text
    accuracy = json.loads((runs / "a1l/seed-1/accuracy.json").read_text())["val"]["accuracy"]
    assert f"predicts {100 * accuracy:.0f} % of the validation images' 45 classes" in text


def test_words_on_networks_that_see_the_ellipse_are_those_of_the_kept_tables():
    text = " ".join((ROOT / "docs/results/prompted.md").read_text().split())
    study = "prompted-ham10k"
    noise = [dice_rows(f"{study}/mark_noise{percent}.csv")["mean"] for percent in (0, 3, 6)]
    exact, ellipse, robust = ([f"{means.iloc[row]:.2f}" for means in noise] for row in (1, 0, 2))
    assert "({}, {} and {} at 0, 3 and 6 %; the".format(*exact) in text
    assert "the ellipse {}, {} and {})".format(*ellipse) in text
    assert "corrects them: {}, {} and {}.".format(*robust) in text
    bounds = dice_rows(f"{study}/bounds.csv")["gain"]
    assert f"{bounds['prompted_refined']:+.2f} against {bounds['prompted_dense']:+.2f} for" in text
    assert f"copies the mark: {bounds['prompted_copy']:+.2f}." in text
    assert 0.90 < bounds["prompted_refined"] / bounds["prompted_dense"] < 0.95  # nine tenths
    samples = pd.read_csv(ROOT / f"docs/results/{study}/prompted_samples.csv")
    of = samples.set_index("samples")["mean"]
    assert f"50 training images give {of[50]:.2f}, 250 give {of[250]:.2f}" in text
    many = [of[number] for number in (500, 1000, 2000, 4000, 7008)]
    assert f"from 500 images upwards, Dice is {min(many):.2f} to {max(many):.2f}." in text
    gap = pd.read_csv(ROOT / f"docs/results/{study}/prompted_failures.csv")
    gap = gap.set_index(["stratum", "value"])
    assert f"by {gap['gap']['largest gaps', '1 %']:.1f} points in the worst hundredth" in text
    poor, rich = (gap["dice"]["contrast", f"{rank} quarter"] for rank in ("lowest", "highest"))
    assert f"lowest contrast ({poor:.1f} against {rich:.1f} in" in text
    runs = ROOT / f"docs/results/{study}/runs/ham10k/by_lesion/runs"

    def scores(arm, seeds=(1,)):
        tables = [pd.read_csv(runs / arm / f"seed-{n}/scores.csv.xz") for n in seeds]
        return pd.concat([each.set_index("id")["dice"] for each in tables], axis=1).mean(axis=1)

    mark, refined = scores("ellipse", (0,)), scores("prompted_refined", (1, 2, 3))
    worse = 1 / (refined < mark).mean(), 1 / (scores("prompted_refined_robust") < mark).mean()
    assert [round(each) for each in worse] == [17, 7]
    assert "one image in 17 is worse than its ellipse" in text
    assert "one image in seven is then worse than its ellipse" in text
    worst = (mark - refined).nlargest(11).index
    assert (scores("prompted_dense")[worst] < mark[worst]).all()
    lowest = 100 * refined.nsmallest(3)
    assert f"lowest Dice of all ({lowest.min():.0f} to {lowest.max():.0f})" in text


def test_the_ellipse_of_a_drawn_mark_is_as_much_smaller_than_the_mask_as_the_page_says():
    table = pd.read_csv(ROOT / "docs/results/drawn-marks/diameters.csv").set_index(["mask", "size"])
    smaller = -table.loc[("ellipse", "area"), "mean"]
    text = " ".join((ROOT / "docs/results/readers.md").read_text().split())
    assert f"ellipse's area is {smaller:.0f} % smaller than theirs" in text


def test_pages_that_name_the_gain_of_four_ends_on_lits_name_its_seeds():
    seeds = dice_rows("lits-ends/ends.csv").loc["a1_ends", "n_seeds"]
    named = {2: "two", 3: "three", 5: "five"}[int(seeds)]
    for name, words in (
        ("README.md", r"On LiTS, another small network has no visible gain: [^()]* \({}"),
        ("docs/results/reproduction.md", r"no visible gain\]\(lits\.md#[^()]*\) \({}"),
        ("docs/results/lits.md", r"over patches \[[^]]*\] \({}"),
    ):
        text = " ".join((ROOT / name).read_text().split())
        assert re.search(words.format(named) + r" seeds", text), name


def test_the_limits_of_two_readers_are_no_yardstick_for_masks_given_the_true_diameters():
    text = " ".join((ROOT / "docs/results/prompted.md").read_text().split())
    sentence = next(part for part in text.split(". ") if "-22.1 to 25.4 %" in part)
    assert "no yardstick" in sentence


def kept_dice(study, place):
    """Dice of all kept runs of an arm, with their seeds."""
    kept = ROOT / "docs/results" / study / "runs"
    runs = [path.relative_to(kept) for path in sorted((kept / place).glob("seed-*"))]
    scores = pd.concat(
        scores_of(kept, run).assign(seed=int(run.name.removeprefix("seed-"))) for run in runs
    )
    return scores[scores["metric"] == "dice"]


def test_words_on_patients_whose_ellipse_is_given_are_those_of_the_kept_runs():
    text = " ".join((ROOT / "docs/results/prompted-ct.md").read_text().split())
    ours, ellipse = (
        kept_dice("prompted-lits25", f"lits/recist/runs/{arm}")
        for arm in ("prompted_refined", "ellipse")
    )
    patients = ours.pivot_table(values="value", index="group", columns="seed")
    gains = patients.sub(ellipse.groupby("group")["value"].mean(), axis="index")
    assert gains.shape == (25, 3)
    assert (gains > 0).sum().tolist() == [24] * 3
    assert "better than the ellipse in 24 of 25 of them" in text
    assert f"and at most {-100 * gains.min().min():.1f} points worse in the other" in text
    assert (
        f"With {dice_of('prompted-lits25/prompted_ellipse.csv', 'prompted_refined'):.2f} %" in text
    )


def test_words_on_the_first_seed_in_float32_are_those_of_its_kept_runs():
    text = " ".join((ROOT / "docs/results/lits.md").read_text().split())
    kept = [kept_dice("lits-cpu", f"lits/by_patient/runs/{arm}") for arm in ("a1", "a1l")]
    patches = [100 * dice["value"].mean() for dice in kept]
    patients = [100 * dice.groupby("group")["value"].mean().mean() for dice in kept]
    assert "{:.1f} and {:.1f} % over patients".format(*patients) in text
    assert "{:.1f} and {:.1f} % over patches. The study's other".format(*patches) in text


def test_the_seeds_that_would_decide_about_the_second_task_on_lits():
    ours, theirs = (kept_dice("lits-ends", f"lits/by_patient/runs/{arm}") for arm in ("a1l", "a1"))
    published = printed_cells(
        read_published(ROOT / "workflow/resources/published_numbers.yaml"),
        "table1",
        {"a1": "A1", "a1l": "A1_L"},
    )
    claimed = published["LiTS", "a1l", "Dice"][0] - published["LiTS", "a1", "Dice"][0]
    needed = {
        unit: seeds_needed(parts_of_difference(pair(ours, theirs, unit)), claimed / 100)
        for unit in ("sample", "group")
    }
    text = " ".join((ROOT / "docs/results/lits.md").read_text().split())
    assert f"the paper's gain of {claimed:.2f} lies within both" in text
    assert f"{needed['sample']} seeds would find that gain over patches" in text
    assert f"and {needed['group']} over patients. Where both" in text
    means = [table.groupby(["seed", "group"])["value"].mean() for table in (ours, theirs)]
    gains = 100 * (means[0] - means[1]).groupby("seed").mean()
    assert "they give {:+.2f}, {:+.2f} and {:+.2f}.".format(*gains) in text
    least, most = (f(100 * means[0].groupby("seed").mean()) for f in (min, max))
    assert f"A1+L within {most - least:.1f} points ({least:.1f} to {most:.1f} %)" in text


def test_words_on_empty_masks_and_classes_on_lits_are_those_of_the_kept_runs():
    text = " ".join((ROOT / "docs/results/lits.md").read_text().split())
    empty = [
        (dice["status"] == "empty_prediction").groupby(dice["seed"]).sum()
        for arm in ("a1", "a1_ends", "a1l", "a1l_ends")
        for dice in [kept_dice("lits-ends", f"lits/by_patient/runs/{arm}")]
    ]
    counts = pd.concat(empty)
    assert len(counts) == 12
    assert f"empty in {counts.min()} to {counts.max()} of 1,324 patches" in text
    table = pd.read_csv(ROOT / "docs/results/lits-ends/accuracy_of_ends.csv")
    rows = table[table["arm"] == "a1l"].set_index("split")
    (train, test), majority = rows.loc[["train", "test"], "accuracy"], rows.loc["test", "majority"]
    assert f"{train:.1f} % of the training and {test:.1f} % of the test patches' 20" in text
    assert f"the largest class has {majority:.1f} % of the test patches" in text
    assert "has {:.1f} and {:.1f} %.".format(*rows.loc[["train", "test"], "published"]) in text
