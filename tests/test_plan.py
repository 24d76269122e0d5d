"""What a study will take, against sums by hand."""

import json
import math
import shutil
import subprocess
import sys

import pytest
import yaml

from weaklesion.plan import (
    job_costs,
    make_plan,
    measured_speeds,
    num_samples,
    pixels_of,
    run_folder,
    spent,
)
from weaklesion.switches import merge


@pytest.fixture
def config(root):
    """Table 1 of HAM10K, under two protocols, with two seeds of A1 and A1+L."""
    content = yaml.safe_load((root / "config.yaml").read_text())
    content["seeds"] = [1, 2]
    content["select"] = {"items": ["table1"], "datasets": ["ham10k"], "protocols": ["corrected"]}
    content["experiments"]["table1"]["arms"] = ["ellipse", "a1", "a1l"]
    return content


def add_run(folder, arm, seed, **changes):
    settings = {
        "model": arm,
        "encoder": "resnet101",
        "batch_size": 10,
        "steps_per_batch": 1,
        "precision": "bfloat16",
        "pad_to": [128, 128],
    }
    path = folder / f"results/paper/ham10k/corrected/runs/{arm}/seed-{seed}/run.json"
    path.parent.mkdir(parents=True)
    told = {"settings": settings, "device": "GPU", "images_per_second": 500.0} | changes
    path.write_text(json.dumps(told))


def test_nothing_measured_the_papers_hours_hold(config, root, tmp_path):
    plan = make_plan(config, {"train_arm": 4}, tmp_path, root)
    assert [one.gpu_hours for one in plan.trainings] == [3.9] * 4  # Table 2, HAM10K, A1+L
    assert "paper's hours of A1_L" in plan.trainings[0].basis
    names = ["images_part_1", "images_part_2", "segmentations", "metadata"]
    assert 2.7e9 < plan.download_bytes < 2.9e9, names
    models = plan.disk_bytes["models and predictions"]
    assert models == pytest.approx(4 * 4 * 46e6 + 5 * 0.2 * 10_015 * 120**2)


def test_what_was_measured_counts_and_what_is_done_is_not_planned(config, root, tmp_path):
    add_run(tmp_path, "a1", 1)
    add_run(tmp_path, "a1", 3, images_per_second=700.0)
    add_run(tmp_path, "a1", 4, images_per_second=30.0, device="slow")
    plan = make_plan(config, {"train_arm": 3}, tmp_path, root)
    left = {(one.run.arm, one.run.seed): one for one in plan.trainings}
    assert set(left) == {("a1", 2), ("a1l", 1), ("a1l", 2)}
    assert left[("a1", 2)].gpu_hours == pytest.approx(50 * 0.7 * 10_015 / 600 / 3600)
    assert "measured on GPU" in left[("a1", 2)].basis
    # another network is not as fast
    assert left[("a1l", 1)].gpu_hours == 3.9
    assert len(measured_speeds(tmp_path)) == 1


def test_a_dataset_that_the_paper_has_not_is_unknown(config, root, tmp_path):
    config["datasets"]["ham10k"].pop("published")
    plan = make_plan(config, {"train_arm": 4}, tmp_path, root)
    assert all(math.isnan(one.gpu_hours) for one in plan.trainings)


def test_files_that_are_there_are_not_downloaded(config, root, tmp_path):
    before = make_plan(config, {}, tmp_path, root).download_bytes
    archives = tmp_path / "resources/ham10k/dataverse/archives"
    archives.mkdir(parents=True)
    (archives / "HAM10000_images_part_1.zip").touch()
    after = make_plan(config, {}, tmp_path, root).download_bytes
    assert before - after == 1_366_522_108


def test_samples_are_those_of_the_limit_the_phantom_or_the_paper(config, root):
    published = yaml.safe_load((root / "workflow/resources/published_numbers.yaml").read_text())
    assert num_samples(config, "deeplesion", published) == 32_735
    assert num_samples(config, "lits", published) == 11_522 + 3_310 + 1_630
    config["datasets"]["ham10k"]["limit"] = {"train": 5, "val": 2, "test": 3}
    assert num_samples(config, "ham10k", published) == 10
    phantom = {"num_volumes": 6, "num_slices": 5}
    config["datasets"]["mine"] = {"loader": "lits", "phantom": phantom}
    assert num_samples(config, "mine", published) == 30
    assert num_samples(config, "liver", published) == 1664 + 298 + 787


@pytest.mark.parametrize("name", ["agarwal2020", "cmunet", "three_papers", "ham10k-gpu"])
def test_every_study_can_be_planned(root, tmp_path, name):
    config = yaml.safe_load((root / "config.yaml").read_text())
    study = merge(config, yaml.safe_load((root / f"workflow/studies/{name}.yaml").read_text()))
    plan = make_plan(study, {}, tmp_path, root)
    trained = {training.run.arm for training in plan.trainings}
    if name == "agarwal2020":  # also those that only a CRF, or clusters of embeddings, need
        assert {"coseg_d1", "coseg_d1_adam", "coseg_mg_d1_adam", "a1"} <= trained
    if name == "cmunet":
        assert "cmu_encoder" in trained
        assert plan.download_bytes > 20e9  # LiTS's files, which are another dataset's


def test_core_hours_are_those_of_jobs_and_samples(config, root, tmp_path):
    hours = make_plan(config, {"draw_grabcut": 2, "train_arm": 1}, tmp_path, root).cpu_hours
    cost = job_costs(root)["draw_grabcut"]
    seconds = float(cost["seconds_per_job"]) + 10_015 * float(cost["seconds_per_sample"])
    assert hours == {"draw_grabcut": pytest.approx(2 * seconds / 3600)}


def test_what_was_spent_is_read_from_the_benchmarks(tmp_path):
    folder = tmp_path / "results/x/benchmarks"
    (folder / "train_arm").mkdir(parents=True)
    rows = {"train_arm/a.tsv": "36.0\t18", "train_arm/b.tsv": "72.0\t36", "table.tsv": "1.0\tNA"}
    for name, row in rows.items():
        (folder / name).write_text(f"s\tcpu_time\n{row}\n")
    took = spent(tmp_path, "x")
    assert took["train_arm"] == (2, pytest.approx(0.03), pytest.approx(0.015))
    assert took["table"] == (1, pytest.approx(1 / 3600), 0)


def test_a_patch_has_the_pixels_of_its_frame(config):
    pixels = {
        (dataset, protocol): pixels_of(config, dataset, protocol)
        for dataset in ("ham10k", "lits")
        for protocol in ("corrected", "source")
    }
    assert pixels == {
        ("ham10k", "corrected"): 120 * 120,
        ("ham10k", "source"): 600 * 450,
        ("lits", "corrected"): 120 * 120,
        ("lits", "source"): 320 * 320,
    }


def test_the_command_prints_a_plan(root, tmp_path):
    shutil.copy(root / "workflow/studies/demo.yaml", tmp_path)
    command = [
        sys.executable,
        root / "tools/plan.py",
        tmp_path / "demo.yaml",
        "--directory",
        tmp_path,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Study demo: " in done.stdout
    assert "train_arm" in done.stdout
    assert "33 trainings: unknown" in done.stdout
    assert not (tmp_path / "results").exists()


def test_run_folder_is_where_the_workflow_puts_runs(config):
    from weaklesion.experiments import Run

    assert run_folder(Run("d", "p", "a", 3)) == "d/p/runs/a/seed-3"
