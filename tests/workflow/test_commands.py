"""Every documented command plans: each profile, study and target, and the documents' own lines."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pandas as pd
import pytest
import yaml
from conftest import ROOT
from preloaded_python import preloaded_python
from running import clone
from snakemake.cli import parse_config

from weaklesion.report.plan import GPU_RULES
from weaklesion.support.yaml_files import read_yaml

# All but the page whose study its own test makes and runs (tests/docs/test_extend.py).
DOCUMENTS = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").rglob("*.md")) if page.name != "extend.md"),
]
STUDIES = sorted(path.name for path in (ROOT / "workflow/studies").glob("*.yaml"))
PROFILES = {"none": [], "gpu": ["--profile", "gpu"], "slurm": ["--profile", "slurm"]}
OURS = {"agreement", "definitions", "downloads", "figures", "overview", "samples", "verdicts"}
MANIFESTS = {"ham10k": "ham10k_dataverse", "lits": "lits_msd", "deeplesion": "deeplesion_nih"}
# Words of the documents in whose place a user puts files of one's own, to those of `prepared`.
PLACEHOLDERS = {
    r"(\w+): \{source: ([\w-]+), manifest: [^}]+\}": r"\1: {source: \2, manifest: mine/\1.csv}",
    r"FOLDER/": "mine/",
    r"^\.venv/share/weaklesion/": "",
    r"^my-study\.yaml$": "part.yaml",
}
# What cannot be run dry, with the reason.
NOT_DRY = {
    "--report": "needs a finished study: test_workflow_items.py makes a report",
    "--reporter": "needs a finished study, and a plugin that is in no lock file",
    "--allowed-rules": "needs kept runs: test_keep_runs.py runs it",
    "--conda-cleanup-envs": "plans nothing; conda removes environments",
    "--conda-create-envs-only": "plans nothing; conda makes environments: test_workflow_items.py",
}
# A documented command about the whole paper is planned on a part of it, for time: on one table, or,
# if it names an item, on every item. All of it is planned with each profile by
# `test_every_profile_plans_every_target_of_the_paper`.
PART = {"seeds": [1], "select": {"items": None, "datasets": None, "protocols": ["corrected"]}}
TABLE = PART | {"select": {"items": ["table1"], "datasets": None, "protocols": ["corrected"]}}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A clone, with the files that the documents' commands name."""
    folder = clone(tmp_path_factory.mktemp("commands") / "clone")
    mine = folder / "mine"
    marks = pd.read_csv(ROOT / "docs/marks-phantom.csv").assign(image="image.png")
    organs = [top / organ for top in (mine, folder) for organ in ("liver", "sarcoma", "both")]
    for place in (mine, folder, *organs):
        place.mkdir(exist_ok=True)
        (place / "image.png").touch()
        marks.to_csv(place / "marks.csv", index=False)
    for dataset, manifest in MANIFESTS.items():
        shutil.copy(ROOT / f"workflow/resources/{manifest}.csv", mine / f"{dataset}.csv")
    (folder / "part.yaml").write_text(yaml.safe_dump(PART))
    (folder / "table.yaml").write_text(yaml.safe_dump(TABLE))
    return folder


def planned_lines(folder, lines):
    """How the dry run of each line ended, and what it said; two at a time."""
    halves = [lines[::2], lines[1::2]]
    environment = {**os.environ, "PATH": f"{ROOT / 'tests/conda/bin'}:{os.environ['PATH']}"}
    environment["XDG_CACHE_HOME"] = str(folder / "cache")

    def answers(half):
        command = [preloaded_python(), ROOT / "tests/dry_runs.py", folder]
        done = subprocess.run(
            command,
            input=json.dumps(half),
            capture_output=True,
            text=True,
            env=environment,
            check=True,
        )
        return json.loads(done.stdout)

    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(answers, halves))
    answered = {
        shlex.join(line): answer
        for half, of_half in zip(halves, found, strict=True)
        for line, answer in zip(half, of_half, strict=True)
    }
    return {shlex.join(line): answered[shlex.join(line)] for line in lines}


def assert_all_plan(folder, lines):
    answers = planned_lines(folder, lines)
    assert len(answers) == len(lines)
    failed = {line: said[-1500:] for line, (code, said) in answers.items() if code}
    assert not failed, json.dumps(failed, indent=1).replace("\\n", "\n")
    return {line: said for line, (_, said) in answers.items()}


def jobs_of(said):
    table = said.split("Job stats:")[-1].split("\ntotal")[0]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", table, re.M)}


def snakemake(folder, *words):
    command = [sys.executable, "-m", "snakemake", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder).stdout


