"""The papers' claims: what is printed, what is measured, and what becomes of it."""

import functools
import json
import math
import re

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from weaklesion.report.power import power, printed_power, seeds_needed
from weaklesion.report.tables.judgement import (
    RULES,
    Measurement,
    judge,
    measure_hours,
    measure_metric,
)
from weaklesion.report.tables.overview import write_overview
from weaklesion.report.tables.verdicts import tabulate_verdicts
from weaklesion.scoring.chance import Parts, parts_of_variance
from weaklesion.scoring.statistics import compare
from weaklesion.study import arms
from weaklesion.study import items as experiments
from weaklesion.study.claims import (
    HAM10K,
    LARGER_IS_BETTER,
    claimed_arms,
    claimed_percent,
    expand_claims,
    printed_means,
)
from weaklesion.study.paper_claims import CLAIMS
from weaklesion.study.paper_settings import other_settings
from weaklesion.study.protocols import merge
from weaklesion.study.published import read_published
from weaklesion.support.yaml_files import read_yaml

POLICY = "worst_possible"
METRIC_OF = {
    "IoU": "iou",
    "Dice": "dice",
    "VS": "volumetric_similarity",
    "CenterError": "center_error",
    "PerimeterError": "perimeter_error",
    "AVD": "hausdorff",
    "Hausdorff": "hausdorff",
    "Precision": "precision",
    "Recall": "recall",
}
PROTOCOL = {"undefined": POLICY, "published_as": METRIC_OF, "is_released": False}
RELEASED = PROTOCOL | {"is_released": True}


def claim_named(name, *, released=True):
    return next(claim for claim in expand_claims(CLAIMS, released) if claim.name == name)


def verdicts(runs, published, folder, datasets=None, protocol=PROTOCOL, **more):
    tabulate_verdicts(
        runs=runs,
        networks=more.pop("networks", [run for run in runs if run.get("run")]),
        published_yaml=published,
        published_datasets={"ham10k": "HAM10K"} if datasets is None else datasets,
        protocols={"p": protocol},
        table_csv=folder / "v.csv",
        table_html=folder / "v.html",
        **more,
    )
    assert not re.search(r"\bnan\b", (folder / "v.html").read_text())
    return pd.read_csv(folder / "v.csv").set_index("claim")


def study(rng, claim, means, *, groups=40, seeds=5, of_groups=0.0, of_seeds=0.0, noise=0.0):
    """Scores of a claim's two arms, by group and seed, around given means."""
    shared = rng.normal(size=(groups, 1))  # what both arms find easy or hard
    values = [
        mean
        * (
            1
            + 0.05 * shared
            + of_groups * rng.normal(size=(groups, 1))
            + of_seeds * rng.normal(size=(1, seeds))
            + noise * rng.normal(size=(groups, seeds))
        )
        for mean in means
    ]
    rows = rows_of_study(claim.arm, claim.baselines[0], METRIC_OF[claim.column], groups, seeds)
    return rows.assign(value=np.ravel(values))


@functools.cache
def rows_of_study(arm, baseline, metric, groups, seeds):
    """The rows of two arms, by arm, group and seed, without values."""
    index = pd.MultiIndex.from_product(
        [[arm, baseline], [f"g{i}" for i in range(groups)], range(1, seeds + 1)],
        names=["arm", "group", "seed"],
    )
    return index.to_frame(index=False).assign(metric=metric, id=lambda rows: rows["group"])


def judge_alone(claim, measured, claimed, num_tests=1):
    """The verdict where Holm's correction multiplies by the size of the family."""
    p_holm = min(num_tests * measured.p_value, 1.0)
    return judge(claim, measured, claimed, p_holm, num_tests)


def printed_claims(published, kind):
    numbers = read_published(published)
    for released in (True, False):
        for claim in expand_claims(CLAIMS, released):
            for dataset in claim.datasets:
                printed = printed_means(claim, numbers, dataset) if claim.kind == kind else None
                if printed is not None:
                    yield claim, dataset, printed, claimed_percent(claim, numbers, dataset)


@pytest.mark.workflow
def test_no_claim_is_refused_the_papers_own_numbers(published):
    """Studies that find just what is printed: none is `not reproduced`, but for contradictions."""
    rng = np.random.default_rng(0)
    seen, refused = 0, set()
    for claim, dataset, printed, claimed in printed_claims(published, "metric"):
        scores = study(rng, claim, printed, of_groups=2e-4, of_seeds=1e-4, noise=2e-4)
        # the means are the printed ones, to the last digit
        arms_of = [claim.arm, claim.baselines[0]]
        for arm, mean in zip(arms_of, printed, strict=True):
            here = scores["arm"] == arm
            scores.loc[here, "value"] *= mean / scores.loc[here, "value"].mean()
        measured = measure_metric(
            scores.assign(status="ok"), claim, METRIC_OF[claim.column], claimed
        )
        found = judge_alone(claim, measured, claimed, num_tests=30)
        seen += 1
        if found["verdict"] == "not reproduced":
            refused.add((claim.contradicted.get(dataset), dataset, claim.column))
        elif claimed and dataset not in claim.contradicted:
            assert found["verdict"] == "reproduced", (claim.name, dataset, found)
    assert seen > 50
    assert refused == {("P6", "NIH_DeepLesion", "Dice")}


