"""Arms with nnU-Net in the configuration: what they have, and what is refused by name."""

import pytest

from weaklesion.errors import DataError
from weaklesion.report.plan import measured_speeds
from weaklesion.report.tables.epochs import comparable, epochs_in_words, epochs_of
from weaklesion.study.arms import describe_network, is_nnunet, training_settings
from weaklesion.study.checks import check_config
from weaklesion.study.items import items_of, runs_of
from weaklesion.study.jobs import Jobs
from weaklesion.study.layout import Layout
from weaklesion.study.protocols import merge
from weaklesion.study.study import Study
from weaklesion.support.files import write_json
from weaklesion.support.yaml_files import read_yaml


@pytest.fixture
def config(root):
    return read_yaml(root / "config.yaml")


def with_item(config, **changes):
    """The configuration with the item of nnU-Net on one dataset, changed."""
    item = {"datasets": ["ham10k"]} | changes
    return merge(config, {"experiments": {"nnunet": item}})


def test_the_paper_trains_no_nnunet_and_a_study_names_its_datasets(config):
    assert not [run for run in runs_of(config, items_of(config)) if is_nnunet(config, run.arm)]
    chosen = with_item(config)
    check_config(chosen)
    assert "nnunet" in items_of(chosen)
    arms = {run.arm for run in runs_of(chosen, ["nnunet"]) if is_nnunet(chosen, run.arm)}
    assert arms == {"nnunet", "nnunet_refined", "nnunet_dense"}


def test_model_cards_and_releases_are_of_our_networks_only(config):
    chosen = with_item(config, contours=["a1", "nnunet"], arms=["a1", "nnunet"])
    chosen["select"] = {"items": ["nnunet"], "datasets": None, "protocols": None}
    study = Study(chosen, config)
    assert {run.arm for run in study.trained(study.all_runs)} == {"a1", "nnunet"}
    assert {run.arm for run in study.carded_runs} == {"a1"}


def test_every_table_names_the_budget(config):
    config["nnunet"] |= {"epochs": 20, "iterations": 50}
    words = describe_network(config, "ham10k", "corrected", "nnunet_refined")
    assert words == "nnU-Net's own 2-D plan, from scratch, 20 epochs of 50 batches"
    config["nnunet"]["batch_size"] = 12
    longer = describe_network(config, "ham10k", "corrected", "nnunet_refined")
    assert longer == words + " of 12"


def test_targets_are_those_of_a1_but_never_soft(config):
    class Job:
        dataset, protocol, seed = "lits", "released", 1

    jobs, job = Jobs(config, Layout("paper")), Job()
    for suffix, target in (("", "ellipse.npy"), ("_refined", "refined.npy")):
        job.arm = f"nnunet{suffix}"
        assert jobs.target(job).endswith(f"targets/{target}")
    job.arm = "a1"
    assert jobs.target(job).endswith("ellipse_soft.npy")
    job.arm = "nnunet_dense"
    assert jobs.target(job).endswith("patches/reference.npy")
    assert jobs.weights(job) == jobs.training_prompts(job) == jobs.clusters(job) == []
    assert jobs.is_ct(job)
    job.dataset = "ham10k"
    assert not jobs.is_ct(job)


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"arms": {"nnunet": {"training": {"epochs": 3}}}}, r"nnunet\.training: nnU-Net plans and"),
        ({"arms": {"nnunet": {"crf": True}}}, r"nnunet\.crf: nnU-Net plans"),
        ({"arms": {"a1_long": {"epochs_of": "nnunet"}}}, "epochs_of: nnunet is an nnU-Net"),
        (
            {"protocols": {"corrected": {"clusters": {"embedding_of": "nnunet"}}}},
            "embedding_of: nnunet is an nnU-Net",
        ),
        (
            {"experiments": {"table1": {"arms": ["a1", "nnunet"]}}},
            r"table1\.arms: nnunet is an nnU-Net, and the figures of the main item",
        ),
        (
            {"experiments": {"table8": {"arms": ["a1l", "nnunet"]}}},
            r"table8\.arms: nnunet is an nnU-Net, and it has no second task",
        ),
        (
            {"experiments": {"figure5": {"arms": ["nnunet"]}}},
            r"figure5\.arms: nnunet is an nnU-Net, and its settings are not",
        ),
        (
            {"experiments": {"attribution": {"arms": ["a1", "nnunet"]}}},
            "it has none of the settings of the released code",
        ),
    ],
)
def test_what_an_nnunet_does_not_have_is_refused_by_name(config, changes, cause):
    with pytest.raises(DataError, match=cause):
        check_config(merge(config, changes))


def test_an_nnunet_is_compared_with_arms_of_other_epochs(config):
    settings = training_settings(config, "ham10k", "corrected", "nnunet")
    peer = epochs_of([{"settings": settings, "epochs_run": 1000}])
    ours = epochs_of([{"settings": {"epochs": 6, "iterations": None}, "epochs_run": 6}])
    other = epochs_of([{"settings": {"epochs": 9, "iterations": None}, "epochs_run": 9}])
    assert comparable(peer, ours)
    assert comparable(ours, peer)
    assert not comparable(ours, other)
    words = epochs_in_words({"a1": ours, "nnunet": peer}, "a1")
    assert words == (
        "Epochs of training: a1 6; nnunet 1000. nnU-Net counts epochs of its own batches, which its"
        " network's name states."
    )


def test_its_speed_plans_no_other_network(config, tmp_path):
    run = tmp_path / "results/s/ham10k/corrected/runs/nnunet/seed-1/run.json"
    run.parent.mkdir(parents=True)
    settings = training_settings(config, "ham10k", "corrected", "nnunet")
    write_json(run, {"settings": settings, "device": "cpu", "images_per_second": 3.0})
    assert measured_speeds(tmp_path) == {}
