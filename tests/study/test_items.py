import copy
import io
import itertools
import math

import pandas as pd
import pytest

from weaklesion.errors import DataError
from weaklesion.study.arms import (
    arm_definition,
    is_nnunet,
    is_trained,
    keeps_last,
    num_clusters,
    own_value,
    training_settings,
    warp_arm,
)
from weaklesion.study.checks import check_config
from weaklesion.study.claims import claimed_arms
from weaklesion.study.item_checks import check_item_names
from weaklesion.study.items import (
    Run,
    cells_of,
    item_definition,
    items_of,
    recoveries_of_item,
    runs_of,
    runs_of_arms,
    trainings_of,
)
from weaklesion.study.paper_claims import CLAIMS
from weaklesion.study.protocols import (
    may_miss_patch,
    merge,
    patch_settings,
    protocol_settings,
    stage_settings,
)
from weaklesion.study.published import check_published, read_published
from weaklesion.study.settings import TrainingSettings
from weaklesion.study.sweeps import flips_of_item, sweep_points
from weaklesion.support.yaml_files import read_yaml


@pytest.fixture
def config(root):
    return read_yaml(root / "config.yaml")


def study(config, root, name):
    return merge(config, read_yaml(root / f"workflow/studies/{name}.yaml"))


@pytest.mark.parametrize("name", ["all", "predict_nnunet", "verdicts", "teach_arm"])
def test_an_item_with_the_name_of_a_rule_is_refused(config, root, name):
    rule_files = [root / "Snakefile", *root.glob("workflow/rules/*.smk")]
    check_item_names(config, rule_files)
    changed = merge(config, {"experiments": {name: config["experiments"]["table1"]}})
    with pytest.raises(DataError, match=f"experiments.{name}: the workflow has a rule"):
        check_item_names(changed, rule_files)


def test_full_reproduction_of_table1(config):
    runs = runs_of(config, ["table1"])
    assert len(runs) == len(set(runs)) == 3 * 3 * (4 * 12 + 2)
    assert [run.seed for run in runs if run.arm == "ellipse"] == [0] * 9


def test_plan_of_the_full_reproduction(config):
    """Training runs that each item adds to those before it, and their sum."""
    seen = set()
    added = {}
    for item in items_of(config):
        runs = {run for run in runs_of(config, [item]) if is_trained(config, run.arm)}
        added[item] = len(runs - seen)
        seen |= runs
    assert added == {
        "table1": 3 * 3 * 4 * 12,
        "table2": 0,
        "table3": 2 * 2 * 5,
        "table4": 2 * 2 * 5,
        "table5": 2 * 2 * 5,
        "table6": 3 * 2 * 5,  # a1l_dense; a1l_grabcut is there from Tables 3 to 5
        "table7": 3 * 2 * 5,
        "parameters": 0,
        "table8": 0,
        "figure2": 2 * (9 + 8 + 9) * 5,  # K_opt is Table 1's
        "figure5": 2 * 6 * 5,
        "controls": 3 * 2 * 3 * 5,
        "gap": 2 * 5,  # a1_dense
        "refined": 3 * 2 * 5 + 5,  # and a1_dense on DeepLesion
        "prompted": 2 * 4 * 5,
        "mark_noise3": 0,  # networks of others, of which one is trained for this alone
        "mark_noise6": 0,
        "prompted_samples": 6 * 5,
        "volumes": 0,
        "attribution": 390,
    }
    assert len(seen) == sum(added.values()) == 1237 + 160 + 70
    robust = set(trainings_of(config, ["mark_noise3", "mark_noise6"])) - seen
    assert {run.arm for run in robust} == {"prompted_refined_robust"}
    assert len(robust) == 5


def test_an_item_may_have_seeds_of_its_own(config):
    config["experiments"]["gap"]["seeds"] = [7]
    runs = runs_of(config, ["gap"])
    assert {run.seed for run in runs if is_trained(config, run.arm)} == {7}
    assert {run.seed for run in runs if run.arm == "ellipse"} == {0}
    assert {run.seed for run in runs_of(config, ["table7"])} == {1, 2, 3, 4, 5}


def test_a_gap_needs_the_runs_that_it_is_against(config):
    assert {run.arm for run in runs_of(config, ["gap"])} == {"a1", "a1l", "ellipse", "a1_dense"}


def test_a_sweep_is_made_of_a_list_and_its_own_value_is_the_arm_itself(config):
    cells = cells_of(config, "figure2", "lits")
    assert ("corrected", "a1l") in cells
    assert ("corrected", "a1l~k5") in cells
    assert num_clusters(config, "lits", "a1l~k5") == 5
    assert training_settings(config, "lits", "corrected", "a1l~k5")["num_classes"] == 5
    weight = training_settings(config, "ham10k", "corrected", "a1l~alpha0.5")
    assert weight["segmentation_weight"] == 0.5
    assert arm_definition(config, "a1l~k5").get("published") is None
    with pytest.raises(DataError, match="a variant is"):
        arm_definition(config, "a1l~beta5")