def test_printed_hours_are_not_refused(published):
    for claim, _, printed, claimed in printed_claims(published, "hours"):
        hours = {
            arm: {seed: mean * (1 + 0.001 * (seed - 2)) for seed in (1, 2, 3)}
            for arm, mean in zip((claim.arm, claim.baselines[0]), printed, strict=True)
        }
        measured = measure_hours(hours, claim, claimed)
        assert measured.improvement == pytest.approx(claimed)
        assert judge_alone(claim, measured, claimed)["verdict"] == "reproduced"


def test_contradictions_are_named_where_the_table_does_not_show_the_claim(published):
    numbers = read_published(published)
    unshown = {
        (claim.name, dataset)
        for claim, dataset, (ours, theirs), _ in printed_claims(published, "metric")
        if not (ours > theirs if claim.column in LARGER_IS_BETTER else ours < theirs)
        and "Loss" not in claim.name
    }
    named = {
        (claim.name, dataset)
        for released in (True, False)
        for claim in expand_claims(CLAIMS, released)
        for dataset in claim.contradicted
    }
    assert unshown == named
    inconsistencies = {"P6", "P8"}
    assert {value for claim in CLAIMS for value in claim.contradicted.values()} == inconsistencies
    assert claimed_percent(claim_named("ACoseg against A1"), numbers, "NIH_DeepLesion") == 0


def test_sizes_are_those_printed_for_the_dataset(published):
    numbers = read_published(published)
    table1 = numbers["table1"]["HAM10K"]
    ours, theirs = table1["A1_L"]["Dice"]["mean"], table1["A1"]["Dice"]["mean"]
    size = claimed_percent(claim_named("Dice against A1"), numbers, HAM10K)
    assert size == pytest.approx(100 * (ours / theirs - 1))
    assert round(size, 2) == table1["A1_L"]["Dice"]["pct"]
    avd = claimed_percent(claim_named("AVD against A1"), numbers, "LiTS")
    assert round(avd, 2) == -numbers["table1"]["LiTS"]["A1_L"]["AVD"]["pct"]
    hours = numbers["table2_training_gpu_hours"]["HAM10K"]
    saved = claimed_percent(claim_named("Training time"), numbers, HAM10K)
    assert saved == pytest.approx(100 * (1 - hours["A1_L"] / hours["ACoseg"]))
    headline = claimed_percent(claim_named("Dice, headline"), numbers, "NIH_DeepLesion")
    assert headline == numbers["headline_claims"]["abstract"]["dice_improvement_pct"]
    assert claimed_percent(claim_named("Best K"), numbers, "LiTS") == 0
    liver = claimed_percent(claim_named("Joint training, distance"), numbers, "LiTS_liver")
    assert liver == pytest.approx(22.54, abs=0.01)  # as their abstract says


@pytest.mark.workflow
@pytest.mark.parametrize(("of_seeds", "num_tests"), [(0.0, 1), (0.004, 7)])
def test_a_true_claim_is_seldom_refused(published, of_seeds, num_tests):
    """Where the truth equals the claim, at most one study in twenty says `not reproduced`."""
    rng = np.random.default_rng(11)
    claim = claim_named("Dice against A1")
    printed = printed_means(claim, read_published(published), HAM10K)
    claimed = claimed_percent(claim, read_published(published), HAM10K)
    found = []
    for _ in range(200):
        scores = study(
            rng, claim, printed, groups=40, of_groups=0.01, of_seeds=of_seeds, noise=0.01
        )
        measured = measure_metric(scores.assign(status="ok"), claim, "dice", claimed)
        found.append(judge_alone(claim, measured, claimed, num_tests)["verdict"])
    assert found.count("not reproduced") / len(found) <= 0.05
    # and a study in which nothing helps is seldom told that something does
    found = []
    for _ in range(200):
        none = [printed[1]] * 2
        scores = study(rng, claim, none, of_groups=0.01, of_seeds=of_seeds, noise=0.01)
        measured = measure_metric(scores.assign(status="ok"), claim, "dice", claimed)
        found.append(judge_alone(claim, measured, claimed, num_tests)["verdict"])
    assert found.count("reproduced") / len(found) <= 0.05


def test_the_rules_name_the_interval_that_decides():
    """A claim of 2.9 % is above the 95 % interval, and inside that of a family of five."""
    parts = Parts(
        between_groups=0.16, between_seeds=0.0, remainder=0.0, num_groups=100,
        effective_groups=100, num_seeds=3,
    )  # fmt: skip
    measured = Measurement(
        baseline="a1", metric="dice", improvement=2.0, difference=1.0, parts=parts, p_value=1e-6,
        rivals=1, n_seeds=3, n_groups=100,
    )  # fmt: skip
    judged = judge(claim_named("Dice against A1"), measured, 2.9, 5e-6, 5)
    assert judged["ci_high_percent"] < 2.9 < judged["corrected_high_percent"]
    assert judged["verdict"] == "reproduced"
    assert "within or below the interval at the level that is corrected" in RULES["reproduced"]


