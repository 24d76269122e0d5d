"""The configuration, resolved: the paper's own, and small changes of it."""

from types import SimpleNamespace

import pytest
from conftest import ROOT

from weaklesion.errors import DataError
from weaklesion.study.arms import runs_differ
from weaklesion.study.items import Run
from weaklesion.study.labels import labels_of
from weaklesion.study.layout import Layout
from weaklesion.study.protocols import (
    has_true_ends,
    limits_of,
    measures_recist,
    merge,
    patch_settings,
    stage_settings,
)
from weaklesion.study.schema import check_schema
from weaklesion.study.study import Study
from weaklesion.support.yaml_files import read_yaml

PAPER = read_yaml(ROOT / "config.yaml")
HAM = {"items": ["table1"], "datasets": ["ham10k"], "protocols": ["corrected"]}
PLACE = SimpleNamespace(dataset="ham10k", protocol="corrected")


def study_of(**changes):
    return Study(merge(PAPER, {"seeds": [3, 4], **changes}), PAPER)


def overlaid(name):
    path = ROOT / f"workflow/studies/{name}.yaml"
    return Study(merge(PAPER, read_yaml(path)), PAPER)


@pytest.fixture(scope="module")
def ham():
    return study_of(select=HAM)


def test_paths_of_a_run_and_patterns_of_a_rule():
    layout = Layout("s")
    run = Run("ham10k", "corrected", "a1", 3)
    assert layout.run_files("scores.csv", [run]) == [
        "results/s/ham10k/corrected/runs/a1/seed-3/scores.csv"
    ]
    pattern = "results/s/{dataset}/{protocol}"
    assert str(layout.stage()) == pattern
    assert str(layout.run()) == f"{pattern}/runs/{{arm}}/seed-{{seed}}"
    for part in ("patches", "targets", "clusters"):
        assert str(getattr(layout, part)()) == f"{pattern}/{part}"
        folder = getattr(layout, part)("lits", "released")
        assert str(folder) == f"results/s/lits/released/{part}"


def test_titles_say_which_marks_are_measured_by_recists_definition(ham):
    assert ham.title("table1") == PAPER["experiments"]["table1"]["title"]
    assert ham.mark_note(ham.all_runs) == ""
    assert ham.block_title("ham10k", "corrected") == "HAM10000, protocol corrected"
    select = HAM | {"datasets": ["ham10k", "deeplesion"], "protocols": ["corrected", "recist"]}
    study = study_of(select=select)
    note = "marks by RECIST's own definition: ham10k under recist"
    assert study.mark_note(study.all_runs) == note  # those of DeepLesion are drawn
    assert study.title("table1") == f"{PAPER['experiments']['table1']['title']} ({note})"
    assert study.block_title("ham10k", "recist").endswith("(marks by RECIST's own definition)")
    recist = {"corrected": {"patches": {"ham10k": {"simulated_marks": "recist"}}}}
    assert "ham10k under corrected" in study_of(select=HAM, protocols=recist).title("table1")


def test_the_protocols_of_recists_definition_differ_in_the_marks_alone():
    for protocol, base in (("recist", "corrected"), ("source_recist", "source")):
        for dataset in ("ham10k", "lits"):
            own, other = (patch_settings(PAPER, dataset, name) for name in (protocol, base))
            assert own == other | {"simulated_marks": "recist"}
            assert measures_recist(PAPER, dataset, protocol)
            assert not measures_recist(PAPER, dataset, base)
            assert runs_differ(PAPER, dataset, protocol, base, "a1")
        for dataset in ("deeplesion", "liver"):
            assert not runs_differ(PAPER, dataset, protocol, base, "a1")
            assert not measures_recist(PAPER, dataset, protocol)
        for stage in ("supervision", "clusters", "training"):
            own, other = (
                stage_settings(PAPER, "ham10k", name, stage, "a1") for name in (protocol, base)
            )
            assert own == other


def test_an_item_its_runs_and_trainings(ham):
    assert ham.items() == ["table1"] == ham.items("scores")
    assert ham.items("gap") == []
    assert ham.items_matching("scores", "gap") == "table1"
    assert ham.items_matching("gap") == "none"
    assert ham.item("table1")["baseline"] == "a1"
    arms = ["fixed_ellipse", "ellipse", "a1", "a1l", "acoseg", "acoseg_released"]
    runs = ham.runs("table1")
    assert list(dict.fromkeys(run.arm for run in runs)) == arms
    trained = ham.trained(runs)
    assert trained == [Run("ham10k", "corrected", arm, seed) for arm in arms[2:] for seed in (3, 4)]
    assert ham.all_runs == runs
    assert ham.all_trainings == trained
    assert ham.blocks(runs) == [("ham10k", "corrected")]