def test_the_number_of_training_samples_is_swept(config):
    cells = cells_of(config, "prompted_samples", "ham10k")
    arms = [arm for _, arm in cells]
    assert arms[0] == "prompted_refined~samples250"
    settings = training_settings(config, "ham10k", "source", arms[0])
    assert settings["train_samples"] == 250
    assert own_value(config, "ham10k", "source", "prompted_refined", "samples") == math.inf
    config["training"]["train_samples"] = 7008
    assert cells_of(config, "prompted_samples", "ham10k")[-1][1] == "prompted_refined"


@pytest.mark.parametrize(
    "name", ["benchmarks", "figures", "logs", "papers", "release", "tables", "Tables"]
)
def test_no_dataset_has_the_name_of_a_folder_of_the_results(config, name):
    config["datasets"][name] = config["datasets"]["ham10k"]
    with pytest.raises(DataError, match=rf"datasets\.{name}: .*results/.*/{name}/.* another name"):
        check_config(config)


@pytest.mark.parametrize("name", ["007", "1e3", "2024.5", "inf", "NA", "null", "True"])
@pytest.mark.parametrize("kind", ["datasets", "protocols", "arms"])
def test_no_name_is_read_back_from_a_table_as_another_thing(config, kind, name):
    config[kind][name] = next(iter(config[kind].values()))
    read = pd.read_csv(io.StringIO(f"{kind}\n{name}\n"))[kind].tolist()
    assert read != [name]
    with pytest.raises(DataError, match=rf"config: {kind}\.{name}: .* such as v{name}\."):
        check_config(config)
    config[kind][f"v{name}"] = config[kind].pop(name)
    check_config(config)


@pytest.mark.parametrize(
    "kind", ["datasets", "protocols", "arms", "experiments", "mark_noise", "readers"]
)
def test_no_two_names_share_their_files_where_case_is_ignored(config, kind):
    *_, name = config[kind]
    config[kind][name.upper()] = config[kind][name]
    with pytest.raises(DataError, match=rf"{kind}\.{name.upper()}: differs from {name} in upper"):
        check_config(config)
    config[kind][f"{name}_too"] = config[kind].pop(name.upper())
    check_config(config)


def test_no_dataset_has_the_name_of_the_folder_of_weights(config):
    config["datasets"]["imagenet_weights"] = config["datasets"]["ham10k"]
    with pytest.raises(DataError, match=r"datasets\.imagenet_weights: .* another name"):
        check_config(config)


@pytest.mark.parametrize(
    ("loader", "size", "message"),
    [
        ("lits", {"num_images": 20}, "a phantom for the loader lits has num_volumes, which this"),
        ("ham10k", {"num_series": 20}, "a phantom for the loader ham10k has num_images"),
        (
            "lits_liver",
            {"num_volumes": 20},
            "lits_liver has no phantom of its own. Name in files_of",
        ),
    ],
)
def test_a_phantom_is_one_that_its_loader_reads(config, loader, size, message):
    other = {"phantom": size | {"seed": 0}, "loader": loader, "reference": "dense"}
    config["datasets"]["other"] = other
    with pytest.raises(DataError, match=rf"datasets\.other\.phantom: .*{message}"):
        check_config(config)


@pytest.mark.parametrize("name", ["scatter", "supervision", "examples", "warps"])
def test_no_item_takes_the_names_of_the_studys_figures(config, name):
    item = {"kind": "mark_agreement", "title": "t", "contours": True, "datasets": ["deeplesion"]}
    config["experiments"][name] = item | {"arms": ["ellipse", "a1"], "protocols": ["corrected"]}
    with pytest.raises(DataError, match=rf"experiments\.{name}: .* Give the item another name"):
        check_config(config)
    config["experiments"][f"{name}2"] = config["experiments"].pop(name)
    check_config(config)


def test_a_comparison_has_two_arms(config):
    pair = {"arm": "a1", "baseline": "a1", "dataset": "lits", "protocol": "corrected"}
    config["experiments"]["pairs"] = {"kind": "answers", "title": "t", "pairs": [pair]}
    with pytest.raises(DataError, match=r"experiments\.pairs\.pairs: a1 against itself is no"):
        check_config(config)
    pair["arm"] = "a1l"
    check_config(config)


def test_two_tasks_never_share_a_table(config):
    config["experiments"]["prompted"]["arms"] = ["ellipse", "a1", "prompted"]
    with pytest.raises(DataError, match=r"prompted\.arms: some networks see the mark"):
        check_config(config)


@pytest.mark.parametrize(
    ("arm", "change", "cause"),
    [
        ("prompted_dense", {"warp_of": "nobody"}, "warp_of is 'nobody'"),
        ("prompted_dense", {"warp_of": "a1"}, "warp_of: the network of a1 does not see the mark"),
        ("ellipse_noise3", {"marks": "noise8"}, "marks is 'noise8'"),
        ("prompted", {"marks": "noise3"}, "the shape of the mark itself and a trained network"),
        ("a1", {"gate": 0.8}, "gate: the arm's network does not see the mark"),
        ("prompted", {"crf": True}, "crf: a network that sees the mark has no CRF"),
        ("a1", {"taught_by": "prompted"}, "taught_by: the arm's network does not see the mark"),
        ("prompted", {"taught_by": "nobody"}, "taught_by is 'nobody'"),
        ("prompted", {"taught_by": "a1"}, "the network of a1 does not see the mark"),
        (
            "prompted_dense",
            {"taught_by": "prompted_dense"},
            "prompted_dense needs prompted_dense",
        ),
    ],
)
def test_what_an_arm_says_of_its_mark_is_checked(config, arm, change, cause):
    config["arms"][arm] |= change
    with pytest.raises(DataError, match=cause):
        check_config(config)


