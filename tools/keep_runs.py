"""Keep the runs of a study that takes longer than one machine is at hand.

    python tools/keep_runs.py keep STUDY       # from results/STUDY to docs/results/STUDY/runs
    python tools/keep_runs.py restore STUDY    # and back

A run is kept as its `run.json`, `history.csv` and `accuracy.json`, where it has them, and its
scores: a column per metric, with four digits, xz. Weights, predictions and images are not kept.
After `restore`, tables are made from the kept runs and those of this machine, and nothing is
trained:

    snakemake results/STUDY/tables/ITEM.csv --allowed-rules tabulate_scores tabulate_accuracy ...

Both commands stop where runs cannot stand in one table: seeds of an arm whose settings, or the
digests of what their training read, are not the same, arms under one protocol with other images or
samples, and a run in whose place another one is already.
"""

import argparse
import io
import lzma
import math
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from weaklesion.support.files import read_json, written_whole

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("run.json", "history.csv", "accuracy.json")
PLACE = "*/*/runs/*/seed-*"  # of a run in its study; `release/` has copies, which are not runs
SAMPLE = ["id", "group", "status"]
RUN = ["dataset", "protocol", "arm", "seed"]
WORST = "worst "  # before a metric's name: column of its worst possible values


def runs_in(folder: Path) -> list[Path]:
    """Return the folders of scored runs, relative to a study's folder or to that of kept runs."""
    found = [*folder.glob(f"{PLACE}/scores.csv"), *folder.glob(f"{PLACE}/scores.csv.xz")]
    return sorted(path.parent.relative_to(folder) for path in found)


