"""Bring the results of a study into the documentation.

    python tools/update_docs.py ham10k-small    # after a run
    python tools/update_docs.py                 # all pages anew, from docs/results/ and docstrings

copies the study's tables and charts to docs/results/STUDY/ and writes them between the study's
markers on its page, docs/results/*.md; long tables are folded. A study that grew over several
machines is brought in part by part: a table that is not in the results stays as it is, and so does
the line that says what it was measured with. The chart of a table's earlier version is
removed. Running it again changes nothing. Pictures of a dataset's images are not copied, because
they carry its licence.
"""

import argparse
import shutil
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import pandas as pd
from api_reference import describe_api
from doc_tables import KINDS, PLACE, choices, gaps, kind, runs
from findings_figure import findings_svg
from keep_runs import read_record, run_files
from markers import has_markers, replace_between
from table1 import table1

from weaklesion.report.forest import METRIC, forest_svg
from weaklesion.study.labels import arm_labels
from weaklesion.support.files import read_json
from weaklesion.support.yaml_files import read_yaml

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs/results"  # pages, and beside them a folder per study
PUBLISHED = ROOT / "workflow/resources/published_numbers.yaml"
LONGEST_OPEN = 12  # lines of a table that is not folded
DIFFERENCES = "differences in Dice from the baseline"  # what a chart of scores shows
LEFT_OUT = {"definitions", "table2"}  # too long; machine times
OF_CHOICES = {"refined_choice": "pseudo-masks", "refined_ends_choice": "pseudo-masks of ends"}
CHOICES, RUNS = "choices.csv", "runs.csv"  # what a study chose; what its tables were measured with