@pytest.mark.parametrize(
    ("of_groups", "of_seeds", "claimed", "why"),
    [
        (1.0, 0.0, 0.0, "the claim has no size, so no number of seeds can be named"),
        (1.0, 0.0, 4.0, "a difference of the claimed size would probably have been found"),
        (0.1, 4.0, 4.0, "9 seeds would find the claimed size in four of five studies"),
        (4.0, 0.1, 2.6, "no number of seeds would decide it on 100 groups"),
    ],
)
def test_an_undecided_claim_says_what_would_decide_it(of_groups, of_seeds, claimed, why):
    parts = Parts(
        between_groups=of_groups, between_seeds=of_seeds, remainder=0.0, num_groups=100,
        effective_groups=100, num_seeds=3,
    )  # fmt: skip
    measured = Measurement(
        baseline="a1", metric="dice", improvement=2.5, difference=1.0, parts=parts, p_value=0.2,
        rivals=1, n_seeds=3, n_groups=100,
    )  # fmt: skip
    judged = judge(claim_named("Dice against A1"), measured, claimed, 0.2, 1)
    assert (judged["verdict"], judged["why"]) == ("undecided", why)


@pytest.mark.parametrize(
    ("metric", "unit", "best"),
    [
        ("dice", "sample", "a1l~k5"),
        ("dice", "group", "a1l~k100"),
        ("hausdorff", "sample", "a1l~k100"),
        ("hausdorff", "group", "a1l~k5"),
    ],
)
def test_the_best_rival_is_the_one_with_the_best_mean_in_the_unit_that_counts(metric, unit, best):
    """Means over four samples of two groups: 0.7 and 0.6; over the groups: 0.5 and 0.6."""
    values = {"a1l": [1.0] * 4, "a1l~k5": [0.9, 0.9, 0.9, 0.1], "a1l~k100": [0.6] * 4}
    scores = pd.DataFrame(
        [
            {"arm": arm, "metric": metric, "id": f"s{i}", "group": group, "seed": seed,
             "value": value, "status": "ok"}
            for arm, row in values.items()
            for i, (group, value) in enumerate(zip("aaab", row, strict=True))
            for seed in (1, 2)
        ]
    )  # fmt: skip
    got = measure_metric(scores, claim_named("Best K"), metric, 0.0, unit)
    assert (got.baseline, got.rivals) == (best, 2)


def test_improvement_by_hand():
    claim = claim_named("Dice against A1")
    values = {"a1l": [[0.6, 0.7], [0.8, 0.9]], "a1": [[0.5, 0.5], [0.7, 0.8]]}
    scores = pd.DataFrame(
        [
            {"arm": arm, "metric": "dice", "id": f"s{i}", "group": f"g{i}", "seed": j + 1,
             "value": row[j]}
            for arm, rows in values.items()
            for i, row in enumerate(rows)
            for j in range(2)
        ]
    )  # fmt: skip
    got = measure_metric(scores.assign(status="ok"), claim, "dice", 1.0)
    assert got.improvement == pytest.approx(100 * (0.75 / 0.625 - 1))
    assert got.difference == pytest.approx(12.5)
    # ours minus 1.2 times theirs: 0, 0.1 / -0.04, -0.06; in percent of 0.625
    apart = np.array([[0.0, 0.1], [-0.04, -0.06]]) / 0.625 * 100
    by_group, by_seed = apart.mean(axis=1), apart.mean(axis=0)
    assert got.parts.between_groups == pytest.approx(np.var(by_group, ddof=1) / 2)
    assert got.parts.between_seeds == pytest.approx(np.var(by_seed, ddof=1) / 2)
    assert (got.n_seeds, got.n_groups, got.rivals) == (2, 2, 1)
    # were these numbers distances, the arm would be worse
    scores = scores.assign(metric="hausdorff", status="ok")
    got = measure_metric(scores, claim, "hausdorff", 1.0)
    assert (got.improvement, got.difference) == pytest.approx((-20, 0.125))
    later = scores["seed"].where(scores["arm"] == "a1", scores["seed"] + 2)
    assert measure_metric(scores.assign(seed=later), claim, "hausdorff", 1.0) is None


def test_means_of_a_claim_are_over_the_samples_that_both_arms_have():
    """On 50 images with the organ the arm is 2 points worse; elsewhere only the baseline draws."""
    rng = np.random.default_rng(2)
    claim = claim_named("Dice against A1")
    rows = []
    for seed in (1, 2, 3):
        with_organ = 0.9 + 0.01 * rng.normal(size=50) + 0.001 * seed
        ours = np.append(with_organ - 0.02 + 0.002 * rng.normal(size=50), np.full(40, math.nan))
        theirs = np.append(with_organ, np.zeros(40))
        for arm, values in (("a1l", ours), ("a1", theirs)):
            rows += [
                {"arm": arm, "metric": "dice", "id": f"s{i}", "group": f"g{i}", "seed": seed}
                | {"value": value}
                for i, value in enumerate(values)
            ]
    got = measure_metric(pd.DataFrame(rows).assign(status="ok"), claim, "dice", 1.0)
    assert got.difference == pytest.approx(-2, abs=0.1)
    assert got.improvement == pytest.approx(-100 * 2 / 90, abs=0.1)
    assert got.n_groups == 50


def test_p_is_that_of_the_same_comparison_in_table_1():
    rng = np.random.default_rng(4)
    claim = claim_named("Dice against A1")
    scores = study(rng, claim, (0.82, 0.8), of_groups=0.02, of_seeds=0.01, noise=0.02)
    got = measure_metric(scores.assign(status="ok"), claim, "dice", 1.0)
    ours, theirs = (scores[scores["arm"] == arm] for arm in ("a1l", "a1"))
    table1 = compare(ours, theirs)
    assert got.p_value == pytest.approx(table1.p_value)
    assert got.difference == pytest.approx(100 * table1.difference)