@pytest.mark.parametrize(
    ("arm", "change", "cause"),
    [
        ("ellipse", {"crf": True}, "crf: the arm has no network"),
        ("ellipse", {"training": {"epochs": 3}}, "training: the arm has no network"),
        ("coseg_d1_crf", {"training": {"epochs": 3}}, "training: .* with coseg_d1's network"),
        ("coseg_d1_crf", {"epochs_of": "a1l"}, "epochs_of: the arm is not trained itself"),
        ("a1l", {"partner": "random"}, "partner: a1l takes no pairs of images"),
        ("a1", {"clusters": "shape"}, "clusters: a1 has no second task and takes no pairs"),
        ("a1", {"num_clusters": 40}, "num_clusters: the arm has no clusters"),
    ],
)
def test_an_arm_sets_nothing_that_it_would_not_read(config, arm, change, cause):
    with pytest.raises(DataError, match=rf"arms\.{arm}\.{cause}"):
        check_config(merge(config, {"arms": {arm: change}}))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"datasets": {"lits": {"published": "LITS"}}},
            r"datasets\.lits\.published is 'LITS'.*LiTS",
        ),
        ({"arms": {"a1l": {"published": "A1+L"}}}, r"arms\.a1l\.published is 'A1\+L'.*mean A1_L"),
    ],
)
def test_what_stands_in_no_table_of_the_papers_is_named(config, root, change, message):
    published = read_published(root / "workflow/resources/published_numbers.yaml")
    check_published(config, published)
    with pytest.raises(DataError, match=message):
        check_published(merge(config, change), published)


def test_an_arm_may_take_back_what_its_base_has(config):
    own = {"base": "cmu_net", "model": "a1", "clusters": None, "crf": False}
    check_config(merge(config, {"arms": {"plain": own}}))


@pytest.mark.parametrize(
    ("item", "change", "kinds"),
    [
        ("table1", {"values": [1, 2]}, "of kind scores does not .* only one of kind sweep does"),
        ("table2", {"contours": True}, "only one of kind scores or mark_agreement does"),
        ("figure2", {"against": ["a1"]}, "only one of kind gap does"),
        ("attribution", {"protocols": ["corrected"]}, "of kind attribution does not read this key"),
        ("volumes", {"seeds": [1]}, "of kind volumes does not read this key"),
    ],
)
def test_an_item_sets_nothing_that_its_kind_would_not_read(config, item, change, kinds):
    with pytest.raises(DataError, match=rf"experiments\.{item}\.{next(iter(change))}: .*{kinds}"):
        check_config(merge(config, {"experiments": {item: change}}))


def shown(config, arm, definition):
    """The configuration with one more arm, in a table of LiTS alone."""
    item = {"datasets": ["lits"], "arms": ["a1", arm], "baseline": "a1"}
    return merge(config, {"arms": {arm: definition}, "experiments": {"refined": item}})


@pytest.mark.parametrize(
    ("own", "message"),
    [
        (
            {"base": "a1", "network_of": "a1l"},
            "own.network_of: the model of a1l is a1l, and that of own is a1. Set base: a1l",
        ),
        (
            {"base": "a1", "network_of": "prompted"},
            "own.network_of: the model of prompted is prompted",
        ),
        (
            {"base": "a1", "starts_from": "cmu_encoder"},
            "own.starts_from: on lits under corrected the encoder of cmu_encoder is cmunet, and"
            " that of own is resnet101",
        ),
        (
            {"base": "a1", "starts_from": "a1l", "training": {"encoder": "resnet18"}},
            "own.starts_from: .* of a1l is resnet101, and that of own is resnet18. Name",
        ),
        (
            {"base": "a1l", "clusters": "presence"},
            "own.clusters: presence has two classes, and this arm has 40 on lits. Set"
            " arms.own.num_clusters: 2",
        ),
    ],
)
def test_an_arm_takes_from_another_what_fits_it(config, own, message):
    with pytest.raises(DataError, match=message):
        check_config(shown(config, "own", own))


@pytest.mark.parametrize(
    "own",
    [
        {"base": "a1", "network_of": "a1"},
        {"base": "a1", "starts_from": "unetl"},
        {"base": "a1l", "clusters": "presence", "num_clusters": 2},
    ],
)
def test_what_fits_an_arm_may_be_taken(config, own):
    check_config(shown(config, "own", own))


PUPIL = {"base": "prompted_ends_robust", "taught_by": "prompted_ends_sized"}