def test_trainings_that_runs_start_from_are_among_all():
    study = study_of(select=HAM, experiments={"table1": {"arms": ["a1", "a1_long"]}})
    assert {run.arm for run in study.all_runs} == {"a1", "a1_long"}
    assert {run.arm for run in study.all_trainings} == {"a1", "a1_long", "a1l"}


def test_the_main_item(ham):
    assert ham.has_main_item
    assert ham.main_runs == ham.runs("table1")
    assert ham.main_blocks == [("ham10k", "corrected")]
    assert ham.main_trainings(PLACE) == ham.all_trainings
    assert ham.main_trainings(SimpleNamespace(dataset="lits", protocol="corrected")) == []
    assert not overlaid("cmunet").has_main_item


def test_another_item_may_be_the_main_one():
    study = study_of(
        select=HAM | {"items": ["refined"]},
        experiments={"table1": {"role": None}, "refined": {"role": "main"}},
        figures={"ranked_by": "a1"},
    )
    assert study.main_item == "refined"
    assert {run.arm for run in study.main_runs} >= {"a1_refined", "a1l_refined"}
    assert study.figure_files("angles")[0].name == "angles.ham10k.corrected.svg"


@pytest.mark.parametrize(
    ("experiments", "message"),
    [
        ({"table1": {"role": None}}, "one item needs `role: main`, and 0 have it"),
        ({"refined": {"role": "main"}}, "2 have it: table1, refined"),
        ({"table1": {"role": None}, "gap": {"role": "main"}}, r"gap\.role: main is for an item"),
    ],
)
def test_exactly_one_item_of_scores_is_the_main_one(experiments, message):
    with pytest.raises(DataError, match=message):
        study_of(experiments=experiments).main_item  # noqa: B018


def test_files_of_items(ham):
    def names(study, item):
        return [str(path.relative_to("results/paper")) for path in study.files_of(item)]

    contours = "figures/contours.ham10k.corrected.png"
    assert names(ham, "table1") == ["tables/table1.csv", "tables/table1.html", contours]
    whole = study_of(select=HAM | {"items": None})
    assert names(whole, "figure2") == [
        "tables/figure2.csv",
        "figures/figure2.svg",
        "figures/figure2.png",
    ]
    assert names(whole, "gap")[-1] == "figures/gap.png"
    assert names(whole, "table8") == ["tables/table8.csv", "tables/table8.html"]


def test_figures_of_the_study(ham):
    assert [path.suffix for path in ham.figure_files("angles")] == [".svg", ".png"]
    assert [path.suffix for path in ham.figure_files("contours")] == [".png"]


def test_drawn_images_are_of_the_first_seed_and_not_of_the_fixed_ellipse(ham):
    assert list(ham.drawn_items) == ["table1"]
    assert ham.shown_blocks == ham.contour_blocks == [("ham10k", "corrected")]
    assert ham.drawing_item(PLACE) == "table1"
    assert ham.drawing_item(SimpleNamespace(item="prompted", **vars(PLACE))) == "prompted"
    drawn = ham.drawn_runs(PLACE)
    arms = ["ellipse", "a1", "a1l", "acoseg", "acoseg_released"]
    assert [run.arm for run in drawn] == arms
    assert {run.seed for run in drawn if run.arm != "ellipse"} == {3}
    assert ham.ranked_by(PLACE) == PAPER["figures"]["ranked_by"]


def test_images_are_ranked_by_the_last_network_where_the_studys_arm_is_not_drawn():
    study = study_of(select=HAM, experiments={"table1": {"contours": ["acoseg", "ellipse"]}})
    assert study.config["figures"]["ranked_by"] != "acoseg"
    assert study.ranked_by(PLACE) == "acoseg"


def test_warps_are_drawn_of_arms_for_which_one_is_chosen():
    study = overlaid("prompted-ham10k")
    (item,) = [name for name in study.drawn_items if study.warp_figures(study.runs(name))][:1]
    figures = study.warp_figures(study.runs(item))
    assert all(name.startswith("figures/warps.ham10k.") for name in figures)
    assert len(figures) == len(set(figures))