def better_runs(make_run, gain, seeds, **options):
    rng = np.random.default_rng(1)
    base = rng.uniform(0.5, 0.7, 60)
    return [
        run
        for seed in range(1, seeds + 1)
        for run in (
            make_run("a1", seed, base + rng.normal(0, 0.004, 60), **options),
            make_run("a1l", seed, base + gain + rng.normal(0, 0.004, 60), **options),
        )
    ]


@pytest.mark.parametrize(
    ("gain", "verdict"), [(0.03, "reproduced"), (0.0, "not reproduced"), (-0.03, "not reproduced")]
)
def test_a_clear_answer_over_five_seeds(make_run, published, tmp_path, gain, verdict):
    table = verdicts(better_runs(make_run, gain, 5), published, tmp_path)
    row = table.loc["Dice against A1"]
    assert row["verdict"] == verdict
    assert row["family"] == "primary"
    assert row["improvement_percent"] == pytest.approx(100 * gain / 0.6, abs=0.4)
    assert row["difference"] == pytest.approx(100 * gain, abs=0.3)
    assert row["corrected_low_percent"] <= row["ci_low_percent"] < row["ci_high_percent"]
    # equal in every other metric: no gain, so that what the paper prints is not reached
    assert table.loc["Centre against A1", "verdict"] == "not reproduced"


def test_less_than_is_claimed_is_not_reproduced_and_says_so(make_run, published, tmp_path):
    row = verdicts(better_runs(make_run, 0.001, 20), published, tmp_path).loc["Dice against A1"]
    assert row["verdict"] == "not reproduced"
    assert row["why"] == "better, but by less than claimed"


def test_families_are_corrected_by_themselves(make_run, published, tmp_path):
    rng = np.random.default_rng(2)
    base = rng.uniform(0.5, 0.7, 30)
    runs = [
        make_run(arm, seed, base + 0.01 * number + rng.normal(0, 0.05, 30),
                 others=0.5 + 0.01 * rng.normal())
        for number, arm in enumerate(("a1", "a1l", "acoseg", "a1l_dense"))
        for seed in (1, 2, 3)
    ]  # fmt: skip
    table = verdicts(runs, published, tmp_path)
    primary = table[table["family"] == "primary"]
    assert primary["p_holm"].equals(primary["p_value"])  # one test: A1+L against A1 on HAM10K
    secondary = table[table["family"] == "secondary"]
    tested = secondary["p_value"].dropna()
    assert secondary["p_holm"].dropna().min() == pytest.approx(
        min(1, len(tested) * tested.min()), rel=1e-4
    )
    assert set(secondary["corrected_level"].dropna().round(8)) == {round(0.05 / len(tested), 8)}


def test_arms_with_different_seeds_are_compared_over_those_that_both_have(
    make_run, published, tmp_path
):
    runs = better_runs(make_run, 0.03, 5)
    kept = [run for run in runs if run["arm"] != "a1l" or run["seed"] in (2, 4)]
    claim = verdicts(kept, published, tmp_path).loc["Dice against A1"]
    assert claim["n_seeds"] == 2
    same = [run for run in runs if run["seed"] in (2, 4)]
    assert claim["improvement_percent"] == pytest.approx(
        verdicts(same, published, tmp_path).loc["Dice against A1", "improvement_percent"]
    )


def test_the_page_names_metrics_as_the_tables_do_and_with_units(make_run, published, tmp_path):
    verdicts(better_runs(make_run, 0.03, 2), published, tmp_path)
    page = (tmp_path / "v.html").read_text()
    for name, unit in (("VS", "points"), ("Dice", "points"), ("Hausdorff", "px")):
        assert re.search(rf"against a1, {name}[^<]*: [-+]\d+\.\d\d {unit}<", page), name
    for metric in ("volumetric_similarity", "center_error"):
        assert metric not in page


def test_one_seed_decides_nothing(make_run, published, tmp_path):
    row = verdicts(better_runs(make_run, 0.03, 1), published, tmp_path).loc["Dice against A1"]
    assert (row["verdict"], row["why"]) == ("undecided", "one seed")
    assert "no interval" in (tmp_path / "v.html").read_text()


@pytest.mark.parametrize("patience", [None, 5])
def test_arms_that_were_not_to_be_trained_equally_long_test_no_claim(
    make_run, published, tmp_path, patience
):
    rng = np.random.default_rng(1)
    base = rng.uniform(0.5, 0.7, 60)
    runs = [
        make_run(
            arm, seed, base + gain + rng.normal(0, 0.004, 60), epochs=epochs, patience=patience
        )
        for seed in (1, 2, 3)
        for arm, gain, epochs in (("a1", 0.0, 6), ("a1l", 0.03, 12))
    ]
    row = verdicts(runs, published, tmp_path).loc["Dice against A1"]
    if patience:  # each may stop on its own
        assert row["verdict"] == "reproduced"
    else:
        assert row["verdict"] == "not testable here"
        assert row["why"] == "the two arms were not to be trained equally long"


def test_an_arm_is_as_long_trained_as_the_network_that_it_predicts_with(
    make_run, published, tmp_path
):
    """A1+L stands for an arm with the network of another one: it has no training of its own."""
    rng = np.random.default_rng(1)
    base = rng.uniform(0.5, 0.7, 60)
    runs = [
        make_run(arm, seed, base + gain + rng.normal(0, 0.004, 60), epochs=epochs)
        for seed in (1, 2, 3)
        for arm, gain, epochs in (("a1", 0.0, 6), ("a1l", 0.03, 12))
    ]
    own = [run if run["arm"] == "a1" else {**run, "run": None} for run in runs]
    for networks, verdict in ((runs, "not testable here"), (own[::2], "reproduced")):
        row = verdicts(own, published, tmp_path, networks=networks).loc["Dice against A1"]
        assert row["verdict"] == verdict