@pytest.fixture
def with_pupil(config):
    config["arms"] |= {"pupil": PUPIL, "pupil_gated": {"base": "pupil", "network_of": "pupil"}}
    config["experiments"]["prompted"] |= {
        "arms": ["ellipse", "pupil_gated"],
        "datasets": ["ham10k"],
    }
    check_config(config)
    return config


def test_a_pupil_needs_the_network_of_its_teacher(with_pupil):
    trained = trainings_of(with_pupil, ["prompted"])
    assert {run.arm for run in trained} == {"prompted_ends", "pupil"}
    with_pupil["arms"]["pupil_gated"]["network_of"] = "prompted"
    trained = trainings_of(with_pupil, ["prompted"])
    assert {run.arm for run in trained} == {"prompted"}


def test_the_pseudo_masks_of_a_pupil_are_those_of_its_teacher(with_pupil):
    with_pupil["arms"]["pupil"] = PUPIL | {"base": "prompted_refined_robust"}
    found = recoveries_of_item(with_pupil, "prompted")
    assert {(each["of"], *each["used_by"]) for each in found} == {
        ("pseudo-masks from four ends", "pupil"),
        ("prompted_refined", "pupil"),
    }


@pytest.mark.parametrize(
    ("arm", "change", "circle"),
    [
        ("pupil", {"taught_by": "pupil_gated"}, "pupil needs pupil_gated needs pupil"),
        (
            "prompted_ends",
            {"starts_from": "pupil"},
            "prompted_ends needs pupil needs prompted_ends_sized needs prompted_ends",
        ),
        ("pupil", {"epochs_of": "pupil"}, "pupil needs pupil"),
    ],
)
def test_no_run_needs_itself(with_pupil, arm, change, circle):
    with_pupil["arms"][arm] = with_pupil["arms"][arm] | change
    with pytest.raises(DataError, match=circle):
        check_config(with_pupil)


@pytest.mark.parametrize("change", [{"base": "prompted_ends"}, {"warp_of": "pupil"}])
def test_no_warp_is_chosen_for_an_arm_that_is_taught(with_pupil, change):
    with_pupil["arms"]["pupil"] = PUPIL | change
    with pytest.raises(DataError, match="which is taught, has none beforehand"):
        check_config(with_pupil)
    # where the protocol states the warp, none is chosen
    with_pupil["protocols"]["source"]["training"] = {"prompt": {"max_amplitude": 1.0}}
    check_config(with_pupil)


def test_a_curve_over_samples_has_no_pupil(with_pupil):
    with_pupil["experiments"]["prompted_samples"] |= {"arms": ["pupil"], "datasets": ["ham10k"]}
    with_pupil["select"]["items"] = ["prompted_samples"]
    with pytest.raises(DataError, match="pupil needs prompted_ends_sized, which is trained on all"):
        check_config(with_pupil)


def test_one_switch_is_flipped_alone(config):
    def differing(first, second, stage, **arm):
        settings = [stage_settings(config, "ham10k", p, stage, **arm) for p in (first, second)]
        return settings[0] != settings[1]

    flipped = patch_settings(config, "ham10k", "corrected~S1")
    assert flipped == patch_settings(config, "ham10k", "corrected") | {"split": "image"}
    back = patch_settings(config, "ham10k", "released~S1")
    assert back == patch_settings(config, "ham10k", "released") | {"split": "group"}
    for stage in ("supervision", "clusters"):
        assert not differing("corrected", "corrected~S1", stage)
    assert stage_settings(config, "deeplesion", "corrected~K1", "clusters")["encoding"] == "clicked"
    assert stage_settings(config, "lits", "corrected~K1", "clusters")["encoding"] == "opencv"


def test_a_flipped_switch_of_training(config):
    plain, flipped = (
        training_settings(config, "ham10k", protocol, "a1l")
        for protocol in ("corrected", "corrected~T1+T4")
    )
    assert flipped == plain | {"checkpoint": "last_if_stopped"}
    framed = training_settings(config, "ham10k", "corrected~frame", "a1")
    assert (framed["pad_to"], framed["loss_region"]) == ([384, 480], "map")
    back = training_settings(config, "ham10k", "released~frame", "a1")
    assert back["segmentation_weight"] == 100
    assert back["pad_to"] == [128, 128]


def test_runs_that_a_switch_does_not_change_are_not_repeated(config):
    flips = {
        (flip["base"], flip["switch"]): flip
        for flip in flips_of_item(config, "attribution")
        if flip["dataset"] == "ham10k"
    }
    assert flips[("corrected", "T1+T4")]["a1"] == "corrected"  # the switch is A1+L's
    assert flips[("corrected", "T1+T4")]["a1l"] == "corrected~T1+T4"
    assert flips[("corrected", "K1")]["a1"] == "corrected"  # A1 has no classes
    assert flips[("corrected", "S1")]["a1"] == "corrected~S1"
    assert not {"G16", "G8", "G5"} & {switch for _, switch in flips}  # of other datasets
    runs = [run for run in runs_of(config, ["attribution"]) if run.dataset == "ham10k"]
    assert not [run for run in runs if run.protocol == "corrected~T1+T4" and run.arm == "a1"]


