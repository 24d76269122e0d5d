"""Bring the results of a study into the documentation.

    python tools/update_docs.py ham10k-small    # after a run
    python tools/update_docs.py                 # all pages anew, from docs/results/

copies the study's tables and charts to docs/results/ and writes what is there between the study's
markers on its page of docs/. A study that grew over several machines is brought in part by part: a
table that is not in the results stays as it is, with what it was measured with. Running it again
changes nothing. Pictures of a dataset's images are not copied: they carry its licence.
"""

import argparse
import json
import re
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd

from weaklesion.tables import verdict

ROOT = Path(__file__).resolve().parents[1]
METRICS = {  # those that are shown where they are in the table and compared, or in Table 1
    "dice": "Dice, %",
    "iou": "IoU, %",
    "volumetric_similarity": "VS, %",
    "center_error": "Centre error, px",
    "perimeter_error_canny_half": "½ Canny difference, px",
    "hausdorff": "Hausdorff (max), px",
    "average_hausdorff": "Average Hausdorff, px",
}
ONLY_IF_COMPARED = {
    "recall": "Recall, %",
    "precision": "Precision, %",
    "average_hausdorff_mean": "Average Hausdorff, mean, px",
}


def markdown(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a table as Markdown."""
    heads = list(heads)
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    lines += [f"| {' | '.join(map(str, row))} |" for row in rows]
    return "\n".join([*lines, "", ""])


def interval(row: pd.Series, low: str = "ci_low", high: str = "ci_high", sign: str = "") -> str:
    """Return an interval in brackets; of a single group there is none."""
    if row.get("n_groups", 2) < 2:
        return "(one group)"
    return f"[{row[low]:{sign}.2f}, {row[high]:{sign}.2f}]"


def cell(row: pd.Series) -> str:
    """Return ours with interval, and the published value where there is one."""
    spread = f" ± {row['std']:.2f}" if row["n_seeds"] > 1 else ""
    text = f"{row['mean']:.2f}{spread} {interval(row)}"
    if pd.notna(row["published_mean"]):
        text += f"; paper {row['published_mean']:.2f}"
        if pd.notna(row["published_std"]):
            text += f" ± {row['published_std']:.2f}"
    return text


def gain(row: pd.Series) -> str:
    """Return the difference from the baseline, and what it can carry."""
    if pd.isna(row["gain"]):
        return ""
    text = f"{row['gain']:+.2f} {interval(row, 'gain_ci_low', 'gain_ci_high', '+')}"
    if pd.isna(row["p_holm"]):
        if row.get("network") == "no network":
            return f"{text}; not trained, p over groups {row['p_groups']:.4f}"
        return f"{text}; one seed, undecided"
    decided = verdict(row["gain"], row["metric"], row["p_holm"])
    text += f"; p {row['p_holm']:.3f}, {decided}"
    if row["metric"] == "dice" and "share_better" in row:
        text += f"; {row['share_better']:.1f} % of images better"
    return text if pd.isna(row["detectable"]) else f"{text}; detectable {row['detectable']:.2f}"


def scores(table: pd.DataFrame) -> str:
    """Return a table of arms as Markdown, and then their differences from the baseline."""
    text = ""
    later = ["n_groups", "baseline", "gain"]  # which tables of an earlier version do not have
    table = table.reindex(columns=list(dict.fromkeys([*table.columns, *later])))
    for (dataset, protocol), block in table.groupby(["dataset", "protocol"], sort=False):
        arms = list(dict.fromkeys(block["arm"]))
        cells = block.set_index(["arm", "metric"], drop=False)
        seeds = {arm: int(cells.loc[arm, "n_seeds"].iloc[0]) for arm in arms}
        heads = [f"{arm} ({n} seed{'s' if n > 1 else ''})" for arm, n in seeds.items()]
        first = block.iloc[0]
        compared = set(block.loc[block["gain"].notna(), "metric"])
        shown = METRICS | {key: v for key, v in ONLY_IF_COMPARED.items() if key in compared}
        groups = f" in {first['n_groups']:.0f} groups" if pd.notna(first["n_groups"]) else ""
        samples = f"{first['n_samples']} test samples{groups}"
        text += f"{dataset}, protocol `{protocol}`, {samples}:\n\n"
        text += markdown(
            ["", *heads],
            (
                [label, *(cell(cells.loc[(arm, metric)]) for arm in arms)]
                for metric, label in shown.items()
            ),
        )
        baseline = block["baseline"].dropna().unique()
        others = [arm for arm in arms if pd.notna(cells.loc[arm, "gain"]).any()]
        if not others:
            continue
        text += f"Differences from `{baseline[0]}`:\n\n"
        text += markdown(
            ["", *others],
            (
                [label, *(gain(cells.loc[(arm, metric)]) for arm in others)]
                for metric, label in shown.items()
                if metric in compared
            ),
        )
    return text


def verdicts(table: pd.DataFrame) -> str:
    """Return the claims that could be tested as Markdown."""
    tested = table[table["verdict"] != "not testable here"]
    rows = [
        [
            row["claim"],
            f"`{row['protocol']}`",
            f"{row['arm']} against {row['baseline']}",
            row["metric"],
            f"{row['improvement_percent']:+.2f}"
            f" {interval(row, 'ci_low_percent', 'ci_high_percent', '+')}",
            f"{row['claimed_percent']:.1f}",
            "" if pd.isna(row["p_holm"]) else f"{row['p_holm']:.3f}",
            row["verdict"],
        ]
        for _, row in tested.iterrows()
    ]
    heads = ["Claim", "Protocol", "Arms", "Metric", "Improvement, %", "Claimed, %", "p", "Verdict"]
    left_out = len(table) - len(tested)
    return markdown(heads, rows) + f"{left_out} claims are not testable in this study.\n\n"


def gaps(table: pd.DataFrame) -> str:
    """Return what arms lack, by kind of image, as Markdown."""
    text = ""
    table["images"] = [
        f"{row['stratum']}: {row['value']}" if isinstance(row["value"], str) else row["stratum"]
        for _, row in table.iterrows()
    ]
    pair = ["dataset", "protocol", "arm", "against"]
    for (dataset, protocol, arm, against), rows in table.groupby(pair, sort=False):
        text += f"`{arm}` against `{against}`: {dataset}, protocol `{protocol}`:\n\n"
        text += markdown(
            ["Images", "Number", f"{arm}, %", f"{against}, %", "Gap, points", "Share of gap, %"],
            (
                [
                    row["images"],
                    row["n_samples"],
                    f"{row['dice']:.2f}",
                    f"{row['dice_against']:.2f}",
                    f"{row['gap']:+.2f} {interval(row, sign='+')}",
                    f"{row['share_of_gap']:.0f}",
                ]
                for _, row in rows.iterrows()
            ),
        )
    return text


def policies(table: pd.DataFrame) -> str:
    """Return Dice and Hausdorff under each policy as Markdown."""
    return markdown(
        ["Policy", "Arm", "Metric", "Images", "Mean", "Difference"],
        (
            [
                row["policy"],
                row["arm"],
                METRICS[row["metric"]],
                row["n_counted"],
                f"{row['mean']:.2f} {interval(row)}",
                ""
                if pd.isna(row["gain"])
                else f"{row['gain']:+.2f} {interval(row, 'gain_ci_low', 'gain_ci_high', '+')}",
            ]
            for _, row in table.iterrows()
        ),
    )


def answers(table: pd.DataFrame) -> str:
    """Return what each auxiliary task adds as Markdown."""
    return markdown(
        ["Paper", "Dataset", "Arms", "Metric", "Gain", "Seeds, groups", "Answer"],
        (
            [
                row["paper"],
                row["dataset"],
                f"{row['arm']} against {row['baseline']}",
                METRICS[row["metric"]],
                f"{row['gain']:+.2f} {interval(row, sign='+')}",
                f"{row['n_seeds']}, {row['n_groups']}",
                row["answer"],
            ]
            for _, row in table.iterrows()
        ),
    )


def attribution(table: pd.DataFrame) -> str:
    """Return what each switch does to Dice as Markdown."""
    of_dice = table[table["metric"] == "dice"]
    return markdown(
        ["Switch", "From", "What", "Before, %", "After, %", "Difference, points", "Samples"],
        (
            [
                row["switch"],
                f"`{row['base']}`",
                row["quantity"],
                f"{row['before']:.2f}",
                f"{row['after']:.2f}",
                f"{row['difference']:+.2f} {interval(row, sign='+')}",
                "the same" if row["paired"] else "others",
            ]
            for _, row in of_dice.iterrows()
        ),
    )


def sweep(table: pd.DataFrame) -> str:
    """Return Dice against the number of training images as Markdown."""
    text = ""
    for (dataset, protocol), block in table.groupby(["dataset", "protocol"], sort=False):
        text += f"{dataset}, protocol `{protocol}`:\n\n"
        text += markdown(
            ["Training images", "Dice, %", "Seeds"],
            (
                [int(row["samples"]), f"{row['mean']:.2f} {interval(row)}", row["n_seeds"]]
                for _, row in block.iterrows()
            ),
        )
    return text


def choices(table: pd.DataFrame) -> str:
    """Return what was chosen without a dense mask, and by what, as Markdown."""
    heads = [
        "Of",
        "Dataset",
        "Protocol",
        "Constant",
        "Chosen",
        "Overlap with the true mark",
        "Marks",
    ]
    return markdown(
        heads,
        (
            [*(row[key] for key in PLACE), f"{row['chosen']:g}",
             row["recovered_iou"], row["marks"]]
            for _, row in table.iterrows()
        ),
    )  # fmt: skip


def agreement(table: pd.DataFrame) -> str:
    """Return the agreement of targets with the dense reference as Markdown."""
    return markdown(
        ["Dataset", "Protocol", "Target", "Samples", "Dice, %", "HD95, px", "Area ratio, median"],
        (
            [
                row["dataset"],
                f"`{row['protocol']}`",
                row["target"],
                row["n_samples"],
                f"{row['dice']:.2f}",
                f"{row['hd95_px']:.2f}",
                f"{row['area_ratio_median']:.3f}",
            ]
            for _, row in table.iterrows()
        ),
    )


# A table is known by its columns.
KINDS: dict[str, Callable[[pd.DataFrame], str]] = {
    "published_mean": scores,
    "verdict": verdicts,
    "share_of_gap": gaps,
    "switch": attribution,
    "area_ratio_median": agreement,
    "policy": policies,
    "answer": answers,
    "samples": sweep,
}
LEFT_OUT = {"definitions", "table2"}  # too long; machine times
PLACE = ["of", "dataset", "protocol", "constant"]  # of a choice
CHOICES, RUNS = "choices.csv", "runs.csv"  # what a study chose; what its tables were measured with


def found_choices(study: Path) -> pd.DataFrame:
    """Return what a study chose without a dense mask, a row each."""
    rows = []
    paths = [*study.rglob("targets/refined_choice.json"), *study.rglob("warps/*.json")]
    for path in sorted(paths):
        content = json.loads(path.read_text())
        (chosen,) = content.keys() - {"recovered_iou", "images"}
        rows.append(
            {
                "of": "pseudo-masks" if chosen == "prior_weight" else path.stem,
                "dataset": path.parents[2].name,
                "protocol": f"`{path.parents[1].name}`",
                "constant": chosen,
                "chosen": content[chosen],
                "recovered_iou": ", ".join(
                    f"{key}: {mean:.4f}" for key, mean in content["recovered_iou"].items()
                ),
                "marks": content["images"],
            }
        )
    return pd.DataFrame(rows)


def found_runs(study: Path, tables: list[str]) -> dict[str, object]:
    """Return what the tables of a study were measured with: all its trainings, from run.json."""
    runs = [json.loads(path.read_text()) for path in sorted(study.rglob("run.json"))]
    seconds = [run["wall_s"] for run in runs]
    commits = {run["code"]["commit"][:10] + ("+" if run["code"]["dirty"] else "") for run in runs}
    return {
        "tables": " ".join(tables),
        "trainings": len(runs),
        "seconds_min": round(min(seconds)),
        "seconds_max": round(max(seconds)),
        "device": ", ".join(sorted({run["device"] for run in runs})),
        "threads": ", ".join(sorted({str(run["threads"]) for run in runs})),
        "memory_gib": round(max(run["peak_memory_bytes"] for run in runs) / 2**30, 1),
        "torch": ", ".join(sorted({run["versions"]["torch"] for run in runs})),
        "commits": ", ".join(sorted(commits)),
    }


def runs(table: pd.DataFrame) -> str:
    """Return what each table was measured with, in words."""
    lines = []
    for _, row in table.iterrows():
        of = f"{', '.join(row['tables'].split())}: " if len(table) > 1 else ""
        lines.append(
            f"{of}{row['trainings']} trainings of {row['seconds_min']} to {row['seconds_max']} s on"
            f" {row['device']} ({row['threads']} thread each), at most {row['memory_gib']:.1f} GiB"
            f" each; torch {row['torch']}, commit {row['commits']}.\n"
        )
    return "\n".join(lines)


def renderer(table: pd.DataFrame) -> Callable[[pd.DataFrame], str] | None:
    """Return what writes a table as Markdown; None for tables that are not shown."""
    return next((KINDS[column] for column in table.columns if column in KINDS), None)


def collect(study: Path, kept: Path) -> None:
    """Copy a study's tables and charts, what it chose, and what it was measured with."""
    kept.mkdir(parents=True, exist_ok=True)
    names = []
    for path in sorted((study / "tables").glob("*.csv")):
        left_out = path.stem in LEFT_OUT or path.stem.endswith(".samples")
        if left_out or renderer(pd.read_csv(path)) is None:
            continue
        names.append(path.stem)
        shutil.copyfile(path, kept / path.name)
        chart = study / "figures" / f"{path.stem}.svg"
        if chart.is_file():
            shutil.copyfile(chart, kept / chart.name)
    chosen = pd.concat([_kept_table(kept / CHOICES), found_choices(study)])
    if len(chosen):
        last = chosen.drop_duplicates(PLACE, keep="last").sort_values(PLACE)
        last.to_csv(kept / CHOICES, index=False)
    rows = _kept_table(kept / RUNS).to_dict("records")
    for row in rows:
        row["tables"] = " ".join(name for name in row["tables"].split() if name not in names)
    if list(study.rglob("run.json")):
        rows.append(found_runs(study, names))
    rows = [row for row in rows if row["tables"]]
    if rows:
        pd.DataFrame(rows).to_csv(kept / RUNS, index=False)
    else:
        (kept / RUNS).unlink(missing_ok=True)


def _kept_table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"threads": str}) if path.is_file() else pd.DataFrame()


