"""What jobs read, by the paper's configuration."""

import re
from types import SimpleNamespace

import pytest
from conftest import ROOT

from weaklesion.study.arms import chooses_warp, has_crf, is_prompted, is_teacher, is_trained
from weaklesion.study.items import trainings_of
from weaklesion.study.jobs import Jobs
from weaklesion.study.layout import Layout
from weaklesion.study.protocols import merge
from weaklesion.support.yaml_files import read_yaml

PAPER = read_yaml(ROOT / "config.yaml")
FOLDER = "results/paper/{}/{}/"


def jobs_of(**changes):
    return Jobs(merge(PAPER, changes), Layout("paper"))


@pytest.fixture(scope="module")
def jobs():
    return jobs_of()


def job(dataset="ham10k", protocol="corrected", arm="a1", seed=2):
    return SimpleNamespace(dataset=dataset, protocol=protocol, arm=arm, seed=seed)


def inside(path, of):
    """A path below the folder of a job's dataset and protocol."""
    return path.removeprefix(FOLDER.format(of.dataset, of.protocol))


def test_references_are_dense_masks_or_grabcuts(jobs):
    dense, marked = job(), job("deeplesion")
    assert jobs.has_dense_masks("ham10k")
    assert inside(jobs.reference(dense), dense) == "patches/reference.npy"
    assert inside(jobs.reference_ids(dense), dense) == "patches/samples.csv"
    assert jobs.dense_reference(dense) == jobs.reference(dense)
    assert not jobs.has_dense_masks("deeplesion")
    init = jobs.switch(marked, "supervision", "grabcut")["init"]
    assert inside(jobs.reference(marked), marked) == f"targets/grabcut_{init}.npy"
    assert inside(jobs.reference_ids(marked), marked) == "targets/ellipses.csv"
    assert jobs.dense_reference(marked) == []


@pytest.mark.parametrize(
    ("arm", "place", "target"),
    [
        ("a1", {}, "targets/ellipse.npy"),
        ("a1", {"dataset": "lits", "protocol": "released"}, "targets/ellipse_soft.npy"),
        ("ellipse", {"dataset": "lits", "protocol": "released"}, "targets/ellipse.npy"),
        ("fixed_ellipse", {}, "targets/fixed_ellipse.npy"),
        ("a1_grabcut", {"protocol": "released"}, "targets/grabcut_rect.npy"),
        ("a1_grabcut", {}, "targets/grabcut_trimap.npy"),
        ("a1_dense", {}, "patches/reference.npy"),
        ("a1_refined", {}, "targets/refined.npy"),
        ("ellipse_noise6", {}, "targets/ellipse_noise6.npy"),
    ],
)
def test_targets(jobs, arm, place, target):
    one = job(arm=arm, **place)
    assert inside(jobs.target(one), one) == target
    ids = "patches/samples.csv" if arm == "a1_dense" else "targets/ellipses"
    assert inside(jobs.target_ids(one), one).startswith(ids)


def test_targets_of_perturbed_marks_are_joined_by_the_perturbed_ellipses(jobs):
    one = job(arm="ellipse_noise6")
    assert inside(jobs.target_ids(one), one) == "targets/ellipses_noise6.csv"
    assert inside(jobs.given_marks(job()), job()) == "targets/ellipses.csv"


@pytest.mark.parametrize(
    ("arm", "clusters"),
    [
        ("a1", []),
        ("a1l", "clusters/k45.csv"),
        ("a1l~k20", "clusters/k20.csv"),
        ("a1l_shuffled", "clusters/k45_shuffled.csv"),
        ("a1l_periodic", "clusters/k45_periodic.csv"),
        ("acoseg", "clusters/k45.csv"),
        ("acoseg_released", []),
    ],
)
def test_clusters(jobs, arm, clusters):
    found = jobs.clusters(job(arm=arm))
    assert (inside(found, job()) if found else found) == clusters
    assert jobs.chosen_k(job()) == 45


def test_weights_are_of_the_encoder_or_none(jobs):
    file = "resources/imagenet_weights/torchvision/archives/resnet101-5d3b4d8f.pth"
    assert jobs.weights(job()) == file
    assert jobs.weights(job(arm="cmu_unet")) == []
    assert jobs.training_settings(job(arm="a1l"))["num_classes"] == 45