def test_unknown_switches_are_named(config):
    with pytest.raises(DataError, match="switch of a protocol is 'S9'"):
        patch_settings(config, "ham10k", "corrected~S9")
    config["attribution"]["switches"]["S1"] = ["patches.ham10k.splt"]
    with pytest.raises(DataError, match=r"no ham10k\.splt"):
        patch_settings(config, "ham10k", "corrected~S1")


def test_a_study_selects(config, root):
    demo = study(config, root, "demo")
    assert items_of(demo) == ["table1", "table3", "table4", "table6", "gap", "prompted"]
    assert item_definition(demo, "prompted")["protocols"] == ["demo_source"]
    assert item_definition(demo, "table4")["datasets"] == ["phantom_lits"]
    assert item_definition(demo, "table4")["protocols"] == ["demo"]
    small = study(config, root, "ham10k-small")
    assert items_of(small) == ["table1"]
    small["select"]["items"] = ["table4"]
    assert items_of(small) == []  # LiTS is not selected
    small["select"]["items"] = ["table9"]
    with pytest.raises(DataError, match=r"select\.items is 'table9'"):
        items_of(small)


def test_paper_hyperparameters(config, root):
    published = read_yaml(root / "workflow/resources/published_numbers.yaml")
    stated = published["hyperparameters_as_stated"]
    settings = training_settings(config, "ham10k", "stated", "a1l")
    assert settings["segmentation_weight"] == stated["alpha_seg"]
    assert settings["classification_weight"] == stated["alpha_cls"]
    assert settings["epochs"] == stated["epochs_max"]
    assert settings["learning_rate"] == stated["A1_and_A1_L"]["lr"]
    assert settings["batch_size"] == stated["A1_and_A1_L"]["batch_size"]
    assert num_clusters(config, "ham10k", "a1l") == published["K_opt"]["HAM10K"]
    assert num_clusters(config, "ham10k", "a1") is None


def test_the_sweep_over_k_contains_the_papers(config, root):
    published = read_yaml(root / "workflow/resources/published_numbers.yaml")
    for name, dataset in config["datasets"].items():
        if name == "liver":  # of another paper, without clusters
            continue
        assert dataset["num_clusters"] == published["K_opt"][dataset["published"]]
        assert dataset["num_clusters"] in dataset["k_sweep"]


def test_arms_take_what_they_do_not_say_from_their_base(config):
    plain, shuffled = (arm_definition(config, arm) for arm in ("a1l", "a1l_shuffled"))
    assert plain.pop("published") == "A1_L"  # which is no other arm's
    assert (plain.pop("label"), shuffled.pop("label")) == ("A1+L", "A1+L, shuffled classes")
    assert "label" not in arm_definition(config, "coseg_mg_d1_crf")
    assert shuffled == plain | {"clusters": "shuffled"}
    released = training_settings(config, "lits", "corrected", "acoseg_released")
    assert (released["batch_size"], released["clip_norm"]) == (8, 0.05)
    assert num_clusters(config, "lits", "acoseg_released") is None


def test_exceptions_for_an_arm_hold_for_those_based_on_it(config):
    for arm in ("a1", "a1_dense", "unet", "a1_long"):
        settings = training_settings(config, "ham10k", "released", arm)
        assert settings["segmentation_weight"] == 100
    for arm in ("acoseg", "acoseg_released"):
        settings = training_settings(config, "lits", "released", arm)
        assert (settings["patience"], settings["checkpoint"]) == (4, "best_dice")


def test_only_networks_with_a_second_task_have_classes(config):
    k = config["datasets"]["lits"]["num_clusters"]
    for arm, classes in (("a1", None), ("acoseg", None), ("a1l_periodic", k), ("unetl", k)):
        assert training_settings(config, "lits", "stated", arm)["num_classes"] == classes


def test_recipe_of_co_segmentation_is_the_papers(config, root):
    published = read_yaml(root / "workflow/resources/published_numbers.yaml")
    stated = published["hyperparameters_as_stated"]["ACoseg"]
    for arm in ("acoseg", "acoseg_released"):
        settings = training_settings(config, "deeplesion", "stated", arm)
        assert settings["learning_rate"] == stated["lr"]
        assert settings["batch_size"] == stated["batch_size"]


def test_settings_of_every_arm_are_valid(config):
    for dataset, protocol in itertools.product(config["datasets"], config["protocols"]):
        for arm in config["arms"]:
            if is_trained(config, arm) and not is_nnunet(config, arm):
                TrainingSettings(**training_settings(config, dataset, protocol, arm))


def test_protocols_differ_by_their_switches_only(config):
    released = training_settings(config, "ham10k", "released", "a1l")
    corrected = training_settings(config, "ham10k", "corrected", "a1l")
    differing = {key for key in released if released[key] != corrected[key]}
    assert differing == {"pad_to", "loss_region", "checkpoint"}
    assert training_settings(config, "lits", "released", "a1")["soft_targets"] is True
    assert training_settings(config, "lits", "corrected", "a1")["soft_targets"] is False
    assert stage_settings(config, "deeplesion", "released", "supervision")["outline_px"] == 2.1
    assert stage_settings(config, "ham10k", "released", "clusters")["encoding"] == "opencv"
    assert stage_settings(config, "deeplesion", "released", "clusters")["encoding"] == "clicked"
    assert released["checkpoint"] == "last_if_stopped"
    assert training_settings(config, "ham10k", "released", "a1")["checkpoint"] == "best_loss"
    assert protocol_settings(config, "stated")["patches"]["ham10k"]["split"] == "image"
    assert protocol_settings(config, "stated")["scoring"]["published_as"]["Dice"] == "dice"