def describe(kept: Path) -> str:
    """Return the tables and charts of docs/results/STUDY as Markdown."""
    text = ""
    paths = [path for path in sorted(kept.glob("*.csv")) if path.name not in (CHOICES, RUNS)]
    for path in sorted(paths, key=lambda path: path.stem != "table1"):
        table = pd.read_csv(path)
        render = renderer(table)
        assert render is not None, path
        text += f"**{path.stem}**\n\n{render(table)}"
        if path.with_suffix(".svg").is_file():
            text += f"![{path.stem}](results/{kept.name}/{path.stem}.svg)\n\n"
    if (kept / CHOICES).is_file():
        text += f"**choices**\n\n{choices(pd.read_csv(kept / CHOICES))}"
    if (kept / RUNS).is_file():
        text += runs(pd.read_csv(kept / RUNS))
    return text


def page_with(kept: Path, docs: Path) -> tuple[Path, str]:
    """Return a study's page of docs/, and what it should say."""
    before, after = f"<!-- begin {kept.name} -->\n", f"<!-- end {kept.name} -->"
    pattern = re.compile(re.escape(before) + ".*?" + re.escape(after), re.DOTALL)
    pages = [path for path in docs.glob("*.md") if pattern.search(path.read_text())]
    if len(pages) != 1:
        raise SystemExit(
            f"docs: {len(pages)} pages have the markers of {kept.name}. Write `{before.strip()}`"
            f" and `{after}`, each on a line of its own, on one page."
        )
    text = before + describe(kept) + after
    return pages[0], pattern.sub(lambda _: text, pages[0].read_text())


def main() -> None:
    """Update."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", nargs="?")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    arguments = parser.parse_args()
    docs = ROOT / "docs"
    if arguments.study is not None:
        study = arguments.results / arguments.study
        if not (study / "tables").is_dir():
            raise SystemExit(f"{study}: has no tables. Run the study first, or name --results.")
        page_with(docs / "results" / arguments.study, docs)  # is there a place for it?
        collect(study, docs / "results" / arguments.study)
    for kept in sorted((docs / "results").iterdir()):
        page, text = page_with(kept, docs)
        page.write_text(text)


if __name__ == "__main__":
    main()