def test_times_of_different_machines_are_not_compared(make_run, published, tmp_path):
    runs = [
        make_run(arm, seed, np.full(60, 0.5), hours=hours + 0.01 * seed)
        for seed in (1, 2, 3)
        for arm, hours in (("acoseg", 10.0), ("a1l", 1.0), ("a1", 1.0))
    ]
    name = "Training time (acoseg)"
    assert verdicts(runs, published, tmp_path).loc[name, "verdict"] == "reproduced"
    for run in runs:
        if run["arm"] == "a1l":
            info = json.loads(run["run"].read_text()) | {"threads": 8}
            run["run"].write_text(json.dumps(info))
    row = verdicts(runs, published, tmp_path).loc[[name, "Equal training time"]]
    assert set(row["verdict"]) == {"not testable here"}
    assert set(row["why"]) == {
        "the two arms were trained on different devices or with other numbers of threads"
    }


def test_claims_are_judged_in_the_unit_of_the_main_table(make_run, published, tmp_path):
    """Better in one patient of ten, who has half of all images, and worse in the others."""
    rng = np.random.default_rng(4)
    patients = np.repeat(np.arange(10), [81, *[9] * 9])
    runs = []
    for arm, gains in (("a1", (0.0, 0.0)), ("a1l", (0.1, -0.02))):
        for seed in (1, 2, 3):
            gain = np.where(patients == 0, *gains)
            run = make_run(arm, seed, 0.6 + gain + rng.normal(0, 0.001, len(patients)))
            scores = pd.read_csv(run["scores"])
            scores["group"] = scores["id"].map({f"s{i}": f"p{p}" for i, p in enumerate(patients)})
            scores.to_csv(run["scores"], index=False)
            runs.append(run)
    per_image = verdicts(runs, published, tmp_path).loc["Dice against A1"]
    per_patient = verdicts(runs, published, tmp_path, unit="group").loc["Dice against A1"]
    assert per_image["difference"] == pytest.approx(0.5 * 10 - 0.5 * 2, abs=0.1)
    assert "counts once in means" in (tmp_path / "v.html").read_text()
    assert per_patient["difference"] == pytest.approx((10 - 9 * 2) / 10, abs=0.1)


def test_samples_that_one_arm_leaves_undefined_support_no_claim_per_group(
    make_run, published, tmp_path
):
    """Both arms are alike, but a1l finds nothing in the hard image of each patient."""
    rng = np.random.default_rng(6)
    easy_and_hard = np.tile([0.9, 0.9, 0.9, 0.3], 20)
    groups = [f"p{patient}" for patient in np.repeat(np.arange(20), 4)]
    runs = []
    for seed in (1, 2, 3):
        for arm, of_hard in (("a1", 0.3), ("a1l", math.nan)):
            dice = np.where(easy_and_hard == 0.3, of_hard, easy_and_hard)
            runs.append(make_run(arm, seed, dice + rng.normal(0, 0.01, 80), groups=groups))
    excluded = PROTOCOL | {"undefined": "exclude"}
    for unit in ("sample", "group"):
        table = verdicts(runs, published, tmp_path, protocol=excluded, unit=unit)
        row = table.loc["Dice against A1"]
        assert row["difference"] == pytest.approx(0, abs=0.5)  # of patients' means: 15 points
        assert row["verdict"] != "reproduced"


@pytest.mark.parametrize("policy", ["released", "stated", "exclude"])
def test_a_baseline_that_finds_nothing_leaves_its_claims_undecided(
    make_run, published, tmp_path, policy
):
    runs = better_runs(make_run, 0.1, 2)
    for run in runs:
        if run["arm"] == "a1":
            scores = pd.read_csv(run["scores"]).assign(status="empty_prediction")
            scores.loc[scores["metric"] == "hausdorff", "value"] = math.nan
            scores.to_csv(run["scores"], index=False)
    table = verdicts(runs, published, tmp_path, protocol=PROTOCOL | {"undefined": policy})
    row = table.loc["AVD against A1"]
    assert (row["baseline"], row["verdict"]) == ("a1", "undecided")
    assert row["why"] == "the baseline's mean is 0 or undefined"


@pytest.mark.parametrize("finds", ["nothing", "something in one image"])
def test_two_arms_that_find_nothing_decide_no_claim(make_run, published, tmp_path, finds):
    """The distance of an empty mask is the patch's diagonal, whoever left it empty."""
    runs = []
    for seed in (1, 2, 3):
        for arm in ("a1", "a1l"):
            run = make_run(arm, seed, [0.0] * 20)
            scores = pd.read_csv(run["scores"]).assign(status="empty_prediction")
            distances = scores["metric"].isin(["hausdorff", "center_error"])
            scores.loc[distances, "value"] = 169.7
            if finds == "something in one image":
                scores.loc[scores["id"] == scores["id"].iloc[0], "status"] = "ok"
            scores.to_csv(run["scores"], index=False)
            runs.append(run)
    row = verdicts(runs, published, tmp_path).loc["AVD against A1"]
    if finds == "nothing":
        assert (row["verdict"], row["why"]) == ("undecided", "all masks of both arms are empty")
        assert math.isnan(row["p_holm"])
    else:
        assert row["verdict"] == "not reproduced"