@pytest.mark.parametrize(
    ("dataset", "protocol", "expected"),
    [
        ("deeplesion", "released", True),
        ("deeplesion", "corrected~G6", True),
        ("deeplesion", "corrected~G7", True),
        ("deeplesion", "corrected", False),
        ("deeplesion", "stated", False),
        ("lits", "released", False),
        ("ham10k", "released", False),
    ],
)
def test_marks_may_miss_their_patch_only_where_the_released_code_misplaces_them(
    config, dataset, protocol, expected
):
    assert may_miss_patch(config, dataset, protocol) is expected


def test_exceptions_hold_for_the_datasets_that_are_like_it(config, root):
    demo = study(config, root, "demo")
    assert training_settings(demo, "phantom_ham10k", "released", "a1l")["checkpoint"] == (
        "last_if_stopped"
    )


def test_a_switch_may_be_a_key_of_the_prompt(config):
    changes = {
        "attribution": {"switches": {"X1": ["training.prompt.clip"]}},
        "protocols": {"released": {"training": {"prompt": {"clip": 0.3}}}},
    }
    changed = merge(config, changes)
    own, flipped = (
        training_settings(changed, "ham10k", protocol, "prompted")["prompt"]
        for protocol in ("corrected", "corrected~X1")
    )
    assert flipped == own | {"clip": 0.3} != own


def test_an_exception_may_name_the_dataset_that_is_like_another(config, root):
    exception = {"datasets": ["phantom_lits"], "clusters": {"seed": 7}}
    demo = study(config, root, "demo")
    demo = merge(demo, {"protocols": {"demo": {"exceptions": [exception]}}})
    check_config(demo)
    assert stage_settings(demo, "phantom_lits", "demo", "clusters")["seed"] == 7
    assert stage_settings(demo, "phantom_ham10k", "demo", "clusters")["seed"] != 7


def test_settings_of_every_run_of_every_study_are_valid(config, root):
    for path in [None, *(root / "workflow/studies").glob("*.yaml")]:
        merged = config if path is None else study(config, root, path.stem)
        check_config(merged)
        for run in runs_of(merged, items_of(merged)):
            if is_trained(merged, run.arm) and not is_nnunet(merged, run.arm):
                TrainingSettings(**training_settings(merged, run.dataset, run.protocol, run.arm))


def test_every_point_of_every_sweep_has_its_value(config, root):
    setting = {"k": "num_classes", "alpha": "segmentation_weight", "samples": "train_samples"}
    found = set()
    for path in [None, *(root / "workflow/studies").glob("*.yaml")]:
        merged = config if path is None else study(config, root, path.stem)
        for item in items_of(merged, "sweep"):
            over = merged["experiments"][item]["over"]
            for point in sweep_points(merged, item):
                settings = training_settings(
                    merged, point["dataset"], point["protocol"], point["arm"]
                )
                assert settings[setting[over]] == point["value"], (path, item, point)
                found.add((path and path.stem, over))
    assert {(None, "alpha"), (None, "k"), ("prompted-ham10k", "samples")} <= found


def test_a_warp_is_chosen_for_an_arm_for_another_or_for_none(config):
    chosen = {
        arm: warp_arm(config, "ham10k", "source", arm)
        for arm in (
            "prompted",
            "prompted_dense",
            "prompted_copy",
            "a1",
            "prompted_refined~samples9",
        )
    }
    assert chosen == {
        "prompted": "prompted",
        "prompted_dense": "prompted_refined",
        "prompted_copy": None,
        "a1": None,
        "prompted_refined~samples9": "prompted_refined",
    }


@pytest.mark.parametrize(
    ("kind", "item"), [("scores", "controls"), ("cost", "table2"), ("sweep", "figure5")]
)
def test_the_two_tasks_share_no_item(config, kind, item):
    arms = ["a1l", "prompted"] if kind == "sweep" else ["a1", "prompted"]
    bad = merge(config, {"experiments": {item: {"kind": kind, "arms": arms}}})
    with pytest.raises(DataError, match=f"experiments.{item}.arms: some networks see the mark"):
        check_config(bad)


@pytest.mark.parametrize(
    ("item", "changes", "message"),
    [
        (
            "figure2",
            {"arms": ["a1l", "unetl"]},
            "arms: a sweep is a curve of one arm, not of a1l, un",
        ),
        ("figure2", {"arms": ["a1"]}, "arms: a1 has no clusters whose number"),
        ("figure2", {"arms": ["coseg_d1_crf"]}, "arms: coseg_d1_crf is not trained itself"),
        ("figure2", {"values": [10, 2.5]}, "values: a sweep over k needs whole numbers, not 2.5"),
        ("figure2", {"over": "alpha"}, "values: a sweep over alpha needs its values"),
        ("figure5", {"values": [1, 5, 1]}, "values: 1 is given twice"),
        ("figure5", {"values": [0.00001]}, "values: 1e-05 does not fit into a name"),
        ("figure5", {"values": [0.1234567]}, "values: 0.1234567 does not fit into a name"),
    ],
)
def test_a_sweep_that_would_show_something_else_is_refused(config, item, changes, message):
    with pytest.raises(DataError, match=rf"experiments\.{item}\.{message}"):
        check_config(merge(config, {"experiments": {item: changes}}))


