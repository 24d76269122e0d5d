"""The plan of a study as text."""

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weaklesion.report.plan import GPU_RULES, Plan, Training
from weaklesion.report.power import measured_needs, printed_power
from weaklesion.study.arms import has_network
from weaklesion.study.items import items_of, runs_of
from weaklesion.study.protocols import Config

JobTimes = Mapping[str, tuple[int, float, float]]


def describe_plan(plan: Plan, took: JobTimes, costs: Mapping[str, Mapping[str, str]]) -> str:
    """Return the plan of a study, and the time that it took so far, as text.

    Args:
        plan: the plan.
        took: rule to finished jobs, hours, and hours of one core; see
            `weaklesion.report.plan.time_spent`.
        costs: rows of `job_costs.csv`, by rule.
    """
    timed = _with_hours(plan)
    hours = {kind: [one.hours for one in timed if one.on == kind] for kind in ("GPU", "CPU")}
    on_gpu = sum(wall for rule, (_, wall, _) in took.items() if rule in GPU_RULES)
    others = sum(cpu for rule, (_, _, cpu) in took.items() if rule not in GPU_RULES)
    bases = Counter(one.basis for one in plan.trainings)
    disk = ", ".join(f"{kind} {size / 1e9:.0f}" for kind, size in plan.disk_bytes.items())
    lines = [
        *_rules(plan, took, costs),
        "",
        f"GPU-hours of {len(hours['GPU'])} training runs: {sum(hours['GPU']):.1f} at most",
        f"Core-hours of {len(hours['CPU'])} training runs on a CPU: {sum(hours['CPU']):.2f}",
        f"Training runs whose time is unknown: {len(plan.trainings) - len(timed)}",
        *(f"  {count:5} training runs: {basis}" for basis, count in bases.most_common()),
        f"Core-hours of jobs that need no GPU: {sum(plan.cpu_hours.values()):.1f}",
        f"Downloads: {plan.download_bytes / 1e9:.1f} GB",
        f"Disk at most: {sum(plan.disk_bytes.values()) / 1e9:.0f} GB ({disk})",
        f"Spent so far: {on_gpu:.2f} hours in jobs of GPU rules (on whichever device), "
        f"{others:.2f} core-hours in all others",
    ]
    return "\n".join(lines)


def _with_hours(plan: Plan) -> list[Training]:
    """Return the training runs whose hours are known."""
    return [training for training in plan.trainings if not math.isnan(training.hours)]


def _rules(plan: Plan, took: JobTimes, costs: Mapping[str, Mapping[str, str]]) -> list[str]:
    """Return a table of the jobs that are left or finished, one line per rule."""
    head = ("rule", "left", "planned", "done", "spent", "core-hours")
    lines = ["{:24}{:>7}{:>12}{:>7}{:>10}{:>12}  basis of the plan".format(*head)]
    for rule in [*plan.jobs, *(rule for rule in took if rule not in plan.jobs)]:
        num_done, wall_hours, cpu_hours = took.get(rule, (0, 0.0, 0.0))
        planned = plan.cpu_hours.get(rule)
        basis = costs.get(rule, {"basis": "assumed: 10 s per job"})["basis"]
        if rule.startswith("train_arm"):
            timed = _with_hours(plan)
            planned, basis = sum(one.hours for one in timed if one.rule == rule), "see below"
        elif rule in costs and rule in GPU_RULES and rule in plan.jobs:  # not train_nnunet
            planned = plan.jobs[rule] * float(costs[rule]["seconds_per_job"]) / 3600
        hours = "" if planned is None else f"{planned:.2f} h"
        lines.append(
            f"{rule:24}{plan.jobs.get(rule, 0):7}{hours:>12}{num_done:7}{wall_hours:8.2f} h"
            f"{cpu_hours:10.2f} h  {'' if planned is None else basis}"
        )
    return lines


def describe_seeds(config: Config, folder: Path, published: Mapping[str, Any]) -> str:
    """Return the seeds that the primary claims need, by printed and by measured deviations.

    Args:
        config: the merged configuration.
        folder: the folder that contains `results/`.
        published: the file of published numbers.

    Returns:
        Text; empty if neither this study nor one under `results/` judges a primary claim.
    """
    primary = [item for item in items_of(config) if config["experiments"][item].get("primary")]
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
    needs = measured_needs(folder)
    if needs:
        lines.append("The same by the runs under results/")
        columns = ("study", "claim", "dataset", "protocol", "verdict", "had", "needs")
        lines.append("  {:16}{:38}{:12}{:14}{:18}{:>5}{:>7}".format(*columns))
        lines += [
            f"  {row['study']:16}{row['claim']:38}{row['dataset']:12}{row['protocol']:14}"
            f"{row['verdict']:18}{row['n_seeds']:5.0f}{_seeds(row['seeds_needed']):>7}"
            for row in needs
        ]
    return "\n".join(lines)


def _seeds(needed: float | None) -> str:
    """Return a number of seeds as text; `none` where no number is known."""
    return "none" if needed is None or math.isnan(needed) else f"{needed:.0f}"