def test_every_profile_plans_every_target_of_the_paper(prepared):
    """All targets at once: a part of a plan has no error of groups that the whole has not.

    With one seed, for time: another's jobs are the same again, and test_workflow.py counts all.
    """
    listed = snakemake(prepared, "--list-target-rules").splitlines()
    targets = [line.split()[0] for line in listed if line and not line.startswith(" ")]
    papers = {f"table{number}" for number in range(1, 9)}
    papers |= {f"figure{number}" for number in range(2, 7)}  # Figure 1 is a drawing
    assert papers | OURS <= set(targets)
    seed = ["--config", "seeds=[1]"]
    lines = [[*targets, *seed, *options] for options in PROFILES.values()]
    lines += [["downloads", *seed], ["verdicts", *seed]]
    *of_profiles, fetched, judged = [
        jobs_of(said) for said in assert_all_plan(prepared, lines).values()
    ]
    whole = of_profiles[0]
    assert of_profiles == [whole] * 3
    # what is fetched beforehand is all that the whole study fetches
    assert fetched == {
        "download_file": whole["download_file"],
        "fetch_slices": whole["fetch_slices"],
        "downloads": 1,
    }
    assert judged["train_arm"] == 124  # those of Tables 1 to 7 and Figures 2 and 5
    assert whole["train_arm"] > 200


def test_every_profile_plans_every_study(prepared):
    """With one seed, for time, as above: the jobs that are written down, by rule.

    Without a profile of its own, a study plans as with `gpu`, which changes resources only.
    """
    profiles = [PROFILES["gpu"], PROFILES["slurm"]]
    lines = [
        ["--configfile", f"workflow/studies/{study}", "--config", "seeds=[1]", *options]
        for study in STUDIES
        for options in profiles
    ]
    planned = [jobs_of(said) for said in assert_all_plan(prepared, lines).values()]
    wanted = read_yaml(ROOT / "tests/job_lists.yaml")
    assert {f"{name}.yaml" for name in wanted} == set(STUDIES)
    for number, study in enumerate(STUDIES):
        of_profiles = planned[number * len(profiles) : (number + 1) * len(profiles)]
        name = study.removesuffix(".yaml")
        assert of_profiles == [wanted[name]] * len(profiles), name


def documented_lines():
    """Lines of the documents that call Snakemake or plan, as they stand; each once."""
    lines = []
    for document in DOCUMENTS:
        text = document.read_text()
        blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.M | re.S)
        text = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
        blocks.append("\n".join(re.findall(r"^ {4,}(.*)$", text, re.M)))
        for block in blocks:
            lines += block.replace("\\\n", " ").splitlines()
        lines += re.findall(r"`(?:[A-Z_]+=\S+ )?(snakemake [^`]+)`", text)
    wanted = []
    for line in lines:
        words = line.removeprefix(".venv/bin/").split()
        if words[:1] == ["snakemake"] or words[:2] == ["make", "plan"]:
            wanted.append(tuple(shlex.split(line.removeprefix(".venv/bin/"), comments=True)))
    return list(dict.fromkeys(wanted))


def filled_in(words):
    for place, file in PLACEHOLDERS.items():
        words = [re.sub(place, file, word) for word in words]
    return words


def test_the_documents_name_commands():
    lines = documented_lines()
    assert sum(words[0] == "snakemake" for words in lines) > 25
    assert ("snakemake", "--profile", "slurm") in lines
    assert any("protocols: null" in words[-1] for words in lines)
    assert sum(words[0] == "make" for words in lines) >= 2
    for option in NOT_DRY:  # no reason outlives its command
        assert any(option in words for words in lines), option


def test_every_documented_command_of_snakemake_plans(prepared):
    items, lines = read_yaml(ROOT / "config.yaml")["experiments"], []
    for words in documented_lines():
        if words[0] != "snakemake" or set(words) & set(NOT_DRY):
            continue
        line = filled_in(words[1:])
        if "--configfile" not in line and "--config" not in line:
            line += ["--configfile", "part.yaml" if set(line) & set(items) else "table.yaml"]
        lines.append(line)
    assert_all_plan(prepared, lines)