def test_the_pairs_of_an_arm_are_swept_over_their_clusters(config):
    changed = merge(config, {"experiments": {"figure2": {"arms": ["acoseg"]}}})
    check_config(changed)
    points = sweep_points(changed, "figure2")
    own = {point["dataset"]: point["value"] for point in points if point["arm"] == "acoseg"}
    assert own == {name: config["datasets"][name]["num_clusters"] for name in own} != {}


def test_unknown_names_and_circles_are_named(config):
    with pytest.raises(
        DataError,
        match=r"protocols is 'releasd', which is none of corrected.* Did you mean released",
    ):
        protocol_settings(config, "releasd")
    bad = copy.deepcopy(config)
    bad["protocols"]["corrected"]["base"] = "released"
    with pytest.raises(DataError, match="run in a circle"):
        protocol_settings(bad, "released")
    bad = copy.deepcopy(config)
    bad["experiments"]["table1"]["arms"] = ["a9"]
    with pytest.raises(DataError, match=r"experiments\.table1\.arms is 'a9'"):
        runs_of(bad, ["table1"])


def test_patch_settings_of_every_loader_are_valid(config, root):
    from weaklesion.data.loaders import deeplesion, ham10k, lits

    for dataset, loader in (("ham10k", ham10k), ("lits", lits), ("deeplesion", deeplesion)):
        for protocol in config["protocols"]:
            loader.Settings(**patch_settings(config, dataset, protocol))
    assert patch_settings(config, "deeplesion", "released")["complete"] is True
    config["datasets"]["deeplesion"]["parts"] = ["Images_png_01.zip"]
    assert patch_settings(config, "deeplesion", "released")["complete"] is False


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"figures": {"ranked_by": "a9"}}, r"figures\.ranked_by is 'a9'"),
        ({"experiments": {"table1": {"arms": ["ellipse"]}}}, "ranked_by is 'a1'"),
        ({"experiments": {"table7": {"baseline": "a1l"}}}, r"table7\.baseline is 'a1l'"),
        (
            {"protocols": {"corrected": {"training": {"pad_to": [144, 144]}}}},
            r"table7: arm unet on .* pad_to: a U-Net needs",
        ),
        ({"datasets": {"own": {}}, "select": {"datasets": ["own"]}}, "no item is about .'own'"),
        ({"select": {"datasets": ["ham"]}}, r"select\.datasets is 'ham'"),
        ({"select": {"protocols": ["fixed"]}}, r"select\.protocols is 'fixed'"),
        (
            {
                "protocols": {"own": {"patches": {"ham10k": {"split": "image"}}}},
                "select": {"protocols": ["own"]},
            },
            r"protocols\.own: lacks patches\.side_px, .* more\. Name in `base` a protocol",
        ),
        (
            {
                "protocols": {"cmu": {"base": "own"}, "own": {"folds": 3}},
                "select": {"items": ["table1"], "protocols": ["cmu"]},
            },
            r"protocols\.cmu: lacks patches\.on_bad_sample, ",
        ),
        ({"datasets": {"lits": {"like": "list"}}}, r"datasets\.lits\.like is 'list'"),
        (
            {"datasets": {"deeplesion": {"reference": "dense"}}},
            r"datasets\.deeplesion\.reference: dense: .* Set reference: grabcut",
        ),
        ({"training": {"encoder": "resnet50"}}, "encoder .* is 'resnet50'"),
        ({"arms": {"a1_long": {"epochs_of": "a9"}}}, r"arms\.a1_long\.epochs_of is 'a9'"),
        ({"arms": {"a1_long": {"starts_from": "ellipse"}}}, "ellipse is not trained itself"),
        ({"datasets": {"liver": {"files_of": "liver2"}}}, r"files_of is 'liver2'"),
        ({"datasets": {"lits": {"files_of": "liver"}}}, "liver has no files of its own"),
        ({"arms": {"a1": {"network": {"danet": True}}}}, "a1 has no danet"),
        ({"arms": {"unet": {"base": "a9"}}}, r"arms\.unet\.base is 'a9'"),
        ({"arms": {"a1": {"base": "unet"}}}, r"arms\.\w+ run in a circle"),
        (
            {
                "protocols": {
                    "released": {
                        "exceptions": [{"datasets": ["ham10k"], "arms": ["a1+l"], "training": {}}]
                    }
                }
            },
            r"exceptions\.arms is 'a1\+l'",
        ),
        (
            {"protocols": {"corrected": {"clusters": {"embedding_of": "ellipse"}}}},
            r"clusters\.embedding_of: ellipse is not trained itself",
        ),
        (
            {"protocols": {"agarwal": {"clusters": {"embedding_of": "coseg_mg_d2_embedding"}}}},
            "embedding_of: coseg_mg_d2_embedding is itself trained with clusters of features",
        ),
        (
            {
                "arms": {"late": {"base": "coseg_d1", "starts_from": "coseg_mg_d2_embedding"}},
                "protocols": {"agarwal": {"clusters": {"embedding_of": "late"}}},
            },
            "embedding_of: coseg_mg_d2_embedding, which late needs, is itself trained with",
        ),
        (
            {
                "protocols": {
                    "agarwal": {
                        "exceptions": [{"datasets": ["lits"], "clusters": {"embedding_of": "a9"}}]
                    }
                }
            },
            r"protocols\.agarwal\.exceptions\.clusters\.embedding_of is 'a9'",
        ),
        (
            {"select": {"items": ["nnunet"]}},
            r"select\.items: no dataset is named for nnunet\. Name some in experiments",
        ),
        (
            {
                "experiments": {"table1": {"datasets": ["lits", "ham10kk"]}},
                "select": {"datasets": ["lits"]},
            },
            r"experiments\.table1\.datasets is 'ham10kk'.* Did you mean ham10k",
        ),
        ({"attribution": {"between": ["corrected", "relaesed"]}}, "between is 'relaesed'"),
        (
            {"attribution": {"switches": {"T6": ["training.weight"]}}},
            r"attribution\.switches\.T6: there is no switch training\.weight of a1 on deeplesion",
        ),
        (
            {"attribution": {"switches": {"K1": ["clusters.code"]}}},
            r"attribution\.switches\.K1: there is no switch clusters\.code",
        ),
        (
            {"training": {"pad_to": [96, 128]}},
            r"table1: arm a1 on deeplesion under stated: pad_to: \[96, 128\] is less than input_px",
        ),
        (
            {"datasets": {"liver": {"files_of": "ham10k"}}},
            r"liver\.files_of: the files of ham10k are those of the loader ham10k, which the loader"
            " lits_liver does not read",
        ),
    ],
)
def test_names_that_stand_for_nothing(config, change, message):
    with pytest.raises(DataError, match=message):
        check_config(merge(config, change))