def test_the_same_difference_everywhere_decides_no_claim(make_run, published, tmp_path):
    """Three images on which the arm is better by one and the same number, whatever the seed."""
    base = np.array([0.5, 0.6, 0.7])
    runs = [
        run
        for seed in (1, 2)
        for run in (make_run("a1", seed, base), make_run("a1l", seed, 1.1 * base))
    ]
    row = verdicts(runs, published, tmp_path).loc["Dice against A1"]
    assert row["improvement_percent"] == pytest.approx(10)
    assert (row["verdict"], row["why"]) == ("undecided", "groups do not differ")
    assert row[["p_value", "ci_low_percent", "detectable_percent"]].isna().all()


def test_a_phantom_tests_no_claim_of_the_papers(make_run, published, tmp_path):
    table = verdicts(better_runs(make_run, 0.03, 2), published, tmp_path, datasets={})
    assert set(table["verdict"]) == {"not testable here"}
    assert set(table["why"]) == {"not the paper's dataset"}
    assert set(table["paper"]) == {"Chu et al. 2021"}


def test_claims_about_arms_that_were_not_run(make_run, published, tmp_path):
    runs = [run | {"run": None} for run in better_runs(make_run, 0.03, 2)]
    table = verdicts(runs, published, tmp_path, protocol=RELEASED)
    assert table.loc["Training time", "verdict"] == "not testable here"
    assert table.loc["Training time", "why"] == "an arm is missing"
    # the text claims it on CT only
    assert "Dice against ACoseg" not in table.index
    page = (tmp_path / "v.html").read_text()
    for rule in RULES.values():
        assert rule.split(",")[0].replace("'", "&#39;") in page


def test_claims_on_acoseg_are_about_what_the_protocol_trains(make_run, published, tmp_path):
    runs = better_runs(make_run, 0.03, 2)
    rng = np.random.default_rng(3)
    for arm, dice in (("acoseg", 0.55), ("acoseg_released", 0.5)):
        runs += [make_run(arm, seed, dice + 0.1 * rng.random(60)) for seed in (1, 2)]
    both = verdicts(runs, published, tmp_path)
    for arm in ("acoseg", "acoseg_released"):
        row = both.loc[f"ACoseg against A1 ({arm})"]
        assert (row["arm"], row["baseline"]) == (arm, "a1")
        assert both.loc[f"Dice against ACoseg on HAM10K ({arm})", "baseline"] == arm
    released = verdicts(runs, published, tmp_path, protocol=RELEASED)
    assert released.loc["ACoseg against A1", "arm"] == "acoseg_released"
    assert not any(re.search(r"\(acoseg", name) for name in released.index)


def test_a_claim_of_another_paper(make_run, published, tmp_path):
    rng = np.random.default_rng(3)
    base = rng.uniform(0.6, 0.7, 60)
    runs = [
        make_run(arm, seed, base + gain + rng.normal(0, 0.004, 60), dataset="liver")
        for arm, gain in (("cmu_net", 0.05), ("cmu_unet", 0.0))
        for seed in range(1, 6)
    ]
    table = verdicts(runs, published, tmp_path, datasets={"liver": "LiTS_liver"})
    assert table.loc["Joint training, Dice", "verdict"] == "reproduced"
    assert table.loc["Joint training against pre-training", "why"] == "an arm is missing"
    assert set(table["paper"]) == {"Moseley et al."}  # none of the arms of Chu et al. was run


@pytest.mark.parametrize(
    ("hours", "verdict"),
    [
        ({"a1l": [1, 1, 1.1], "acoseg": [4, 4.1, 4]}, "reproduced"),
        ({"a1l": [3, 3, 3], "acoseg": [4, 4.1, 4]}, "not reproduced"),
        ({"a1l": [1, 3, 2], "acoseg": [4, 4, 4]}, "undecided"),
        ({"a1l": [1], "acoseg": [4]}, "undecided"),
    ],
)
def test_training_time(hours, verdict):
    claim = claim_named("Training time (acoseg)", released=False)
    by_seed = {arm: dict(enumerate(values, start=1)) for arm, values in hours.items()}
    measured = measure_hours(by_seed, claim, 69.0)
    assert judge_alone(claim, measured, 69.0)["verdict"] == verdict
    saved = [100 * (1 - a / b) for a, b in zip(hours["a1l"], hours["acoseg"], strict=True)]
    assert measured.improvement == pytest.approx(np.mean(saved))


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [([4, 4.1, 4], "reproduced"), ([6, 6.2, 6], "not reproduced"), ([3, 5, 4], "undecided")],
)
def test_equal_training_time(ours, verdict):
    claim = claim_named("Equal training time")
    hours = {"a1l": dict(enumerate(ours)), "a1": dict(enumerate([4, 4.05, 4.05]))}
    measured = measure_hours(hours, claim, 0.0)
    assert judge_alone(claim, measured, 0.0)["verdict"] == verdict
    assert math.isnan(measured.p_value)  # it is no test of a family


@pytest.mark.parametrize("name", ["Equal training time", "Training time (acoseg)"])
def test_one_seed_decides_nothing_about_times(name):
    claim = claim_named(name, released=False)
    hours = {arm: {1: 4.0} for arm in (claim.arm, *claim.baselines)}
    measured = measure_hours(hours, claim, 0.0)
    judged = judge_alone(claim, measured, 0.0)
    assert (judged["verdict"], judged["why"]) == ("undecided", "one seed")
    assert math.isnan(measured.p_value)
    assert math.isnan(judged["ci_low_percent"])


