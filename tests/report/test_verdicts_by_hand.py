"""Verdicts on numbers whose chance is known by hand, at the limits where a verdict turns."""

import math
from dataclasses import replace

import pandas as pd
import pytest

from weaklesion.report.power import seeds_needed
from weaklesion.report.tables.judgement import (
    Measurement,
    _is_rival,
    judge,
    judge_parameters,
    measure_hours,
    measure_metric,
)
from weaklesion.report.tables.verdicts import (
    COLUMNS,
    UNTESTABLE,
    _claims_of_block,
    _measure,
    _no_match,
    _other_settings,
    _with_verdicts,
    common_settings,
    counts,
    tabulate_verdicts,
    untestable,
)
from weaklesion.scoring.chance import Parts, parts_of_variance
from weaklesion.study.claims import HAM10K, LITS, expand_claims, printed_means
from weaklesion.study.paper_claims import CLAIMS
from weaklesion.study.published import read_published

NAN = math.nan
DICE, BEST_K, LOSS, TIME, EQUAL_TIME = (
    next(claim for claim in expand_claims(CLAIMS, True) if claim.name == name)
    for name in (
        "Dice against A1", "Best K", "Loss by weak supervision", "Training time",
        "Equal training time",
    )
)  # fmt: skip
# a standard error of 1 and endless degrees of freedom: the 95 % interval reaches 1.96 to each side
ONE = Parts(
    between_groups=1.0, between_seeds=0.0, remainder=0.0, num_groups=10**7,
    effective_groups=1e7, num_seeds=3,
)  # fmt: skip


def measured(improvement, *, parts=ONE, p_value=0.01, rivals=1, n_seeds=3):
    return Measurement(
        baseline="a1", metric="dice", improvement=improvement, difference=1.0, parts=parts,
        p_value=p_value, rivals=rivals, n_seeds=n_seeds, n_groups=10**7,
    )  # fmt: skip


def verdict(claim, improvement, claimed, p_holm=0.01):
    judged = judge(claim, measured(improvement), claimed, p_holm, 1)
    return judged["verdict"], judged["why"]


FOUND = "a difference of the claimed size would probably have been found"


@pytest.mark.parametrize(
    ("improvement", "p_holm", "expected"),
    [
        (2.9, 0.01, ("not reproduced", "better, but by less than claimed")),  # up to 4.86
        (2.9, 0.06, ("not reproduced", "")),
        (3.1, 0.01, ("reproduced", "")),  # up to 5.06
        (3.1, 0.0499, ("reproduced", "")),
        (3.1, 0.05, ("undecided", FOUND)),
        (9.0, 0.01, ("reproduced", "")),
        (-9.0, 0.01, ("not reproduced", "")),
    ],
)
def test_a_gain_of_5_is_claimed(improvement, p_holm, expected):
    assert verdict(DICE, improvement, 5.0, p_holm) == expected


@pytest.mark.parametrize(
    ("improvement", "p_holm", "expected"),
    [
        (1.0, 0.01, "reproduced"),
        (-4.9, 0.01, "reproduced"),  # up to -2.94; no less than twice the loss
        (-5.0, 0.01, "not reproduced"),  # up to -3.04
        (-4.9, 0.06, "undecided"),
        (-7.0, 0.01, "not reproduced"),
    ],
)
def test_a_loss_of_3_is_granted(improvement, p_holm, expected):
    """Less than is granted is no gain that would be smaller than claimed."""
    found, why = verdict(LOSS, improvement, -3.0, p_holm)
    assert found == expected
    assert "better" not in why


def test_equal_arms_leave_a_claim_without_a_size_undecided():
    """Its interval ends where the claim is: it does not lie below it."""
    none = replace(ONE, between_groups=0.0)
    judged = judge(BEST_K, measured(0.0, parts=none, p_value=1.0), 0.0, 1.0, 1)
    why = "the claim has no size, so no number of seeds can be named"
    assert (judged["verdict"], judged["why"]) == ("undecided", why)


@pytest.mark.parametrize("sign", [1, -1], ids=["faster", "slower"])
@pytest.mark.parametrize(
    ("improvement", "expected"),
    [
        (0.0, "reproduced"),
        (8.0, "reproduced"),  # 6.04 to 9.96
        (8.1, "undecided"),  # 6.14 to 10.06
        (11.9, "undecided"),  # 9.94 to 13.86
        (12.0, "not reproduced"),  # 10.04 to 13.96
    ],
)
def test_times_are_equal_within_10_percent(sign, improvement, expected):
    assert verdict(EQUAL_TIME, sign * improvement, 0.0, NAN)[0] == expected