@pytest.mark.parametrize(
    ("named", "arms"),
    [
        ({"a1"}, ["a1"]),
        ({"a1l"}, ["a1l"]),
        ({"a1l~k"}, ["a1l~k20", "a1l~k5"]),
        ({"a1l~alpha"}, ["a1l~alpha0.5"]),
        ({"a1", "a1l~k"}, ["a1", "a1l~k20", "a1l~k5"]),
        (set(), []),
        ({"ellipse"}, []),
    ],
)
def test_runs_that_named_arms_and_variants_have(named, arms):
    every = ["a1", "a1l", "a1_dense", "a1l~k20", "a1l~k5", "a1l~alpha0.5", "prompted~samples250"]
    runs = [Run("ham10k", "corrected", arm, seed) for arm in every for seed in (1, 2)]
    found = runs_of_arms(runs, named)
    assert found == [run for run in runs if run.arm in arms]


def test_verdicts_need_the_trainings_of_the_papers_tables_and_figures(config):
    """Not those given the mark, nor controls: no claim is about them."""
    named = claimed_arms(CLAIMS)
    judged = runs_of(config, items_of(config, "scores", "cost", "parameters", "sweep"))
    papers = [f"table{number}" for number in range(1, 9)] + ["figure2", "figure5", "parameters"]
    runs = runs_of_arms(judged, named)
    assert {run.arm for run in judged} - {run.arm for run in runs} > {"prompted", "a1l_shuffled"}
    assert set(runs) <= set(runs_of(config, papers))


def test_only_a_training_whose_last_weights_are_used_keeps_them(config):
    assert not any(keeps_last(config, arm) for arm in config["arms"])
    config["arms"]["a1_last"] = {"base": "a1", "network_of": "a1", "weights_of": "last"}
    assert [arm for arm in config["arms"] if keeps_last(config, arm)] == ["a1"]
    config["arms"]["a1_last"]["weights_of"] = "kept"
    assert not any(keeps_last(config, arm) for arm in config["arms"])


def test_last_weights_are_another_arms(config):
    config["arms"]["a1_last"] = {"base": "a1", "weights_of": "last"}
    with pytest.raises(DataError, match=r"arms\.a1_last\.weights_of: .* Name that arm"):
        check_config(config)


def test_imagenet_weights_go_with_the_levels_that_they_were_trained_with(config):
    config["training"]["encoder"] = "timm-tf_efficientnet_lite0"
    with pytest.raises(DataError, match=r"normalisation: .* were trained with 'half'"):
        check_config(config)


def test_the_exponent_of_the_four_ends_is_stated_once(config):
    config["protocols"]["source"]["supervision"] = {"ends_exponent": 1.4}
    shown = [
        training_settings(config, "ham10k", "source", arm)["prompt"].get("exponent")
        for arm in ("prompted_ends", "prompted_ends_robust", "prompted_refined")
    ]
    assert shown == [1.4, 1.4, None]
