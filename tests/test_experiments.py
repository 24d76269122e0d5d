import copy
import itertools

import pytest
import yaml

from weaklesion.errors import DataError
from weaklesion.experiments import (
    arm_definition,
    check_config,
    is_trained,
    merge,
    num_clusters,
    patch_settings,
    protocol_settings,
    runs_of,
    stage_settings,
    training_settings,
)
from weaklesion.training_settings import TrainingSettings


@pytest.fixture
def config(root):
    return yaml.safe_load((root / "config.yaml").read_text())


def study(config, root, name):
    return merge(config, yaml.safe_load((root / f"workflow/studies/{name}.yaml").read_text()))


def test_full_reproduction_of_table1(config):
    runs = runs_of(config, ["table1"])
    assert len(runs) == len(set(runs)) == 3 * 3 * (4 * 5 + 1)
    assert [run.seed for run in runs if run.arm == "ellipse"] == [0] * 9


def test_paper_hyperparameters(config, root):
    published = yaml.safe_load((root / "workflow/resources/published_numbers.yaml").read_text())
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
    published = yaml.safe_load((root / "workflow/resources/published_numbers.yaml").read_text())
    for dataset in config["datasets"].values():
        assert dataset["num_clusters"] == published["K_opt"][dataset["published"]]
        assert dataset["num_clusters"] in dataset["k_sweep"]


def test_arms_take_what_they_do_not_say_from_their_base(config):
    plain, shuffled = (arm_definition(config, arm) for arm in ("a1l", "a1l_shuffled"))
    assert plain.pop("published") == "A1_L"  # which is no other arm's
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
    published = yaml.safe_load((root / "workflow/resources/published_numbers.yaml").read_text())
    stated = published["hyperparameters_as_stated"]["ACoseg"]
    for arm in ("acoseg", "acoseg_released"):
        settings = training_settings(config, "deeplesion", "stated", arm)
        assert settings["learning_rate"] == stated["lr"]
        assert settings["batch_size"] == stated["batch_size"]


def test_settings_of_every_arm_are_valid(config):
    for dataset, protocol in itertools.product(config["datasets"], config["protocols"]):
        for arm in config["arms"]:
            if is_trained(config, arm):
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


def test_exceptions_hold_for_the_datasets_that_are_like_it(config, root):
    demo = study(config, root, "demo")
    assert training_settings(demo, "phantom_ham10k", "released", "a1l")["checkpoint"] == (
        "last_if_stopped"
    )


def test_settings_of_every_run_of_every_study_are_valid(config, root):
    for path in [None, *(root / "workflow/studies").glob("*.yaml")]:
        merged = config if path is None else study(config, root, path.stem)
        for run in runs_of(merged, merged["experiments"]):
            if merged["arms"][run.arm]["model"] is not None:
                TrainingSettings(**training_settings(merged, run.dataset, run.protocol, run.arm))


def test_unknown_names_and_circles_are_named(config):
    with pytest.raises(DataError, match="protocols is 'releasd', which is none of corrected"):
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
    from weaklesion.datasets import deeplesion, ham10k, lits

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
        ({"datasets": {"lits": {"like": "list"}}}, r"datasets\.lits\.like is 'list'"),
        ({"training": {"encoder": "resnet50"}}, "encoder .* is 'resnet50'"),
        ({"arms": {"a1_long": {"epochs_of": "a9"}}}, r"arms\.a1_long\.epochs_of is 'a9'"),
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
    ],
)
def test_names_that_stand_for_nothing(config, change, message):
    check_config(config)
    with pytest.raises(DataError, match=message):
        check_config(merge(config, change))