def test_the_level_is_divided_by_the_family_and_by_the_rivals():
    """0.05 by 5 tests and 2 rivals: 0.005, whose quantile is 2.807; that of 80 % is 0.842."""
    judged = judge(BEST_K, measured(2.0, rivals=2), 3.0, 0.01, 5)
    assert judged["corrected_level"] == pytest.approx(0.005)
    for key, reach in (("ci", 1.96), ("corrected", 2.807)):
        found = judged[f"{key}_low_percent"], judged[f"{key}_high_percent"]
        assert found == pytest.approx((2 - reach, 2 + reach), abs=1e-3)
    assert judged["detectable_percent"] == pytest.approx(2.807 + 0.842, abs=1e-3)


@pytest.mark.parametrize(("more", "expected"), [(-1, "18 seeds would find"), (0, "would probably")])
def test_seeds_that_are_needed_are_those_of_the_corrected_level(more, expected):
    """With a deviation of 1, a difference of 1 needs 10 seeds at 5 %, and 18 at 0.5 %."""
    parts = parts_of_variance(1.0, 3)
    assert seeds_needed(parts, 1.0) == 10
    judged = judge(DICE, measured(1.0, parts=parts, n_seeds=18 + more), 1.0, 0.2, 10)
    assert judged["seeds_needed"] == 18
    assert expected in judged["why"]


def scores_of(arms, *, metric="dice", empty=()):
    """Scores of each arm, alike in two seeds, one group per value; `empty` arms find nothing."""
    return pd.DataFrame(
        [
            {"arm": arm, "metric": metric, "id": f"s{i}", "group": f"g{i}", "seed": seed,
             "value": value, "status": "empty_prediction" if arm in empty else "ok"}
            for arm, values in arms.items()
            for i, value in enumerate(values)
            for seed in (1, 2)
        ]
    )  # fmt: skip


# differences of 0.01, 0.03, 0.01 and 0.03 from 0.5: a mean of 0.02, an error of 0.01 / sqrt(3), and
# so t = 2 sqrt(3) with 3 degrees of freedom
BETTER, BASE = [0.51, 0.53, 0.51, 0.53], [0.5] * 4
P_VALUE = 1 - 2 / math.pi * (2 / 5 + math.atan(2))  # 0.0405


@pytest.mark.parametrize(("rivals", "factor"), [(["a1l~k5"], 1), (["a1l~k5", "a1l~k100"], 2)])
def test_the_best_of_two_rivals_doubles_p(rivals, factor):
    arms = {"a1l": BETTER} | {
        arm: [value - 0.1 * i for value in BASE] for i, arm in enumerate(rivals)
    }
    got = measure_metric(scores_of(arms), BEST_K, "dice", 0.0)
    assert (got.baseline, got.rivals, got.n_seeds, got.n_groups) == ("a1l~k5", factor, 2, 4)
    assert got.p_value == pytest.approx(factor * P_VALUE)
    assert (got.improvement, got.difference) == pytest.approx((4.0, 2.0))


def test_p_is_at_most_1():
    arms = {"a1l": [0.4, 0.6], "a1l~k5": [0.5, 0.5], "a1l~k100": [0.1, 0.1]}
    assert measure_metric(scores_of(arms), BEST_K, "dice", 0.0).p_value == pytest.approx(1)


@pytest.mark.parametrize("metric", ["dice", "hausdorff"])
def test_a_rival_without_a_mean_is_not_the_best(metric):
    arms = {"a1l": BETTER, "a1l~k5": [NAN] * 4, "a1l~k100": BASE}
    assert (
        measure_metric(scores_of(arms, metric=metric), BEST_K, metric, 0.0).baseline == "a1l~k100"
    )


def test_rivals_are_the_values_of_one_setting():
    rivals = [
        arm
        for arm in ("a1l~k5", "a1l~k2.5", "a1l", "a1l~k", "a1l~k5_crf", "xa1l~k5", "a1l~alpha5")
        if _is_rival(arm, BEST_K)
    ]
    assert rivals == ["a1l~k5", "a1l~k2.5"]


