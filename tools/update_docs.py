"""Bring the results of a finished study into the documentation.

    python tools/update_docs.py ham10k-small

copies the study's tables to docs/results/ and writes them between the study's markers in
docs/REPRODUCTION.md. Running it again changes nothing.
"""

import argparse
import json
import re
import shutil
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
METRICS = {
    "dice": "Dice, %",
    "iou": "IoU, %",
    "volumetric_similarity": "VS, %",
    "center_error": "Centre error, px",
    "perimeter_error_canny_half": "½ Canny difference, px",
    "hausdorff": "Hausdorff (max), px",
    "average_hausdorff": "Average Hausdorff, px",
}


def cell(row: pd.Series) -> str:
    """Return ours with interval, and the published value where there is one."""
    spread = f" ± {row['std']:.2f}" if row["n_seeds"] > 1 else ""
    text = f"{row['mean']:.2f}{spread} [{row['ci_low']:.2f}, {row['ci_high']:.2f}]"
    if pd.notna(row["published_mean"]):
        text += f"; paper {row['published_mean']:.2f} ± {row['published_std']:.2f}"
    return text


def table1(table: pd.DataFrame) -> str:
    """Return Table 1 as Markdown: a row a metric, a column an arm."""
    lines = []
    for (dataset, protocol), block in table.groupby(["dataset", "protocol"], sort=False):
        arms = list(dict.fromkeys(block["arm"]))
        cells = block.set_index(["arm", "metric"])
        seeds = {arm: int(cells.loc[arm, "n_seeds"].iloc[0]) for arm in arms}
        heads = [f"{arm} ({n} seed{'s' if n > 1 else ''})" for arm, n in seeds.items()]
        lines += [
            f"{dataset}, protocol `{protocol}`, {int(block['n_samples'].iloc[0])} test samples:",
            "",
            f"| | {' | '.join(heads)} |",
            "|---" * (len(arms) + 1) + "|",
        ]
        for metric, label in METRICS.items():
            values = [cell(cells.loc[(arm, metric)]) for arm in arms]
            lines.append(f"| {label} | {' | '.join(values)} |")
        lines.append("")
    return "\n".join(lines)


def agreement(table: pd.DataFrame) -> str:
    """Return the agreement of targets with the dense reference as Markdown."""
    lines = [
        "| Dataset | Protocol | Target | Samples | Dice, % | HD95, px | Area ratio, median |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in table.itertuples():
        lines.append(
            f"| {row.dataset} | `{row.protocol}` | {row.target} | {row.n_samples} "
            f"| {row.dice:.2f} | {row.hd95_px:.2f} | {row.area_ratio_median:.3f} |"
        )
    return "\n".join([*lines, ""])


def runs_line(study: Path) -> str:
    """Return what the runs were made with, from their run.json."""
    runs = [json.loads(path.read_text()) for path in sorted(study.rglob("run.json"))]
    commits = {run["code"]["commit"][:10] + ("+" if run["code"]["dirty"] else "") for run in runs}
    seconds = sorted(run["wall_s"] for run in runs)
    devices = {run["device"] for run in runs}
    return (
        f"{len(runs)} trainings of {seconds[0]:.0f} to {seconds[-1]:.0f} s on {', '.join(devices)} "
        f"({runs[0]['threads']} thread each), at most "
        f"{max(run['peak_memory_bytes'] for run in runs) / 2**30:.1f} GiB each; torch "
        f"{runs[0]['versions']['torch']}, commit {', '.join(sorted(commits))}.\n"
    )


def main() -> None:
    """Update."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    arguments = parser.parse_args()
    name, study = arguments.study, arguments.results / arguments.study
    kept = ROOT / "docs" / "results" / name
    kept.mkdir(parents=True, exist_ok=True)
    text = ""
    for table, render in (("table1", table1), ("agreement", agreement)):
        if (study / "tables" / f"{table}.csv").is_file():
            shutil.copyfile(study / "tables" / f"{table}.csv", kept / f"{table}.csv")
            text += render(pd.read_csv(kept / f"{table}.csv")) + "\n"
    if list(study.rglob("run.json")):
        text += runs_line(study)
    page = ROOT / "docs" / "REPRODUCTION.md"
    before, after = f"<!-- begin {name} -->\n", f"<!-- end {name} -->"
    pattern = re.compile(re.escape(before) + ".*?" + re.escape(after), re.DOTALL)
    content, count = pattern.subn(lambda _: before + text + after, page.read_text())
    if count != 1:
        raise SystemExit(f"{page}: the markers of {name} are there {count} times, not once.")
    page.write_text(content)


if __name__ == "__main__":
    main()