def test_judged_runs_are_those_of_claims(ham):
    judged = {run.arm for run in ham.judged_runs}
    assert judged >= {"a1", "a1l"}
    assert ham.claimed_runs == ham.judged_runs
    (choices,) = ham.judging_choices(ham.judged_runs).values()
    assert choices["is_released"] is False
    assert choices["undefined"] == "worst_possible"
    released = study_of(select=HAM | {"protocols": ["released"]})
    assert released.judging_choices(released.judged_runs)["released"]["is_released"] is True


def test_verdicts_count_as_the_main_item_or_the_first_table_does(ham):
    assert ham.judged_unit == "sample"
    assert overlaid("lits-cpu").judged_unit == "group"  # that of its main item
    assert not overlaid("lits-ends").has_main_item
    assert overlaid("lits-ends").judged_unit == "group"
    assert overlaid("cmunet").judged_unit == "sample"


def test_a_run_names_the_training_of_the_network_that_it_predicts_with():
    arms = ["ellipse", "prompted_refined", "prompted_refined_gated"]
    study = study_of(
        select=HAM | {"items": ["prompted"]},
        experiments={"prompted": {"arms": arms, "protocols": ["corrected"]}},
        seeds=[3],
    )
    networks = {each["arm"]: each["run"] for each in study.networks(study.runs("prompted"))}
    place = "results/paper/ham10k/corrected/runs/prompted_refined/seed-3/run.json"
    assert networks == {"prompted_refined": place, "prompted_refined_gated": place}


def test_a_study_without_claims_shows_its_main_items_runs():
    study = study_of(
        select=HAM,
        experiments={"table1": {"arms": ["a1", "a1_refined"]}},
        figures={"ranked_by": "a1"},
    )
    assert study.claimed_runs in ([], study.judged_runs)
    assert study.judged_runs


def test_a_judged_training_says_what_is_not_as_in_the_paper():
    run = Run("ham10k", "corrected", "a1", 3)
    as_paper = study_of(select=HAM).judged_training(run)
    other = study_of(select=HAM, training={"epochs": 4}).judged_training(run)
    assert as_paper["scores"] == "results/paper/ham10k/corrected/runs/a1/seed-3/scores.csv"
    assert as_paper["run"].endswith("seed-3/run.json")
    assert other["other_settings"] != as_paper["other_settings"]
    assert "epochs" in str(other["other_settings"])


def test_runs_as_scripts_take_them(ham):
    run = Run("ham10k", "corrected", "ellipse", 3)
    folder = "results/paper/ham10k/corrected/runs/ellipse/seed-3"
    network = {"network": "no network"}
    assert ham.described([run], scores="scores.csv") == [
        run._asdict() | network | {"scores": f"{folder}/scores.csv"}
    ]
    names = ham.published_names("datasets")
    assert names["ham10k"] == "HAM10K"
    assert ham.published_names("arms")["a1l"] == "A1_L"
    runs = ham.runs("table1")
    assert ham.undefined_policies(runs) == {"corrected": "worst_possible"}
    assert ham.scoring_choices(runs)["corrected"]["published_as"]["Dice"] == "dice"


def test_blocks_as_scripts_take_them(ham):
    place = {"dataset": "ham10k", "protocol": "corrected"}
    folder = "results/paper/ham10k/corrected"
    (account,) = ham.patch_accounts(ham.main_blocks, {"ham10k": "dataverse"})
    patches = f"{folder}/patches/patches.json"
    assert account == place | {"source": "dataverse", "patches": patches}
    assert ham.traits("table1") == [place | {"traits": f"{folder}/traits.csv"}]
    assert ham.marked_blocks("table1") == [
        place
        | {"samples": f"{folder}/patches/samples.csv", "ellipses": f"{folder}/targets/ellipses.csv"}
    ]
    figure = "results/paper/figures/table1.ham10k.corrected.png"
    assert ham.figures("table1") == [place | {"figure": figure}]


def test_marks_that_are_off_are_told_of():
    study = overlaid("prompted-ham10k")
    noises = {run["mark_noise"] for item in study.items() for run in study.marked_runs(item)}
    assert noises == {0.0, *(PAPER["mark_noise"][name] for name in ("noise3", "noise6"))}