def test_what_a_training_starts_from(jobs):
    one = job(arm="cmu_pretrained")
    assert inside(jobs.starts_from(one), one) == "runs/cmu_encoder/seed-2/model.safetensors"
    assert jobs.starts_from(job()) == []
    long = job(arm="a1_long")
    assert inside(jobs.epochs_of(long), long) == "runs/a1l/seed-2/run.json"
    assert jobs.epochs_of(job()) == []


def test_networks_that_see_the_mark_get_ellipses_and_a_warp(jobs):
    one = job(arm="prompted_refined", protocol="source")
    assert inside(jobs.training_prompts(one), one) == "targets/ellipses.csv"
    assert re.fullmatch(r"warps/\w+\.json", inside(jobs.warp(one), one))
    assert jobs.training_prompts(job()) == jobs.warp(job()) == []


@pytest.mark.parametrize(
    ("arm", "network", "task"),
    [
        ("a1", "deeplab", "segmentation"),
        ("a1l", "deeplab", "segmentation"),
        ("acoseg_released", "cosegmentation", "pairs"),
        ("prompted_ends", "prompted", "prompted"),
    ],
)
def test_the_code_of_a_run_is_that_of_its_network_and_task(jobs, arm, network, task):
    modules = jobs.modules_of_arm(job(arm=arm), "training.tasks")
    assert modules == [f"networks.{network}", f"training.tasks.{task}"]
    assert jobs.modules_of_arm(job(arm=arm), None) == [f"networks.{network}"]


def test_a_pupil_is_trained_on_the_masks_of_its_teacher():
    pupil = {"base": "prompted_ends_robust", "taught_by": "prompted_ends_sized"}
    taught = jobs_of(arms={"pupil": pupil, "pupil_noise9": {"base": "pupil", "marks": "noise9"}})
    one = job(arm="pupil", protocol="source")
    folder = "runs/prompted_ends_sized/seed-2"
    assert inside(taught.target(one), one) == f"{folder}/taught.npy"
    assert inside(taught.target_ids(one), one) == f"{folder}/taught.csv"
    assert inside(taught.warp(one), one) == "warps/prompted_ends.json"
    assert is_teacher(taught.config, "prompted_ends_sized")
    assert not is_teacher(taught.config, "prompted_ends")
    assert not chooses_warp(taught.config, "pupil")


def test_predictions_take_the_networks_weights_of_their_own_or_of_another(jobs):
    run = jobs.network_file("run.json")
    assert inside(run(job()), job()) == "runs/a1/seed-2/run.json"
    crf = job(arm="coseg_d1_crf")
    assert inside(run(crf), crf) == "runs/coseg_d1/seed-2/run.json"
    last = jobs_of(arms={"a1_last": {"base": "a1", "network_of": "a1", "weights_of": "last"}})
    found = last.weights_file(job(arm="a1_last"))
    assert inside(found, job()) == "runs/a1/seed-2/last.safetensors"
    assert inside(last.weights_file(job()), job()) == "runs/a1/seed-2/model.safetensors"


def test_partners(jobs):
    paired, released = job(arm="acoseg"), job(arm="acoseg_released")
    assert jobs.partner(paired) == "nearest"
    assert inside(jobs.partner_ellipses(paired), paired) == "targets/ellipses.csv"
    assert jobs.partner_clusters(paired) == jobs.clusters(paired)
    assert jobs.partner_ellipses(released) == []  # whose partner changes nothing (T9)
    assert jobs.partner_clusters(released) == []
    assert jobs.partner(job(arm="coseg_mg_d2_itself")) == "itself"
    assert jobs.partner_ellipses(job(arm="coseg_mg_d2_itself")) == []
    seen = job(arm="prompted")
    assert inside(jobs.partner_ellipses(seen), seen) == "targets/ellipses.csv"