@pytest.mark.parametrize(("metric", "lost"), [("dice", -0.03), ("hausdorff", 0.03)])
def test_a_granted_loss_is_tested_against_twice_itself(metric, lost):
    """Of 3 % granted, 6 % of 0.5 are lost: a mean just where the test stands, so that p is 1."""
    ours = [0.5 + lost + apart for apart in (0.01, -0.01, 0.01, -0.01)]
    scores = scores_of({"a1l": ours, "a1l_dense": BASE}, metric=metric)
    got = measure_metric(scores, LOSS, metric, -3.0)
    assert got.improvement == pytest.approx(-6)
    assert got.p_value == pytest.approx(1)


@pytest.mark.parametrize("empty", ["a1", "a1l"])
def test_one_arm_that_finds_nothing_is_still_measured(empty):
    got = measure_metric(scores_of({"a1l": BETTER, "a1": BASE}, empty=[empty]), DICE, "dice", 1.0)
    assert got.parts.unknown == ""
    assert got.p_value == pytest.approx(P_VALUE)


def test_hours_are_compared_over_the_seeds_that_both_arms_have():
    """Of 4 hours 3 and 2 are saved: 75 and 50 %, an error of 12.5, t = 5 with one degree."""
    hours = {"a1l": {1: 9.0, 2: 1.0, 3: 2.0}, "acoseg_released": {2: 4.0, 3: 4.0, 4: 99.0}}
    got = measure_hours(hours, TIME, 60.0)
    assert (got.improvement, got.difference, got.n_seeds) == (62.5, -2.5, 2)
    assert got.p_value == pytest.approx(1 - 2 / math.pi * math.atan(5))
    del hours["a1l"][2], hours["a1l"][3]
    assert measure_hours(hours, TIME, 60.0) is None


def test_each_protocol_has_its_own_families_over_all_its_datasets():
    tests = [
        ("p", "ham10k", 0.03), ("p", "lits", 0.04), ("q", "ham10k", 0.03), ("q", "lits", NAN),
    ]  # fmt: skip
    rows = [
        {"protocol": protocol, "dataset": dataset, "family": "primary", "p_value": p,
         "claimed_percent": 2.0, "verdict": None if p == p else UNTESTABLE}
        for protocol, dataset, p in tests
    ]  # fmt: skip
    measurements = [(DICE, measured(2.0, p_value=p) if p == p else None) for *_, p in tests]
    table = _with_verdicts(pd.DataFrame(rows).reindex(columns=COLUMNS), measurements)
    assert table["p_holm"].to_list() == pytest.approx([0.06, 0.06, 0.03, NAN], nan_ok=True)
    assert table["corrected_level"].to_list() == pytest.approx(
        [0.025, 0.025, 0.05, NAN], nan_ok=True
    )
    assert table["verdict"].to_list() == ["undecided", "undecided", "reproduced", UNTESTABLE]
    assert counts(table) == {
        "p": {"reproduced": 0, "not reproduced": 0, "undecided": 2, UNTESTABLE: 0},
        "q": {"reproduced": 1, "not reproduced": 0, "undecided": 0, UNTESTABLE: 1},
    }
    whys = pd.DataFrame({"verdict": ["reproduced", *[UNTESTABLE] * 3], "why": ["a", "b", "c", "b"]})
    assert untestable(whys) == {"b": 2, "c": 1}


def infos(**of_arms):
    """What run.json says of one training per arm: device, threads and hours."""
    return {
        (arm, 1): {"device": device, "threads": threads, "wall_s": 3600 * hours}
        for arm, (device, threads, hours) in of_arms.items()
    }


def test_times_are_compared_on_one_device_with_one_number_of_threads():
    compared = replace(measured(1.0), baseline="acoseg_released")
    unlike = "the two arms were trained on different devices or with other numbers of threads"
    for other, why in ((("cpu", 2, 1), ""), (("gpu", 2, 1), unlike), (("cpu", 1, 1), unlike)):
        runs = infos(a1l=("cpu", 2, 1), acoseg_released=other, a1=("gpu", 8, 1))
        assert _no_match(TIME, compared, runs, {}) == why
        assert _no_match(DICE, compared, runs, {}) == ""