def test_recoveries_name_table_and_choice():
    study = overlaid("prompted-ham10k")
    item = next(name for name in study.items() if study.recoveries(name))
    for recovery in study.recoveries(item):
        ending = {"prior_weight": "refined_choice.json", "max_amplitude": f"{recovery['of']}.json"}
        assert recovery["choice"].endswith(ending[recovery["constant"]])
        assert recovery["recovery"].endswith("_recovery.csv")


def test_models_for_segment_are_prompted_and_of_the_first_seed():
    study = overlaid("own-marks")
    item = next(name for name in study.items() if study.models(name))
    models = study.models(item)
    assert len({(one["dataset"], one["protocol"], one["arm"]) for one in models}) == len(models)
    assert any(one["saw_noise"] for one in models)
    assert all(one["model"].endswith(f"seed-{study.config['seeds'][0]}") for one in models)


def test_points_of_sweeps_flips_and_answers():
    study = study_of(select=HAM | {"items": None, "protocols": None})
    assert {point["value"] for point in study.sweep_points("figure2")}
    assert study.own_values("figure2")["ham10k"]
    assert study.flips("attribution")
    answers = overlaid("three_papers")
    (item,) = answers.items("answers")
    assert all({"arm", "baseline"} <= pair.keys() for pair in answers.answered_pairs(item))


FOLDED = {"corrected": {"folds": 3}}


def test_a_cross_validated_protocol_trains_in_its_folds_and_is_scored_as_one():
    study = study_of(select=HAM, protocols=FOLDED)
    assert {run.protocol for run in study.all_runs} == {"corrected"}
    assert study.trained(study.all_runs) == [
        run for run in study.all_runs if run.arm not in ("ellipse", "fixed_ellipse")
    ]
    folds = ["corrected@1", "corrected@2", "corrected@3"]
    trainings = study.all_trainings
    assert sorted({run.protocol for run in trainings}) == folds
    assert len(trainings) == 3 * len(study.trained(study.all_runs))
    assert study.main_trainings(SimpleNamespace(dataset="ham10k", protocol="corrected@2"))
    # what is fitted to training samples is drawn of the first fold, predictions of all of them
    assert study.figure_blocks("k_sweep") == [("ham10k", "corrected@1")]
    assert study.figure_blocks("contours") == [("ham10k", "corrected")]
    assert study.block_title("ham10k", "corrected@1") == "HAM10000, protocol corrected, fold 1"


def test_a_fold_has_the_switches_of_its_protocol():
    config = merge(PAPER, {"protocols": FOLDED})
    for stage in ("patches", "supervision", "training"):
        own = [stage_settings(config, "lits", name, stage) for name in ("corrected@2", "corrected")]
        assert own[0] == own[1]
    flipped = [
        patch_settings(config, "ham10k", name) for name in ("corrected~S1@2", "corrected~S1")
    ]
    assert flipped[0] == flipped[1] != patch_settings(config, "ham10k", "corrected")


def in_protocol(name, item="table1"):
    """Changes of the configuration: one item alone, of one protocol or fold."""
    select = HAM | {"items": [item], "protocols": None}
    return {"select": select, "experiments": {item: {"protocols": [name]}}}


def test_an_item_may_be_of_one_fold():
    study = study_of(protocols=FOLDED, **in_protocol("corrected@2"))
    assert {run.protocol for run in study.all_runs} == {"corrected@2"}
    assert study.all_trainings == study.trained(study.all_runs)
    run = study.all_trainings[0]
    assert study.judging_choices([run])["corrected@2"]["is_released"] is False
    assert study.block_title("ham10k", "corrected@2") == "HAM10000, protocol corrected, fold 2"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"select": HAM | {"items": ["figure2"]}}, "kind sweep needs one split"),
        (in_protocol("corrected@1", "figure2"), "kind sweep needs one split"),
        ({"datasets": {"ham10k": {"limit": {"train": 5}}}}, "ham10k.limit: corrected is cross"),
        (
            {"datasets": {"ham10k": {"limit": {"train": 5}}}} | in_protocol("corrected@1"),
            "ham10k.limit: corrected@1 is cross",
        ),
        (in_protocol("corrected@4"), "'corrected@4', which is none of corrected@1, corrected@2"),
        ({"protocols": {}} | in_protocol("corrected@1"), "'corrected@1', which is none of corr"),
        (in_protocol("mine@1"), "protocols is 'mine', which is none of"),
    ],
)
def test_what_has_no_folds_is_refused(changes, message):
    with pytest.raises(DataError, match=message):
        study_of(**{"select": HAM, "protocols": FOLDED} | changes)


