"""Say what a study will take, and what it took so far.

    python tools/plan.py                                  # the whole paper
    python tools/plan.py workflow/studies/demo.yaml       # a study, one or more files
    python tools/plan.py --config 'seeds=[1, 2]'          # settings as Snakemake takes them

Nothing is run and nothing is downloaded. `src/weaklesion/report/plan.py` says what the hours are
based on.
"""

import argparse
import math
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from weaklesion.errors import DataError
from weaklesion.report.plan import GPU_RULES, Plan, job_costs, make_plan, spent
from weaklesion.report.power import measured_needs, printed_power
from weaklesion.study.arms import has_network
from weaklesion.study.items import KINDS, items_of, runs_of
from weaklesion.study.overrides import parse_overrides
from weaklesion.study.protocols import merge
from weaklesion.study.published import read_published

ROOT = Path(__file__).resolve().parents[1]


def dry_run(studies: list[Path], overrides: list[str], folder: Path) -> dict[str, int]:
    """Return the number of jobs that are left, by rule; of what Snakemake refuses, its message."""
    command = [sys.executable, "-m", "snakemake", "-n", "--quiet", "rules", "--nolock"]
    command += ["--snakefile", str(ROOT / "Snakefile"), "--directory", str(folder), "--cores", "1"]
    if studies:
        command += ["--configfile", *map(str, studies)]
    if overrides:
        command += ["--config", *overrides]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    table = done.stdout.split("Job stats:")[-1].split("\ntotal")[0]
    counts = re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)
    return {name: int(count) for name, count in counts}