def test_hours_of_a_table_are_hours_and_parameters_are_the_arms_own(published):
    numbers = read_published(published)

    def cells(claim, runs):
        return _measure(claim, HAM10K, pd.DataFrame(), runs, {}, numbers, {}, "sample")[0]

    runs = infos(a1l=("cpu", 1, 1.0), acoseg_released=("cpu", 1, 4.0))
    found = cells(TIME, runs)
    assert (found["improvement_percent"], found["difference"]) == (75.0, -3.0)
    a1 = next(claim for claim in CLAIMS if claim.name == "Parameters of a1")
    counted = {
        (arm, 1): {"settings": {"encoder": "resnet101"}, "num_parameters": number}
        for arm, number in (("a1l", 1), ("a1", 45_669_713))
    }
    assert cells(a1, counted)["verdict"] == "reproduced"
    assert judge_parameters([], 5, "resnet101")["verdict"] == UNTESTABLE


def test_hours_are_those_of_the_claims_own_dataset(make_run, published, tmp_path):
    """Of 4 hours 1 is saved on one dataset and 3 on the other."""
    runs = [
        make_run(arm, seed, [0.5, 0.6], dataset=dataset, hours=hours)
        for dataset, ours in (("ham10k", 3.0), ("lits", 1.0))
        for arm, hours in (("a1l", ours), ("acoseg_released", 4.0))
        for seed in (1, 2)
    ]
    columns = ("IoU", "Dice", "VS", "CenterError", "PerimeterError", "AVD")
    tabulate_verdicts(
        runs=runs,
        published_yaml=published,
        published_datasets={"ham10k": HAM10K, "lits": LITS},
        protocols={"p": {"undefined": "exclude", "is_released": True,
                         "published_as": dict.fromkeys(columns, "dice")}},
        table_csv=tmp_path / "v.csv",
        table_html=tmp_path / "v.html",
    )  # fmt: skip
    table = pd.read_csv(tmp_path / "v.csv")
    saved = table[table["claim"] == "Training time"].set_index("dataset")["improvement_percent"]
    assert saved.to_dict() == pytest.approx({"ham10k": 25.0, "lits": 75.0})


def test_claims_are_about_their_own_datasets_and_about_arms_that_were_run():
    def names(dataset, arms):
        return {claim.name for claim in _claims_of_block(dataset, arms, True)}

    assert "Dice against ACoseg" in names(LITS, {"a1"})
    assert "Dice against ACoseg" not in names(HAM10K, {"a1"})
    assert "Dice against ACoseg" in names("", {"a1"})  # of no paper's dataset
    assert "Backbone" in names(HAM10K, {"a1l"})  # all claims of a paper one of whose arms was run
    assert names(HAM10K, {"ellipse"}) == set()


def test_settings_that_differ_are_those_of_the_claims_arms_on_its_dataset():
    runs = [
        {"dataset": dataset, "protocol": protocol, "arm": arm, "other_settings": [text]}
        for dataset, protocol, arm, text in (
            ("ham10k", "p", "a1l", "one"),
            ("ham10k", "p", "a1", "two"),
            ("ham10k", "p", "a1l", "one"),
            ("ham10k", "p", "acoseg", "of another arm"),
            ("ham10k", "q", "a1", "of another protocol"),
            ("lits", "p", "a1", "of another dataset"),
        )
    ]
    block = "ham10k", "p"
    assert _other_settings(runs, block, "a1l", measured(1.0)) == "one, two"
    assert _other_settings(runs, block, "a1l", None) == "one"
    rows = [("p", "x"), ("p", "x"), ("q", "x"), ("q", "y"), ("r", "")]
    table = pd.DataFrame(rows, columns=["protocol", "other_settings"])
    assert common_settings(table) == {"p": "x"}


def test_of_several_printed_baselines_the_best_one_counts(published):
    numbers = read_published(published)
    table1 = numbers["table1"][HAM10K]
    for column, best in (("Dice", max), ("AVD", min)):
        claim = replace(DICE, column=column, baseline=("a1", "acoseg"))
        theirs = [table1[arm][column]["mean"] for arm in ("A1", "ACoseg")]
        assert theirs[0] != theirs[1]
        assert printed_means(claim, numbers, HAM10K) == (
            table1["A1_L"][column]["mean"], best(theirs),
        )  # fmt: skip
