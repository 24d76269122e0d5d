"""What a study will take, against sums by hand."""

import json
import math
import re
import shutil
import subprocess

import pytest
import yaml
from preloaded_python import preloaded_python
from typer.testing import CliRunner

from weaklesion.cli import app
from weaklesion.errors import DataError
from weaklesion.report.plan import (
    GPU_RULES,
    job_costs,
    make_plan,
    measured_speeds,
    time_spent,
)
from weaklesion.report.plan_storage import PARAMETERS, pixels_of
from weaklesion.report.plan_study import INSTALLED, dry_run, find_workflow
from weaklesion.report.sample_counts import split_samples
from weaklesion.report.training_rates import read_rates, seconds_per_step, training_hours
from weaklesion.study.items import Run
from weaklesion.study.layout import Layout
from weaklesion.study.protocols import merge
from weaklesion.support.yaml_files import read_yaml


@pytest.fixture
def config(root):
    """Table 1 of HAM10K, under two protocols, with two seeds of A1 and A1+L."""
    content = read_yaml(root / "config.yaml")
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
    content = {"settings": settings, "device": "GPU", "images_per_second": 500.0} | changes
    path.write_text(json.dumps(content))


def test_nothing_measured_the_papers_hours_hold(config, root, tmp_path):
    plan = make_plan(config, {"train_arm": 4}, tmp_path, root)
    assert [one.hours for one in plan.trainings] == [3.9] * 4  # Table 2, HAM10K, A1+L
    assert {one.on for one in plan.trainings} == {"GPU"}
    assert "upper bound: the paper's hours of A1_L" in plan.trainings[0].basis
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
    assert left[("a1", 2)].hours == pytest.approx(50 * 7_011 / 600 / 3600)
    assert left[("a1", 2)].on == "GPU"
    assert "measured on GPU" in left[("a1", 2)].basis
    # another network is not as fast
    assert left[("a1l", 1)].hours == 3.9
    assert len(measured_speeds(tmp_path)) == 1


def test_trainings_that_run_again_are_planned(config, root, tmp_path):
    """A record alone, whose weights are gone or whose settings changed, is no finished training."""
    add_run(tmp_path, "a1", 1)
    study = tmp_path / "study.yaml"
    study.write_text(yaml.safe_dump({key: config[key] for key in ("seeds", "select")}))
    jobs, trainings = dry_run(root, [study], [], tmp_path)
    assert Run("ham10k", "corrected", "a1", 1) in trainings
    assert jobs["train_arm"] == len(trainings)
    planned = make_plan(config, jobs, tmp_path, root, trainings).trainings
    assert ("a1", 1) in {(one.run.arm, one.run.seed) for one in planned}


def test_a_dataset_that_the_paper_has_not_is_unknown(config, root, tmp_path):
    config["datasets"]["ham10k"].pop("published")
    plan = make_plan(config, {"train_arm": 4}, tmp_path, root)
    assert all(math.isnan(one.hours) for one in plan.trainings)


def test_files_that_are_there_are_not_downloaded(config, root, tmp_path):
    before = make_plan(config, {}, tmp_path, root).download_bytes
    archives = tmp_path / "resources/ham10k/dataverse/archives"
    archives.mkdir(parents=True)
    (archives / "HAM10000_images_part_1.zip").touch()
    after = make_plan(config, {}, tmp_path, root).download_bytes
    assert before - after == 1_366_522_108


def test_samples_are_those_of_the_limit_the_phantom_or_the_paper(config, root):
    published = read_yaml(root / "workflow/resources/published_numbers.yaml")
    assert sum(split_samples(config, "deeplesion", published).values()) == 32_735
    assert sum(split_samples(config, "lits", published).values()) == 11_522 + 3_310 + 1_630
    config["datasets"]["ham10k"]["limit"] = {"train": 5, "val": 2, "test": 3}
    assert sum(split_samples(config, "ham10k", published).values()) == 10
    phantom = {"num_volumes": 6, "num_slices": 5}
    config["datasets"]["mine"] = {"loader": "lits", "phantom": phantom}
    assert sum(split_samples(config, "mine", published).values()) == 30
    assert sum(split_samples(config, "liver", published).values()) == 1664 + 298 + 787
    config["datasets"]["lits"]["expected_samples"] = 1324
    expected = {"train": 928, "val": 264, "test": 132}  # 70, 20 and 10 %
    assert split_samples(config, "lits", published) == expected


def test_a_limit_of_some_splits_leaves_the_others_whole(config, root):
    published = read_yaml(root / "workflow/resources/published_numbers.yaml")
    whole = {"train": 7_011, "val": 2_003, "test": 1_001}  # 10,015 in 70, 20 and 10 %
    assert split_samples(config, "ham10k", published) == whole
    config["datasets"]["ham10k"]["limit"] = {"train": 1500, "val": 300}
    limited = {"train": 1500, "val": 300, "test": 1_001}
    assert split_samples(config, "ham10k", published) == limited
    config["datasets"]["ham10k"]["limit"] = {"train": 20_000}  # more than there are
    assert split_samples(config, "ham10k", published) == whole