def test_partners_by_embedding(jobs):
    one = job("deeplesion", "agarwal", "coseg_mg_d2_embedding")
    assert inside(jobs.partner_embeddings(one), one) == "clusters/embeddings.npy"
    assert jobs.partner_ellipses(one) == []
    assert jobs.partner_embeddings(job(arm="acoseg")) == []


def test_switches_and_arms(jobs):
    encoding = jobs.switched("clusters", "encoding")
    assert encoding(job()) == jobs.switch(job(), "clusters", "encoding")
    assert encoding(job("deeplesion", "released")) != encoding(job("deeplesion"))
    assert jobs.arm(job())["model"] == "a1"
    assert jobs.channel_order(job()) == "rgb"
    assert jobs.channel_order(job("lits")) == "center"
    assert jobs.outside_patch(job("deeplesion")) == "refuse"
    assert jobs.outside_patch(job("deeplesion", "released")) == "empty"


def test_every_switch_of_a_prediction_is_noticed_as_snakemake_compares_params():
    """Snakemake compares the values without their names, as a set."""
    arm = job(protocol="source", arm="own")
    seen = set()
    switches = ({}, {"consistent": True}, {"sized": True}, {"consistent": True, "sized": True})
    for switched in switches:
        own = jobs_of(
            arms={"own": {"base": "prompted_ends", "network_of": "prompted_ends"} | switched}
        )
        seen.add(repr(own.prediction_settings("test")(arm)))
    assert len(seen) == 4


def test_settings_of_a_prediction():
    jobs = jobs_of()
    crf, gated = (
        jobs.prediction_settings("test")(job(arm=arm))
        for arm in ("coseg_d1_crf", "prompted_refined_gated")
    )
    assert crf["crf"] == jobs.config["crf"]
    assert (crf["gate"], crf["levels"], crf["splits"], crf["seed"]) == (None, None, ["test"], 2)
    assert (gated["gate"], gated["consistent"], gated["crf"]) == (0.8, True, None)
    levels = jobs.prediction_settings("train", "val")(job(arm="prompted_ends_levels"))["levels"]
    assert levels == jobs.switch(job(), "supervision", "refined")


def test_folds_are_told_apart_as_snakemake_compares_params():
    """Fold 3 of 3 and fold 3 of 5, with the seed 5, have the same numbers."""
    three, five = (
        jobs_of(
            protocols={
                "own": {
                    "base": "corrected",
                    "folds": folds,
                    "patches": {"ham10k": {"split_seed": 5}},
                }
            }
        )
        for folds in (3, 5)
    )
    assert three.fold(job(protocol="own"), 3) == {"number": 3, "folds": 3, "seed": 5}
    assert five.fold(job(protocol="own"), 3) == {"number": 3, "folds": 5, "seed": 5}


def test_patterns_match_arms_and_their_variants_only(jobs):
    trained = jobs.arms_matching(is_trained)
    for name in ("a1l", "a1l~k20", "a1l~alpha0.5", "prompted"):
        assert re.fullmatch(trained, name), name
    for name in ("ellipse", "a1lx", "coseg_d1_crf"):
        assert not re.fullmatch(trained, name), name
    assert re.fullmatch(jobs.arms_matching(has_crf), "coseg_d1_crf")
    assert re.fullmatch(jobs.arms_matching(is_prompted), "prompted_refined")
    assert jobs.arms_matching(lambda config, arm: False).startswith("(none)")


def test_the_network_that_embeds_is_the_same_whatever_the_seeds():
    one = job("deeplesion", "agarwal", "coseg_mg_d2_embedding", seed=4)
    weights = jobs_of(seeds=[4, 5]).embedding_file("model.safetensors")(one)
    assert inside(weights, one) == "runs/a1/seed-1/model.safetensors"
    pairs = {"datasets": ["deeplesion"], "protocols": ["agarwal"], "arms": [one.arm, "fcn32"]}
    item = {"kind": "cost", "title": "Pairs"} | pairs
    config = merge(PAPER, {"seeds": [4, 5], "experiments": {"pairs": item}})
    trained = {(run.arm, run.seed) for run in trainings_of(config, ["pairs"])}
    assert trained == {(one.arm, 4), (one.arm, 5), ("fcn32", 4), ("fcn32", 5), ("a1", 1)}
