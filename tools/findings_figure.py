"""The README's figure: what changes Dice and by how much, from the kept tables of results."""

import math
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.report.forest import METRIC, forest, score_lines
from weaklesion.report.pages import render
from weaklesion.study.published import printed_cells, read_published

WHAT = "What changes Dice on real images, and by how much"


@dataclass(frozen=True)
class Finding:
    """A line of the figure.

    Args:
        name: what differs between an arm and its baseline, in words.
        table: file in `docs/results`: of scores, or of `tools/readers.py`.
        arm: the arm, or the mask in a table of readers.
        protocol: of the row, where the table has several.
        claimed: whether the paper's difference between A1+L and A1 is drawn beside it.
    """

    name: str
    table: str
    arm: str
    protocol: str | None = None
    claimed: bool = False


FINDINGS = {  # by heading
    "A1+L against A1 in a small network": (
        Finding("HAM10000, flips, split by lesion", "ham10k-cpu/table1.csv", "a1l", claimed=True),
        Finding("HAM10000, flips, split by image", "ham10k-cpu/by_image.csv", "a1l", claimed=True),
        Finding("HAM10000, flips, RECIST", "ham10k-ends/ends.csv", "a1l"),
        Finding("HAM10000, flips, classes shuffled", "ham10k-cpu/table1.csv", "a1l_shuffled"),
        Finding("HAM10000, the paper's recipe", "ham10k-recipe/table1.csv", "a1l", claimed=True),
        Finding("LiTS, flips, RECIST", "lits-ends/ends.csv", "a1l"),
    ),
    "A1 in a small network: other targets than the ellipse": (
        Finding("HAM10000, RECIST, four ends", "ham10k-ends/ends.csv", "a1_ends"),
        Finding("LiTS, RECIST, four ends", "lits-ends/ends.csv", "a1_ends"),
        Finding("HAM10000, RECIST, pseudo-masks", "ham10k-ends/ends.csv", "a1_refined"),
        Finding("HAM10000, the paper's marks, pseudo-masks", "ham10k-cpu/refined.csv",
                "a1_refined"),
        Finding("HAM10000, dense masks (not weak)", "ham10k-cpu/refined.csv", "a1_dense"),
    ),
    "A mask from a known mark, against the mark's ellipse": (
        Finding("HAM10000, the paper's marks, network", "prompted-ham10k/prompted.csv",
                "prompted_refined"),
        Finding("HAM10000, RECIST, four ends", "prompted-ends/prompted.csv", "ends"),
        Finding("HAM10000, RECIST, network", "prompted-ends/prompted.csv", "prompted_ends"),
        Finding("LiTS, the paper's marks, network", "prompted-lits25/prompted_hull.csv",
                "prompted_refined"),
        Finding("LiTS, RECIST, four ends", "prompted-lits25/shapes.csv", "ends", "recist"),
        Finding("LiTS, RECIST, network without the ends", "prompted-lits25/prompted_ellipse.csv",
                "prompted_refined"),
        Finding("LiTS, RECIST, network", "prompted-lits25/prompted.csv", "prompted_ends"),
        Finding("LIDC, other readers, four ends", "readers/readers.csv", "ends"),
        Finding("LIDC, other readers, network", "readers/readers.csv", "prompted_ends"),
    ),
}  # fmt: skip


def findings_svg(results: Path, published_yaml: Path) -> str:
    """Return the figure as the text of an SVG file.

    Args:
        results: `docs/results`.
        published_yaml: the papers' numbers.
    """
    printed = printed_cells(read_published(published_yaml), "table1", {"a1": "A1", "a1l": "A1_L"})
    paper = printed["HAM10K", "a1l", "Dice"][0] - printed["HAM10K", "a1", "Dice"][0]
    lines: list[Mapping[str, Any]] = []
    for heading, findings in FINDINGS.items():
        lines.append({"heading": heading})
        for finding in findings:
            claimed = [paper] if finding.claimed else []
            lines.append(_line(results, finding) | {"claimed": claimed})
    drawing = forest(lines, numbers=True)
    return render("forest_file.html", drawing=drawing, lines=lines, what=WHAT)


def _line(results: Path, finding: Finding) -> dict[str, Any]:
    """Return a finding as a line of a forest plot; its name says how many seeds, if several."""
    table = pd.read_csv(results / finding.table)
    if finding.protocol is not None:
        table = table[table["protocol"] == finding.protocol]
    if "dice_of_others" in table:
        (row,) = table[table["mask"] == finding.arm].to_dict("records")
        seeds, line = row["seeds"], _line_of_readers(row)
    else:
        of_metric = table[table["metric"] == METRIC].set_index("arm")
        seeds = of_metric["n_seeds"][finding.arm]
        (line,) = (line for line in score_lines(table) if line["name"] == finding.arm)
    name = f"{finding.name} ({seeds} seeds)" if seeds > 1 else finding.name
    return line | {"name": name, "about": f"{name}, {finding.table}"}


def _line_of_readers(row: Mapping[Hashable, Any]) -> dict[str, Any]:
    """Return a row of a table of readers as `score_lines` returns one of scores."""
    return {
        "low": row["gain_ci_low"],
        "middle": row["gain"],
        "high": row["gain_ci_high"],
        "unknown": "",
        "p_holm": math.nan,
    }