SMALL = {
    "encoder": "resnet18",
    "pad_to": [64, 64],
    "batch_size": 10,
    "epochs": 6,
    "iterations": None,
    "train_samples": None,
    "drop_last": False,
    "steps_per_batch": 1,
}


@pytest.mark.parametrize(
    ("changes", "seconds"),
    [
        ({}, 0.15),
        ({"pad_to": [128, 128]}, 0.37),
        ({"pad_to": [32, 32]}, 0.15 / 4),  # a quarter of the pixels
        ({"pad_to": [256, 256]}, 0.37 * 4),
        # 96x96 is 9,216 px: 5,120 of the 12,288 px between 64x64 and 128x128
        ({"pad_to": [96, 96]}, 0.15 + 0.22 * 5120 / 12288),
        ({"batch_size": 20}, 0.3),
        ({"encoder": "resnet101", "pad_to": [128, 128]}, 1.12),
        ({"encoder": "resnet34"}, None),
    ],
)
def test_a_step_takes_what_was_measured_scaled_by_pixels_and_images(root, changes, seconds):
    rates = read_rates(root / "workflow/resources/training_rates.csv")
    found = seconds_per_step(rates, SMALL | changes)
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(
    ("changes", "steps"),
    [
        ({}, 6 * 151),  # 1,501 images in batches of ten
        ({"train_samples": 500}, 6 * 50),
        ({"train_samples": 5000}, 6 * 151),
        ({"drop_last": True}, 6 * 150),
        ({"iterations": 219}, 6 * 219),
        ({"steps_per_batch": 2}, 6 * 151 * 2),
    ],
)
def test_hours_are_those_of_all_steps_and_a_third_more(changes, steps):
    hours = training_hours(0.3, SMALL | changes, 1501)
    assert hours == pytest.approx(steps * 0.3 * 4 / 3 / 3600)


def test_a_small_network_is_planned_for_a_cpu(root, tmp_path):
    config = read_yaml(root / "config.yaml")
    study = read_yaml(root / "workflow/studies/ham10k-small.yaml")
    plan = make_plan(merge(config, study), {"train_arm": 4}, tmp_path, root)
    # 1,500 images are 150 steps of 0.15 s in each of six epochs, and a third more
    assert [one.hours for one in plan.trainings] == [
        pytest.approx(150 * 6 * 0.15 * 4 / 3 / 3600)
    ] * 4
    assert {one.on for one in plan.trainings} == {"CPU"}
    assert "resnet18 in A1" in plan.trainings[0].basis


def test_a_fold_is_trained_on_all_but_two_folds(root, tmp_path):
    study = read_yaml(root / "workflow/studies/lits-cpu.yaml")
    config = merge(read_yaml(root / "config.yaml"), study)
    hours = {}
    for folds in (None, 5, 10):
        change = {"protocols": {"by_patient": {"folds": folds}}}
        trainings = make_plan(merge(config, change), {}, tmp_path, root).trainings
        hours[folds] = next(one.hours for one in trainings if one.run.arm == "a1")
    assert hours[5] / hours[None] == pytest.approx(0.6 / 0.7, rel=0.02)
    assert hours[10] / hours[None] == pytest.approx(0.8 / 0.7, rel=0.02)


@pytest.mark.parametrize("name", ["agarwal2020", "cmunet", "three_papers", "ham10k-gpu"])
def test_every_study_can_be_planned(root, tmp_path, name):
    config = read_yaml(root / "config.yaml")
    study = merge(config, read_yaml(root / f"workflow/studies/{name}.yaml"))
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


def test_every_job_on_a_gpu_has_a_cost_but_trainings(root):
    without = {rule for rule in GPU_RULES if not rule.startswith("train_")}
    assert without <= set(job_costs(root))


def test_what_was_spent_is_read_from_the_benchmarks(tmp_path):
    folder = tmp_path / "results/x/benchmarks"
    (folder / "train_arm").mkdir(parents=True)
    rows = {"train_arm/a.tsv": "36.0\t18", "train_arm/b.tsv": "72.0\t36", "table.tsv": "1.0\tNA"}
    for name, row in rows.items():
        (folder / name).write_text(f"s\tcpu_time\n{row}\n")
    took = time_spent(tmp_path, "x")
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


def test_every_encoder_has_a_size(root):
    schema = read_yaml(root / "workflow/schemas/config.schema.yaml")
    assert set(PARAMETERS) == set(schema["$defs"]["training"]["properties"]["encoder"]["enum"])