def test_best_of_a_sweep_is_compared_with_the_best_rival(make_run, published, tmp_path):
    rng = np.random.default_rng(2)
    base = rng.uniform(0.5, 0.7, 60)
    dice = {"a1l": 0.02, "a1l~k5": 0.0, "a1l~k100": 0.01, "a1l~alpha5": 0.05, "a1l~alpha10": 0.0}
    runs = [
        make_run(arm, seed, base + gain + rng.normal(0, 0.001, 60))
        for arm, gain in dice.items()
        for seed in range(1, 6)
    ]
    table = verdicts(runs, published, tmp_path)
    k, alpha = table.loc["Best K"], table.loc["Best alpha"]
    assert (k["baseline"], k["verdict"]) == ("a1l~k100", "reproduced")
    assert k["improvement_percent"] == pytest.approx(100 * 0.01 / 0.61, abs=0.1)
    assert (alpha["baseline"], alpha["verdict"]) == ("a1l~alpha5", "not reproduced")
    # two rivals each
    assert k["corrected_level"] == pytest.approx(0.05 / 2 / table["p_value"].count(), rel=1e-4)


@pytest.mark.parametrize(
    ("lost", "verdict"),
    [
        (0.01, "reproduced"),
        (0.0187, "reproduced"),
        (0.03, "not reproduced"),
        (0.06, "not reproduced"),
    ],
)
def test_a_loss_that_is_granted(make_run, published, tmp_path, lost, verdict):
    rng = np.random.default_rng(3)
    base = rng.uniform(0.6, 0.7, 60)
    runs = [
        make_run(arm, seed, base - loss + rng.normal(0, 0.004, 60))
        for arm, loss in (("a1l", lost), ("a1l_dense", 0.0))
        for seed in range(1, 6)
    ]
    row = verdicts(runs, published, tmp_path).loc["Loss by weak supervision"]
    printed = read_published(published)["table6_supervision_dice"]["HAM10K"]
    granted = 100 * (printed["Ellipse"] / printed["FullySupervised"] - 1)
    assert -3 < granted < -2.8
    assert row["claimed_percent"] == pytest.approx(granted, rel=1e-4)
    assert row["improvement_percent"] == pytest.approx(-100 * lost / 0.65, abs=0.2)
    assert row["verdict"] == verdict


@pytest.mark.parametrize(
    ("encoder", "parameters", "verdict"),
    [
        ("resnet101", 45_669_713, "reproduced"),
        ("resnet101", 45_669_714, "not reproduced"),
        ("resnet18", 12_000_000, "not testable here"),
    ],
)
def test_numbers_of_parameters_are_compared_exactly(
    make_run, published, tmp_path, encoder, parameters, verdict
):
    runs = [make_run("a1", 1, [0.5, 0.6], encoder=encoder, parameters=parameters)]
    row = verdicts(runs, published, tmp_path).loc["Parameters of a1"]
    assert row["verdict"] == verdict
    assert f"{parameters:,}" in row["why"]


def test_a_verdict_of_another_training_than_the_papers_names_each_setting(
    make_run, published, tmp_path
):
    runs = [
        run | {"other_settings": ["epochs 4 instead of 50"] if run["arm"] == "a1" else []}
        for run in better_runs(make_run, 0.03, 5)
    ]
    row = verdicts(runs, published, tmp_path).loc["Dice against A1"]
    assert row["verdict"] == "reproduced"
    assert row["other_settings"] == "epochs 4 instead of 50"
    assert "training: epochs 4 instead of 50" in (tmp_path / "v.html").read_text()


@pytest.mark.parametrize("own", [[], ["encoder resnet18 instead of resnet101"]])
def test_settings_that_all_claims_share_stand_once_on_the_page(make_run, published, tmp_path, own):
    """`own` are settings of A1 alone; claims about A1+L alone do not share them."""
    shared = "epochs 4 instead of 50"
    runs = [
        run | {"other_settings": [shared, *own] if run["arm"] == "a1" else [shared]}
        for run in better_runs(make_run, 0.03, 5)
    ]
    rows = verdicts(runs, published, tmp_path)
    number = (rows["verdict"] != "not testable here").sum()
    assert number > 1
    assert (tmp_path / "v.html").read_text().count(shared) == (number if own else 1)


@pytest.fixture
def paper(root):
    return read_yaml(root / "config.yaml")


def test_every_setting_that_is_not_the_papers_is_found(paper, root):
    study_yaml = read_yaml(root / "workflow/studies/ham10k-cpu.yaml")
    config = merge(paper, study_yaml)
    run = experiments.Run("ham10k", "by_lesion", "a1l", 1)
    found = other_settings(config, paper, run)
    assert {text.split()[0] for text in found} == {
        "encoder", "weights", "input_px", "pad_to", "epochs", "patience", "schedule",
        "checkpoint", "augmentation",
    }  # fmt: skip
    assert "epochs 4 instead of 50" in found
    assert "pad_to 64x64 instead of 128x128" in found
    assert other_settings(paper, paper, experiments.Run("lits", "released", "a1l~k20", 1)) == []
    # an arm that is not of the paper has nothing to differ from
    small = merge(config, {"arms": {"mine": {"base": "a1"}}})
    assert other_settings(small, paper, run._replace(arm="mine")) == []
    limited = merge(paper, {"datasets": {"ham10k": {"limit": {"train": 50}}}})
    assert other_settings(limited, paper, experiments.Run("ham10k", "corrected", "a1", 1)) == [
        "at most 50 train samples"
    ]


