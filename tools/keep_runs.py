"""Keep the runs of a study that takes longer than one machine is at hand.

    python tools/keep_runs.py keep STUDY       # from results/STUDY to docs/results/STUDY/runs
    python tools/keep_runs.py restore STUDY    # and back

A run is kept as its `run.json`, `history.csv` and `accuracy.json`, where it has them, and its
scores: a column per metric, four digits, xz. Weights, predictions and images are not kept. After
`restore`, tables are made from the kept runs and those of this machine, and nothing is trained:

    snakemake results/STUDY/tables/ITEM.csv --allowed-rules tabulate_scores tabulate_accuracy ...

Seeds of one arm may differ in nothing but their seed: both commands stop if settings, or the
digests of what a training read, are not the same. A run that is there already must be the same run.
"""

import argparse
import json
import shutil
from pathlib import Path

import pandas as pd

ROOT = Path(__file__).resolve().parents[1]
SMALL = ("run.json", "history.csv", "accuracy.json")
SAMPLE = ["id", "group", "status"]
RUN = ["dataset", "protocol", "arm", "seed"]
WORST = "worst "  # before a metric's name: column of its worst possible values


def runs_in(folder: Path) -> list[Path]:
    """Return the folders of scored runs, relative to a study's folder or to that of kept runs."""
    found = [*folder.rglob("scores.csv"), *folder.rglob("scores.csv.xz")]
    return sorted(path.parent.relative_to(folder) for path in found)


def compact(scores: pd.DataFrame) -> pd.DataFrame:
    """Return scores with a row per sample; a metric that a sample lacks has no worst value."""
    wide = scores[SAMPLE].drop_duplicates().set_index("id")
    for metric, rows in scores.groupby("metric", sort=False):
        of_sample = rows.set_index("id")
        wide[metric] = of_sample["value"]
        wide[f"{WORST}{metric}"] = of_sample["worst"]
    return wide.reset_index()


def spread(wide: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of `weaklesion.scoring.score` again, less the columns of the run."""
    metrics = [name for name in wide.columns if WORST + name in wide.columns]
    parts = [
        wide[SAMPLE].assign(metric=name, value=wide[name], worst=wide[WORST + name])
        for name in metrics
    ]
    rows = pd.concat(parts).dropna(subset="worst").sort_index(kind="stable")
    return rows[["id", "group", "metric", "value", "status", "worst"]]


def describe_run(path: Path) -> tuple[str, ...]:
    """Return dataset, protocol, arm and seed of a run's folder, relative to its study."""
    dataset, protocol, _, arm, seed = path.parts
    return dataset, protocol, arm, seed.removeprefix("seed-")


def check_alike(folder: Path) -> None:
    """Stop if two seeds of an arm were trained with other settings or on other files."""
    seen: dict[Path, tuple[str, dict[str, object]]] = {}
    for path in sorted(folder.rglob("run.json")):
        run = json.loads(path.read_text())
        made_with = {key: run[key] for key in ("settings", "inputs_sha256")}
        first, expected = seen.setdefault(path.parent.parent, (str(path), made_with))
        if made_with != expected:
            differ = [key for key in made_with if made_with[key] != expected[key]]
            raise SystemExit(
                f"{path}: {' and '.join(differ)} differ from {first}. Seeds of one arm may only"
                " differ in their seed: remove the runs of one of the two."
            )


def same(one: Path, other: Path) -> bool:
    """Return whether two folders hold the same run; times of a run tell runs apart."""
    for name in SMALL:
        first, second = one / name, other / name
        if first.exists() != second.exists():
            return False
        if first.exists() and first.read_bytes() != second.read_bytes():
            return False
    return True


def keep(study: Path, kept: Path) -> None:
    """Keep the scored runs of a study."""
    for path in runs_in(study):
        if (kept / path).is_dir():
            _check_same(study / path, kept / path)
            continue
        target = kept / path
        target.mkdir(parents=True)
        _copy_small(study / path, target)
        scores = pd.read_csv(study / path / "scores.csv", dtype={"id": str, "group": str})
        wide = compact(scores.drop(columns=RUN))
        wide.to_csv(target / "scores.csv.xz", index=False, float_format="%.4g")
    check_alike(kept)


def restore(kept: Path, study: Path) -> None:
    """Write kept runs into a study's folder."""
    for path in runs_in(kept):
        target = study / path
        if (target / "scores.csv").exists():
            _check_same(target, kept / path)
            continue
        target.mkdir(parents=True, exist_ok=True)
        _copy_small(kept / path, target)
        wide = pd.read_csv(kept / path / "scores.csv.xz", dtype={"id": str, "group": str})
        scores = spread(wide)
        for position, (column, value) in enumerate(zip(RUN, describe_run(path), strict=True)):
            scores.insert(position, column, value)
        scores.to_csv(target / "scores.csv", index=False)
    check_alike(study)


def _copy_small(source: Path, target: Path) -> None:
    for name in SMALL:
        if (source / name).exists():
            shutil.copyfile(source / name, target / name)


def _check_same(one: Path, other: Path) -> None:
    if not same(one, other):
        raise SystemExit(f"{one}: is another run than {other}. Remove one of the two.")


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