def test_every_documented_plan_is_printed(prepared):
    """What `make plan` runs, as the Makefile has it."""
    (prepared / ".venv").mkdir(exist_ok=True)
    (prepared / ".venv/.ready").touch()
    for words in documented_lines():
        if words[0] != "make":
            continue
        line = filled_in(words)
        plans_all = line == ["make", "plan"]
        line += [f"BIN={os.path.dirname(sys.executable)}", "--old-file=.venv/.ready"]
        line += ["STUDY=part.yaml"] if plans_all else []
        done = subprocess.run(line, capture_output=True, text=True, cwd=prepared, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "jobs are left" in done.stdout


def test_nested_settings_of_the_command_line_are_what_they_look_like(prepared):
    """Snakemake itself makes strings of nested scalars, which the schema refuses."""
    entries = [
        "select={items: [table1], datasets: [ham10k], protocols: null}",
        "seeds=[3]",
        "datasets={ham10k: {limit: {train: 50}}}",
        "protocols={corrected: {training: {learning_rate: 1e-3}}}",
    ]
    assert parse_config(["seeds=[3]"]) == {"seeds": ["3"]}
    words = ["table1", "--configfile", "part.yaml", "--config"]
    assert_all_plan(prepared, [[*words, entry] for entry in entries])


def test_gpu_rules_are_the_same_in_rules_plan_and_profile():
    """Rules with `gpu=1`, as Snakemake has loaded them."""
    code = (
        "from pathlib import Path\n"
        "from snakemake.api import ResourceSettings, SnakemakeApi\n"
        "with SnakemakeApi() as api:\n"
        "    loaded = api.workflow(ResourceSettings(cores=1), snakefile=Path('Snakefile'))\n"
        "    for rule in loaded._workflow.rules:\n"
        "        if 'gpu' in rule.resources:\n"
        "            print('gpu:', rule.name)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    rules = set(re.findall(r"^gpu: (\w+)$", done.stdout, re.M))
    assert rules == set(GPU_RULES)
    profile = read_yaml(ROOT / "workflow/profiles/slurm/config.yaml")
    assert set(profile["set-resources"]) == rules


@pytest.mark.parametrize(
    ("options", "cores"),
    [
        ([], len(os.sched_getaffinity(0))),
        (["--cores", "1"], 1),
        (["--profile", "gpu"], len(os.sched_getaffinity(0))),
        (["--profile", "gpu", "--cores", "1"], 1),
        (["--profile", "slurm"], 4),  # of a node; the cores of a login node limit no job
        (["--profile", "workflow/profiles/slurm"], 4),
    ],
)
def test_the_default_profile_leaves_the_others_what_they_say(options, cores):
    code = (
        "import json, sys\n"
        "from snakemake.cli import parse_args\n"
        "args = parse_args(sys.argv[1:])[1]\n"
        "print(json.dumps([args.cores, args.executor, args.jobs, args.rerun_incomplete,"
        " args.show_failed_logs, args.keep_going]))\n"
    )
    command = [sys.executable, "-c", code, *options]
    said = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout
    slurm = any("slurm" in option for option in options)
    expected = [cores, "slurm" if slurm else None, 100 if slurm else None, True, True, slurm]
    assert json.loads(said) == expected


@pytest.mark.parametrize(("target", "trainings"), [("demo", 11), ("demo-all", 34)])
def test_the_demos_of_the_makefile_plan(prepared, target, trainings):
    """What `make` would run, as the Makefile has it, but for the report of what has run."""
    command = ["make", "--dry-run", "--old-file", ".venv/.ready", target]
    told = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (run, report) = (shlex.split(line)[1:] for line in told.splitlines() if "snakemake" in line)
    (said,) = assert_all_plan(prepared, [run]).values()
    assert jobs_of(said)["train_arm"] == trainings
    study = run[run.index("--configfile") :]
    assert report == [*study, "--report", f"results/{target}/report.html"]


def test_clean_leaves_what_is_tracked(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "results/demo/tables").mkdir(parents=True)
    (tmp_path / "results/.hidden").touch()
    shutil.copy(ROOT / "results/README.md", tmp_path / "results")
    subprocess.run(["make", "clean"], cwd=tmp_path, check=True, capture_output=True)
    assert [path.name for path in (tmp_path / "results").iterdir()] == ["README.md"]


def test_make_does_not_wait_for_a_controller_of_slurm(prepared, tmp_path):
    """Snakemake's plugin calls `scontrol` at each start, and waits until it answers."""
    (tmp_path / "scontrol").write_text('#!/bin/sh\necho "conf=$SLURM_CONF" >> "$0.calls"\n')
    (tmp_path / "scontrol").chmod(0o755)
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    options = [f"BIN={os.path.dirname(sys.executable)}", "--old-file=.venv/.dev"]
    done = subprocess.run(
        ["make", "lint-workflow", *options], cwd=ROOT, env=environment, capture_output=True
    )
    assert done.returncode == 0, done.stdout
    calls = tmp_path / "scontrol.calls"
    if shutil.which("sinfo"):  # else the plugin calls nothing
        assert calls.exists()
    if calls.exists():
        assert set(calls.read_text().split()) == {"conf=/dev/null"}