def compact(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores with a row per sample; a metric that a sample lacks has no worst value.

    One that is undefined because the sample has no mark has an infinite worst value here.
    """
    wide = scores[SAMPLE].drop_duplicates().set_index("id")
    for metric, rows in scores.groupby("metric", sort=False):
        of_sample = rows.set_index("id")
        wide[metric] = of_sample["value"]
        wide[f"{WORST}{metric}"] = of_sample["worst"].fillna(math.inf)
    return wide.reset_index()


def spread(wide: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `weaklesion.scoring.score` again, less the columns of the run."""
    metrics = [name for name in wide.columns if WORST + name in wide.columns]
    parts = [
        wide[SAMPLE].assign(metric=name, value=wide[name], worst=wide[WORST + name])
        for name in metrics
    ]
    rows = pd.concat(parts).dropna(subset="worst").sort_index(kind="stable")
    rows["worst"] = rows["worst"].replace(math.inf, math.nan)
    return rows[["id", "group", "metric", "value", "status", "worst"]]


def describe_run(path: Path) -> tuple[str, ...]:
    """Return dataset, protocol, arm and seed of a run's folder, relative to its study."""
    dataset, protocol, _, arm, seed = path.parts
    return dataset, protocol, arm, seed.removeprefix("seed-")


def inputs_of(run: dict[str, Any]) -> list[dict[str, str]]:
    """Return the digests of what a run's training read, of each fold if it is cross-validated."""
    return [one["inputs_sha256"] for one in run.get("folds", [run])]


def run_files(folder: Path) -> list[Path]:
    """Return every `run.json` of a study's folder or that of kept runs, also of unscored runs."""
    return sorted(folder.glob(f"{PLACE}/run.json"))


def scored_run_files(folder: Path) -> list[Path]:
    """Return the `run.json` of each scored run that has one; those without a network have none."""
    files = [folder / path / "run.json" for path in runs_in(folder)]
    return [path for path in files if path.exists()]


def check_alike(run_jsons: Iterable[Path]) -> None:
    """Stop if runs cannot stand in one table.

    Seeds of an arm need the same settings and inputs, arms under one protocol the same images and
    samples. The runs may lie in several folders, such as a study's and that of its kept runs.
    """
    seen: dict[tuple[tuple[str, ...], str], tuple[Path, object]] = {}
    for path in run_jsons:
        run = read_run(path)
        dataset, protocol, _, arm, _, _ = path.parts[-6:]
        inputs = inputs_of(run)
        shared = [(one["images"], one["samples"]) for one in inputs]
        found: dict[str, tuple[tuple[str, ...], object]] = {
            "settings": ((dataset, protocol, arm), run["settings"]),
            "inputs": ((dataset, protocol, arm), inputs),
            "images or samples": ((dataset, protocol), shared),
        }
        for what, (place, value) in found.items():
            first, expected = seen.setdefault((place, what), (path, value))
            if value != expected:
                raise SystemExit(
                    f"{path}: its {what} differ from those of {first}. Remove the runs of one of"
                    " the two."
                )


def read_record(run_json: Path) -> dict[str, Any]:
    """Return the content of a `run.json`; stop if the file is damaged."""
    try:
        run: dict[str, Any] = read_json(run_json)
    except (OSError, ValueError) as error:
        raise SystemExit(f"{run_json}: is damaged ({error!r}). Get it again.") from error
    return run


def read_run(run_json: Path) -> dict[str, Any]:
    """Return a run's record; stop if the file is not one."""
    run = read_record(run_json)
    try:
        lacking = [key for key in ("images", "samples") for one in inputs_of(run) if key not in one]
    except (KeyError, TypeError, AttributeError) as error:
        raise SystemExit(f"{run_json}: is damaged ({error!r}). Get it again.") from error
    lacking += [] if "settings" in run else ["settings"]
    if lacking:
        raise SystemExit(f"{run_json}: is damaged (it lacks {lacking[0]}). Get it again.")
    return run


def kept_text(scores_csv: Path) -> str:
    """Return the kept form of a run's scores, as text; stop if they are damaged or cut off."""
    try:
        if scores_csv.suffix == ".xz":
            with lzma.open(scores_csv, "rt") as file:
                text = file.read()
        else:
            text = scores_csv.read_text(encoding="utf-8")
    except (EOFError, OSError, UnicodeDecodeError, lzma.LZMAError) as error:
        raise SystemExit(f"{scores_csv}: is damaged ({error}). Get it again.") from error
    head, *rows = text.splitlines() or [""]
    needed = SAMPLE if scores_csv.suffix == ".xz" else [*RUN, *SAMPLE, "metric", "value", "worst"]
    if not rows or not text.endswith("\n") or not set(needed) <= set(head.split(",")):
        raise SystemExit(f"{scores_csv}: is damaged (rows or columns are missing). Get it again.")
    if scores_csv.suffix == ".xz":
        return text
    scores = pd.read_csv(io.StringIO(text), dtype={"id": str, "group": str})
    return compact(scores.drop(columns=RUN)).to_csv(index=False, float_format="%.4g")


def check_same(own: Path, kept: Path) -> None:
    """Stop unless a run's folder and that of a kept run hold the same run.

    One of them may have a file that the other lacks, such as an accuracy that was measured later.
    """
    first, second = small_files(own), small_files(kept)
    same = all(first[name] == second[name] for name in first.keys() & second.keys())
    if not same or kept_text(own / "scores.csv") != kept_text(kept / "scores.csv.xz"):
        refuse(own, kept)


def check_unscored(own: Path, kept: Path) -> None:
    """Stop if a run's folder without scores has files of another run than the kept one."""
    if not small_files(own).items() <= small_files(kept).items():
        refuse(own, kept)


def small_files(folder: Path) -> dict[str, bytes]:
    """Return the content of the small files that a run has."""
    return {name: (folder / name).read_bytes() for name in SMALL if (folder / name).exists()}


def refuse(own: Path, kept: Path) -> None:
    """Stop, because a kept run and one of the study are in the same place."""
    raise SystemExit(f"{own}: is another run than {kept}. Remove one of the two.")


def keep(study: Path, kept: Path) -> None:
    """Keep the scored runs of a study; writes nothing if one of them is refused."""
    paths = runs_in(study)
    known = {path for path in paths if (kept / path / "scores.csv.xz").exists()}
    for path in known:
        check_same(study / path, kept / path)
    check_alike([*scored_run_files(kept), *scored_run_files(study)])
    texts = {path: kept_text(study / path / "scores.csv") for path in paths if path not in known}
    for path in paths:
        copy_small(study / path, kept / path)
        if path in texts:  # last: with its scores, a run is whole
            with written_whole(kept / path / "scores.csv.xz") as tmp:
                tmp.write_bytes(lzma.compress(texts[path].encode()))


def restore(kept: Path, study: Path) -> None:
    """Write kept runs into a study's folder; nothing if one of them is refused."""
    paths = runs_in(kept)
    known = {path for path in paths if (study / path / "scores.csv").exists()}
    for path in paths:
        check = check_same if path in known else check_unscored
        check(study / path, kept / path)
    check_alike([*scored_run_files(kept), *run_files(study)])
    scores = {path: scores_of(kept, path) for path in paths if path not in known}
    for path in paths:
        copy_small(kept / path, study / path)
        if path in scores:
            with written_whole(study / path / "scores.csv") as tmp:
                scores[path].to_csv(tmp, index=False)


def scores_of(kept: Path, path: Path) -> pd.DataFrame:
    """Return the scores of a kept run as the workflow writes them."""
    text = io.StringIO(kept_text(kept / path / "scores.csv.xz"))
    scores = spread(pd.read_csv(text, dtype={"id": str, "group": str}))
    for position, (column, value) in enumerate(zip(RUN, describe_run(path), strict=True)):
        scores.insert(position, column, value)
    return scores


def copy_small(source: Path, target: Path) -> None:
    """Copy the small files of a run that it has."""
    target.mkdir(parents=True, exist_ok=True)
    for name in SMALL:
        if (source / name).exists():
            with written_whole(target / name) as tmp:
                shutil.copyfile(source / name, tmp)


def main() -> None:
    """Keep or restore."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=("keep", "restore"))
    parser.add_argument("study")
    parser.add_argument("--results", type=Path, default=ROOT / "results")
    arguments = parser.parse_args()
    study = arguments.results / arguments.study
    kept = ROOT / "docs/results" / arguments.study / "runs"
    source = study if arguments.command == "keep" else kept
    if not runs_in(source):
        raise SystemExit(f"{source}: has no scored runs. Run the study first, or name --results.")
    if arguments.command == "keep":
        keep(study, kept)
    else:
        restore(kept, study)


if __name__ == "__main__":
    main()