@pytest.mark.workflow
def test_the_command_prints_a_plan(root, tmp_path):
    shutil.copy(root / "workflow/studies/demo.yaml", tmp_path)
    command = [
        preloaded_python(),
        root / "tools/plan.py",
        tmp_path / "demo.yaml",
        "--directory",
        tmp_path,
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "Study demo: " in done.stdout
    assert "train_arm" in done.stdout
    assert re.search("Core-hours of 9 training runs on a CPU: [0-9.]+\n", done.stdout)
    assert "Training runs whose time is unknown: 2\n" in done.stdout  # those given the mark
    assert not (tmp_path / "results").exists()


@pytest.fixture
def plan_command(root, tmp_path):
    """Call tools/plan.py on some arguments; return how it ended."""
    base = [preloaded_python(), root / "tools/plan.py", "--directory", tmp_path]
    return lambda *words: subprocess.run(
        [*base, *words], capture_output=True, text=True, check=False
    )


@pytest.mark.workflow
def test_the_command_takes_settings_as_snakemake_does(root, plan_command):
    small = root / "workflow/studies/ham10k-small.yaml"
    done = plan_command(small, "--config", "seeds=[7]", "study=mine")
    assert "Study mine: " in done.stdout, done.stderr
    assert "Core-hours of 2 training runs on a CPU" in done.stdout
    # of the primary claims, those on the study's dataset
    assert "this study has 1" in done.stdout
    assert re.search(r"Dice against A1 +HAM10K +\+0\.53 +0\.29 ", done.stdout)
    assert "NIH_DeepLesion" not in done.stdout


@pytest.mark.workflow
def test_the_command_says_how_many_seeds_finished_studies_ask_for(root, plan_command, tmp_path):
    tables = tmp_path / "results/mine/tables"
    tables.mkdir(parents=True)
    (tables / "verdicts.csv").write_text(
        "claim,family,dataset,protocol,verdict,n_seeds,seeds_needed\n"
        "Dice against A1,primary,ham10k,corrected,undecided,5,17\n"
        "AVD against A1,secondary,ham10k,corrected,undecided,5,9\n"
        "Dice against ACoseg,primary,lits,corrected,not testable here,,\n"
    )
    done = plan_command(root / "workflow/studies/ham10k-small.yaml")
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("  mine")]
    assert line.split() == [
        "mine",
        "Dice",
        "against",
        "A1",
        "ham10k",
        "corrected",
        "undecided",
        "5",
        "17",
    ]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nope.yaml"], "nope.yaml: cannot be read as a study (No such file"),
        (["list.yaml"], "list.yaml: is not a mapping"),
        (["--config", "seeds"], "'seeds' is not key=value"),
    ],
)
@pytest.mark.workflow
def test_what_cannot_be_planned_is_said_in_one_line(plan_command, tmp_path, words, message):
    (tmp_path / "list.yaml").write_text("[1]")
    done = plan_command(*[tmp_path / word if word.endswith("yaml") else word for word in words])
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_readme_says_what_the_plan_says(root, tmp_path):
    paper = read_yaml(root / "config.yaml")
    plan = make_plan(paper, {}, tmp_path, root)
    given_mark = [one for one in plan.trainings if math.isnan(one.hours)]
    hours = sum(one.hours for one in plan.trainings if not math.isnan(one.hours))
    readme = " ".join((root / "README.md").read_text().split())
    number = len(plan.trainings) - len(given_mark)
    assert f"takes {number:,} training runs" in readme
    assert f"add {len(given_mark)}." in readme
    assert f"at most {hours:,.0f} GPU-hours" in readme
    running = " ".join((root / "docs/how-to/run.md").read_text().split())
    assert (
        f"takes {number:,} training runs; networks that are given the mark add {len(given_mark)}."
        in running
    )


def test_a_training_is_done_where_the_workflow_puts_runs():
    folder = Layout("paper").run("ham10k", "corrected", "a1", 3)
    assert folder.as_posix() == "results/paper/ham10k/corrected/runs/a1/seed-3"


@pytest.mark.workflow
def test_the_older_spelling_prints_the_same(root, tmp_path):
    words = ["workflow/studies/ham10k-small.yaml", "--config", "seeds=[7]", "--directory", tmp_path]
    code = "import sys; from weaklesion.cli import app; app(['plan', *sys.argv[1:]])"
    said = []
    for spelling in (["-c", code], ["tools/plan.py"]):
        command = [preloaded_python(), *spelling, *words]
        done = subprocess.run(command, capture_output=True, text=True, cwd=root, check=True)
        said.append(done.stdout)
    assert said[0] == said[1]
    assert "Study ham10k-small: " in said[0]


def test_without_the_workflow_cause_and_cure_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr("weaklesion.report.plan_study.CHECKOUT", tmp_path / "site-packages")
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(app, ["plan"])
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "installed without it. Run the command in a clone" in result.stderr
    for folder in (tmp_path, tmp_path / "site-packages", INSTALLED):
        assert str(folder) in result.stderr


def test_the_workflow_is_found_from_anywhere(root, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_workflow() == root


def test_without_snakemake_cause_and_cure_are_named(root, tmp_path, monkeypatch):
    monkeypatch.setattr("weaklesion.report.plan_study.find_spec", lambda name: None)
    with pytest.raises(DataError, match=r"has no Snakemake.* Install it with"):
        dry_run(root, [], [], tmp_path)


@pytest.mark.workflow
def test_a_study_that_snakemake_refuses_is_refused_with_its_message(plan_command):
    done = plan_command("--config", "seeds=[]")
    assert done.returncode == 1
    assert "Snakemake refuses the study" in done.stderr
    assert "seeds" in done.stderr