def found_choices(study: Path) -> pd.DataFrame:
    """Return what a study chose without a dense mask, a row each."""
    rows = []
    paths = [*study.rglob("targets/*_choice.json"), *study.rglob("warps/*.json")]
    for path in sorted(paths):
        content = read_json(path)
        (chosen,) = content.keys() - {"recovered_iou", "images"}
        rows.append(
            {
                "of": OF_CHOICES.get(path.stem, path.stem),
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


def found_runs(study: Path, tables: list[str]) -> dict[Hashable, Any]:
    """Return what the tables of a study were measured with: its training runs, from run.json."""
    runs: list[dict[str, Any]] = []
    for path in run_files(study):
        run = read_record(path)
        # a run of all folds has theirs, which may be in the study as well
        runs += [each for each in run.get("folds", [run]) if each not in runs]
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


def collect(study: Path, kept: Path) -> None:
    """Copy a study's tables and charts, what it chose, and what it was measured with."""
    kept.mkdir(parents=True, exist_ok=True)
    names = []
    for path in sorted((study / "tables").glob("*.csv")):
        left_out = path.stem in LEFT_OUT or path.stem.endswith(".samples")
        if left_out:
            continue
        rows = read_whole(path)
        if rows.empty or kind(rows) is None:
            continue
        names.append(path.stem)
        shutil.copyfile(path, kept / path.name)
        chart = study / "figures" / f"{path.stem}.svg"
        (kept / chart.name).unlink(missing_ok=True)  # it may be that of an earlier table
        if chart.is_file():
            shutil.copyfile(chart, kept / chart.name)
    chosen = pd.concat([_kept_table(kept / CHOICES), found_choices(study)])
    if len(chosen):
        last = chosen.drop_duplicates(PLACE, keep="last").sort_values(PLACE)
        last.to_csv(kept / CHOICES, index=False)
    measured: list[dict[Hashable, Any]] = _kept_table(kept / RUNS).to_dict("records")
    for row in measured:
        row["tables"] = " ".join(name for name in row["tables"].split() if name not in names)
    if run_files(study):
        measured.append(found_runs(study, names))
    measured = [row for row in measured if row["tables"]]
    if measured:
        pd.DataFrame(measured).to_csv(kept / RUNS, index=False)
    else:
        (kept / RUNS).unlink(missing_ok=True)


def read_whole(path: Path) -> pd.DataFrame:
    """Read a study's table; stop if it is cut off, because pages would lack numbers silently."""
    try:
        table = pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise SystemExit(f"{path}: cannot be read ({error}). Make it again.") from error
    if not path.read_bytes().endswith(b"\n"):
        raise SystemExit(f"{path}: is cut off in its last line. Make it again.")
    return table


def _kept_table(path: Path) -> pd.DataFrame:
    return pd.read_csv(path, dtype={"threads": str}) if path.is_file() else pd.DataFrame()


def draw_differences(kept: Path) -> None:
    """Draw the differences of a study's tables of scores, where any has an interval.

    Where none has, as with one seed, a chart that an earlier table had is removed.
    """
    for path in sorted(kept.glob("*.csv")):
        table = pd.read_csv(path)
        if kind(table) == KINDS["published_mean"] and "gain_ci_low" in table:
            of_metric = table[table["metric"] == METRIC]
            chart = path.with_suffix(".svg")
            if (of_metric["gain_ci_low"] < of_metric["gain_ci_high"]).any():
                drawing = forest_svg(table, f"{path.stem}: {DIFFERENCES}")
                chart.write_text(drawing, encoding="utf-8")
            else:
                chart.unlink(missing_ok=True)


def describe(kept: Path) -> str:
    """Return the tables and charts of docs/results/STUDY as Markdown."""
    text, only_linked = "", []
    paths = [path for path in sorted(kept.glob("*.csv")) if path.name not in (CHOICES, RUNS)]
    for path in sorted(paths, key=lambda path: path.stem != "table1"):
        table = pd.read_csv(path)
        found = kind(table)
        if found is None:
            only_linked.append(path)
            continue
        what, write = found
        if path.with_suffix(".svg").is_file():
            shown = DIFFERENCES if found == KINDS["published_mean"] else what
            text += f"![{path.stem}: {shown}]({kept.name}/{path.stem}.svg)\n\n"
        if write is gaps and path.with_suffix(".svg").is_file():
            text += folded(path.stem, what, gaps(table, chart_names(kept.name)))
        else:
            text += folded(path.stem, what, write(table))
    if (kept / CHOICES).is_file():
        text += folded(
            "choices", "constants chosen without a dense mask", choices(pd.read_csv(kept / CHOICES))
        )
    for path in only_linked:
        text += f"Not shown here: [{path.name}]({kept.name}/{path.name}).\n"
    if (kept / RUNS).is_file():
        text += runs(pd.read_csv(kept / RUNS))
    return text


def chart_names(study: str) -> dict[str, str]:
    """Return what charts of a study call each arm."""
    files = [ROOT / "config.yaml", ROOT / f"workflow/studies/{study}.yaml"]
    arms: dict[str, dict[str, Any]] = {}
    for path in files:
        of_file = read_yaml(path).get("arms", {}) if path.is_file() else {}
        for name, arm in of_file.items():
            arms[name] = arms.get(name, {}) | arm
    return arm_labels({"arms": arms})


def folded(name: str, what: str, table: str) -> str:
    """Return a table under its name; one of many lines is closed until a reader opens it."""
    if table.count("\n") <= LONGEST_OPEN:
        return f"**{name}**: {what}\n\n{table}"
    summary = f"<summary><b>{name}</b>: {what}</summary>"
    return f"<details>{summary}\n\n{table}</details>\n\n"


def page_with(kept: Path, pages: Path) -> tuple[Path, str]:
    """Return a study's page, and what it should say."""
    found = [path for path in pages.glob("*.md") if has_markers(path.read_text(), kept.name)]
    if len(found) != 1:
        raise SystemExit(
            f"{pages}: {len(found)} pages have the markers of {kept.name}. Write"
            f" `<!-- begin {kept.name} -->` and `<!-- end {kept.name} -->`, each on a line of its"
            " own, on one page."
        )
    return found[0], replace_between(found[0].read_text(), kept.name, describe(kept))


def kept_studies() -> list[Path]:
    """Return the folders of the studies whose tables are kept."""
    return sorted(path for path in PAGES.iterdir() if path.is_dir())


def api_page(docs: Path) -> tuple[Path, str]:
    """Return the page of the public API, and what it should say."""
    page = docs / "reference/api.md"
    return page, replace_between(page.read_text(), "api", describe_api())


def table1_page() -> tuple[Path, str]:
    """Return the page of the paper's Table 1, and what it should say."""
    page = PAGES / "table1.md"
    return page, replace_between(page.read_text(), "table1", table1(PAGES, PUBLISHED))


def findings_figure() -> tuple[Path, str]:
    """Return the README's figure, and what it should show."""
    return ROOT / "docs/findings.svg", findings_svg(PAGES, PUBLISHED)


def main() -> None:
    """Update."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", nargs="?")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    arguments = parser.parse_args()
    if arguments.study is not None:
        study = arguments.results / arguments.study
        if not (study / "tables").is_dir():
            raise SystemExit(f"{study}: has no tables. Run the study first, or name --results.")
        page_with(PAGES / arguments.study, PAGES)  # is there a place for it?
        collect(study, PAGES / arguments.study)
    for kept in kept_studies():
        draw_differences(kept)
        page, text = page_with(kept, PAGES)
        page.write_text(text)
    for page, text in (api_page(ROOT / "docs"), table1_page(), findings_figure()):
        page.write_text(text)


if __name__ == "__main__":
    main()