def merged_config(studies: list[Path], overrides: list[str]) -> dict[str, Any]:
    """Return the configuration as Snakemake sees it.

    Raises:
        DataError: if a study is missing or is no mapping in YAML.
        ValueError: if an override is not key=value.
    """
    config: dict[str, Any] = yaml.safe_load((ROOT / "config.yaml").read_text())
    for path in studies:
        try:
            study = yaml.safe_load(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            cause = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise DataError(
                f"{path}: cannot be read as a study ({cause}). Name one of"
                f" {ROOT / 'workflow/studies'}, or a file like them."
            ) from error
        if not isinstance(study, dict):
            raise DataError(f"{path}: is no mapping of settings. Compare {ROOT / 'config.yaml'}.")
        config = merge(config, study)
    return merge(config, parse_overrides(overrides))


def report(plan: Plan, took: dict[str, tuple[int, float, float]]) -> str:
    """Return both as text."""
    known = [one for one in plan.trainings if not math.isnan(one.hours)]
    hours = {kind: [one.hours for one in known if one.on == kind] for kind in ("GPU", "CPU")}
    unknown = len(plan.trainings) - sum(map(len, hours.values()))
    costs = job_costs(ROOT)
    head = ("rule", "left", "planned", "done", "spent", "core-hours")
    lines = ["{:24}{:>7}{:>12}{:>7}{:>10}{:>12}  basis of what is planned".format(*head)]
    for rule in [*plan.jobs, *(rule for rule in took if rule not in plan.jobs)]:
        done, spent_hours, cpu_hours = took.get(rule, (0, 0.0, 0.0))
        planned = plan.cpu_hours.get(rule)
        basis = costs.get(rule, {"basis": "assumed: 10 s a job"})["basis"]
        if rule.startswith("train_arm"):
            planned, basis = sum(one.hours for one in known if one.rule == rule), "see below"
        elif rule in GPU_RULES and rule in plan.jobs:
            planned = plan.jobs[rule] * float(costs[rule]["seconds_per_job"]) / 3600
        told = "" if planned is None else f"{planned:.2f} h"
        left = plan.jobs.get(rule, 0)
        lines.append(
            f"{rule:24}{left:7}{told:>12}{done:7}{spent_hours:8.2f} h{cpu_hours:10.2f} h"
            f"  {'' if planned is None else basis}"
        )
    on_gpu = sum(wall for rule, (_, wall, _) in took.items() if rule in GPU_RULES)
    others = sum(cpu for rule, (_, _, cpu) in took.items() if rule not in GPU_RULES)
    bases = Counter(one.basis for one in plan.trainings)
    lines += [
        "",
        f"GPU-hours of {len(hours['GPU'])} trainings: {sum(hours['GPU']):.1f} at most",
        f"Core-hours of {len(hours['CPU'])} trainings on a CPU: {sum(hours['CPU']):.2f}",
        f"Trainings whose time is unknown: {unknown}",
        *(f"  {count:5} trainings: {basis}" for basis, count in bases.most_common()),
        f"Core-hours of jobs that need no GPU: {sum(plan.cpu_hours.values()):.1f}",
        f"Downloads: {plan.download_bytes / 1e9:.1f} GB",
        f"Disk at most: {sum(plan.disk_bytes.values()) / 1e9:.0f} GB ("
        + ", ".join(f"{what} {size / 1e9:.0f}" for what, size in plan.disk_bytes.items())
        + ")",
        f"Spent so far: {on_gpu:.2f} hours in jobs on a GPU (or, without one, instead of it), "
        f"{others:.2f} core-hours in all others",
    ]
    return "\n".join(lines)


def seeds_report(config: dict[str, Any], folder: Path) -> str:
    """Return the seeds that the primary claims need, printed and measured, as text."""
    published = read_published(ROOT / "workflow/resources/published_numbers.yaml")
    primary = [
        item for item in items_of(config, *KINDS) if config["experiments"][item].get("primary")
    ]
    runs = runs_of(config, primary)
    names = {config["datasets"][run.dataset].get("published") for run in runs}
    num_seeds = len({run.seed for run in runs if has_network(config, run.arm)})
    rows = [row for row in printed_power(published, num_seeds) if row["dataset"] in names]
    lines = []
    if rows:
        lines.append(
            f"Primary claims: seeds for a power of 0.8, by the paper's own deviations between runs"
            f" (level {rows[0]['level']:.3f}; this study has {num_seeds})"
        )
        head = ("claim", "dataset", "gain", "deviation", "power", "seeds")
        lines.append("  {:24}{:16}{:>8}{:>11}{:>8}{:>7}".format(*head))
        lines += [
            f"  {row['claim']:24}{row['dataset']:16}{row['size']:+8.2f}{row['deviation']:11.2f}"
            f"{row['power']:8.2f}{_seeds(row['seeds_needed']):>7}"
            for row in rows
        ]
    measured = measured_needs(folder)
    if measured:
        lines.append("The same by the runs under results/")
        head = ("study", "claim", "dataset", "protocol", "verdict", "had", "needs")
        lines.append("  {:16}{:38}{:12}{:14}{:18}{:>5}{:>7}".format(*head))
        lines += [
            f"  {row['study']:16}{row['claim']:38}{row['dataset']:12}{row['protocol']:14}"
            f"{row['verdict']:18}{row['n_seeds']:5.0f}{_seeds(row['seeds_needed']):>7}"
            for row in measured
        ]
    return "\n".join(lines)


def _seeds(needed: float | None) -> str:
    return "none" if needed is None or math.isnan(needed) else f"{needed:.0f}"


def main() -> None:
    """Print the plan of a study."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("studies", nargs="*", type=Path)
    parser.add_argument("--config", nargs="+", default=[], metavar="KEY=VALUE", action="extend")
    parser.add_argument("--directory", type=Path, default=Path(), help="where results/ is")
    arguments = parser.parse_args()
    studies = [path.resolve() for path in arguments.studies]
    try:
        config = merged_config(studies, arguments.config)
        jobs = dry_run(studies, arguments.config, arguments.directory)
        plan = make_plan(config, jobs, arguments.directory, ROOT)
    except (DataError, ValueError) as error:
        sys.exit(f"plan: {error}")
    print(f"Study {config['study']}: {sum(jobs.values())} jobs are left\n")
    print(report(plan, spent(arguments.directory, config["study"])))
    print(f"\n{seeds_report(config, arguments.directory)}".rstrip())


if __name__ == "__main__":
    main()