def test_arms_that_claims_read_are_defined(paper):
    for arm in claimed_arms(CLAIMS):
        assert arms.arm_definition(paper, arm.split("~")[0])


def test_power_by_simulation():
    parts = Parts(
        between_groups=4.0,
        between_seeds=2.0,
        remainder=0.0,
        num_groups=40,
        effective_groups=40,
        num_seeds=5,
    )
    chance = parts.chance()
    rng = np.random.default_rng(0)
    # a t with these degrees of freedom: the variance is estimated by a scaled chi-square
    means = 7.0 + chance.std_error * rng.normal(size=20_000)
    errors = chance.std_error * np.sqrt(rng.chisquare(chance.freedom, 20_000) / chance.freedom)
    found = np.abs(means) / errors > stats.t.ppf(0.975, chance.freedom)
    assert power(chance, 7.0) == pytest.approx(found.mean(), abs=0.01)
    assert power(parts_of_variance(0.0, 3).chance(), 1.0) == 1.0


def test_seeds_that_are_needed():
    parts = parts_of_variance(1.0, 3)
    needed = seeds_needed(parts, 1.0)
    assert power(parts.with_seeds(needed).chance(), 1.0) >= 0.8
    assert power(parts.with_seeds(needed - 1).chance(), 1.0) < 0.8
    assert needed == 10  # as tables of the paired t-test have it
    assert seeds_needed(parts, 1.0, level=0.05 / 7) > needed
    few = Parts(
        between_groups=1.0,
        between_seeds=1.0,
        remainder=0.0,
        num_groups=5,
        effective_groups=5,
        num_seeds=5,
    )
    assert seeds_needed(few, 1.0) is None  # groups alone are too much chance
    assert seeds_needed(parts, 0.0) is None


def test_the_number_of_seeds_suffices_for_every_primary_claim(published, paper, root):
    rows = printed_power(read_published(published), len(paper["seeds"]))
    assert max(row["seeds_needed"] for row in rows) == len(paper["seeds"])
    assert all(row["power"] >= 0.8 for row in rows)
    of_five = printed_power(read_published(published), paper["secondary_seeds"])
    statistics_md = (root / "docs/explanation/statistics.md").read_text()
    for row, few in zip(rows, of_five, strict=True):
        line = (
            f"| {row['claim']} | {row['dataset']} | {row['size']:+.2f} | {row['deviation']:.2f} |"
            f" {few['power']:.2f} | {row['power']:.2f} | {row['seeds_needed']} |"
        )
        assert line in statistics_md


def test_one_seed_finds_nothing(published):
    assert {row["power"] for row in printed_power(read_published(published), 1)} == {0.0}


def test_power_from_the_printed_deviations(published):
    rows = {
        (row["claim"], row["dataset"]): row for row in printed_power(read_published(published), 10)
    }
    assert len(rows) == 5
    ham = rows[("Dice against A1", "HAM10K")]
    assert ham["size"] == pytest.approx(0.53)
    assert ham["deviation"] == pytest.approx(math.sqrt(1.5 * (0.09**2 + 0.22**2)))
    assert ham["level"] == pytest.approx(0.01)
    assert 0.9 < ham["power"] < 1
    assert ham["seeds_needed"] == 7
    assert rows[("Dice against A1", "NIH_DeepLesion")]["seeds_needed"] == 12


@pytest.mark.parametrize(("hours", "total"), [(1.0, "4"), (1080.25, "4321")])
def test_overview_tells_what_was_run(make_run, published, tmp_path, hours, total):
    runs = better_runs(make_run, 0.03, 2, hours=hours)
    verdicts(runs, published, tmp_path)
    pd.DataFrame(
        [{"dataset": "ham10k", "protocol": "p", "arm": "a1", "metric": "dice", "mean": 60.0,
          "std": 1.0, "ci_low": 58.0, "ci_high": 62.0, "published_mean": 90.01,
          "published_std": 0.09, "n_seeds": 2, "network": "resnet101"}]
    ).to_csv(tmp_path / "table1.csv", index=False)  # fmt: skip
    account = {"kept": {"train": 7, "val": 8, "test": 9}}
    (tmp_path / "patches.json").write_text(json.dumps(account))
    write_overview(
        study="mine",
        titles={"table1": "Table 1: the effect"},
        runs=runs,
        patches=[{"dataset": "ham10k", "protocol": "p", "source": "dataverse",
                  "patches": tmp_path / "patches.json"}],
        verdicts_csv=tmp_path / "v.csv",
        table1_csv=tmp_path / "table1.csv",
        page_html=tmp_path / "o.html",
    )  # fmt: skip
    page = (tmp_path / "o.html").read_text()
    for word in (
        "Study mine",
        "0123456789ab",
        "one GPU (1 thread per training)",
        f"{total} h of training",
        f"<td>4</td><td>{total}</td>",
        "Table 1: the effect",
        "<td>7</td><td>8</td><td>9</td>",
        "torch 2.1 or 2.2",
        "<code>7b7b7b7b7b7b</code>",
        "90.01 ± 0.09",
    ):
        assert word in page