def test_the_network_of_the_first_fold_is_the_one_to_use():
    folded = {"protocols": {"hull": {"folds": 3}}}
    path = ROOT / "workflow/studies/prompted-ends.yaml"
    study = Study(merge(merge(PAPER, read_yaml(path)), folded), PAPER)
    models = study.models("prompted_hull")
    assert models
    assert {model["protocol"] for model in models} == {"hull@1"}


def test_a_table_of_scores_may_have_targets_alone():
    study = overlaid("ends-exponent")
    assert study.trained(study.all_runs) == study.all_trainings == []
    alone = {"arms": ["ellipse", "fixed_ellipse"], "baseline": "ellipse"}
    with pytest.raises(DataError, match="no arm has a network"):
        study_of(select=HAM | {"items": ["figure2"]}, experiments={"figure2": alone})


def test_the_gate_compares_ends_where_marks_have_them():
    assert has_true_ends(PAPER, "ham10k", "source_recist")
    assert not has_true_ends(PAPER, "ham10k", "source")
    assert has_true_ends(PAPER, "deeplesion", "source")  # drawn
    assert has_true_ends(overlaid("own-marks").config, "own", "source")


def test_papers_are_about_the_trainings_of_drawn_score_tables(ham):
    assert {run.arm for run in ham.carded_runs} == {"a1", "a1l", "acoseg", "acoseg_released"}
    assert ham.carded_blocks == [("ham10k", "corrected")]
    assert [path.name for path in ham.paper_files] == [
        "model_card.html",
        "data_sheet.html",
        "checklist.html",
    ]
    assert overlaid("ends-exponent").paper_files == []  # trains nothing
    assert overlaid("own-marks").paper_files == []  # scores nothing


def test_facts_of_a_dataset_are_those_of_its_files():
    demo = overlaid("demo")
    keys = [demo.origin(name)["key"] for name in ("phantom_lits", "ham10k", "liver")]
    assert keys == ["phantom", "ham10k", "lits"]
    own = Study(merge(PAPER, {"datasets": {"lits": {"licence": "CC0"}}}), PAPER)
    lits = {"key": "lits", "licence": "CC0", "spdx": ""}  # no more CC BY-SA
    assert own.origin("lits") == own.origin("liver") == lits  # made from the same files
    assert "spdx" not in Study(PAPER, PAPER).origin("lits")
    used = ["phantom_deeplesion", "phantom_ham10k", "phantom_lits"]
    assert sorted(demo.origins) == used
    assert demo.origins["phantom_lits"] == demo.origin("phantom_lits")


def test_parts_of_a_phantom_are_a_phantom():
    parts = PAPER["datasets"]["liver"] | {"files_of": "phantom_lits", "label": "Parts"}
    demo = merge(PAPER, read_yaml(ROOT / "workflow/studies/demo.yaml"))
    study = Study(merge(demo, {"datasets": {"parts": parts}}), PAPER)
    assert study.origin("parts") == {"key": "phantom"}
    assert labels_of(study.config, ["parts", "lits"], [])["phantoms"] == ["parts"]


def test_items_by_kind(ham):
    assert ham.items_by_kind == {"scores": ["table1"]}


def test_a_studys_limit_is_lifted_by_null():
    small = merge(PAPER, read_yaml(ROOT / "workflow/studies/ham10k-small.yaml"))
    limits = limits_of(small, "ham10k")
    assert limits["train"] > 0
    lifted = merge(small, {"datasets": {"ham10k": {"limit": {"train": None}}}})
    check_schema(lifted, ROOT / "workflow/schemas/config.schema.yaml")
    left = {split: count for split, count in limits.items() if split != "train"}
    assert limits_of(lifted, "ham10k") == left
    assert patch_settings(lifted, "ham10k", "corrected")["limit"] == left


def test_a_gap_has_other_pairs_when_its_two_lists_change_places():
    def pairs(arms, against):
        gap = {"arms": arms, "against": against}
        return study_of(select=HAM, experiments={"gap": gap}).gap_pairs("gap")

    assert pairs(["a1", "a1l"], ["a1"]) == [("a1l", "a1")]
    assert pairs(["a1"], ["a1", "a1l"]) == [("a1", "a1l")]
