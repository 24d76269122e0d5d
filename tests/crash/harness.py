"""Kill a study at many moments, start it again, and compare what it makes with an undisturbed run.

    python tests/crash/harness.py --points 100     # make crash-test

A first run notes every moment at which a job opens or renames a file. The moments that are tried
are spread over all rules. In turn one job is killed, as by the kernel when memory runs out, or
Snakemake with all of its jobs, as by a machine that goes down. Several crashes, each at its own
moment, happen on the way of one study from nothing to its tables; then these are compared byte by
byte, and so are the scores of every run.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from preloaded_python import preloaded_python

ROOT = Path(__file__).resolve().parents[2]
STUDY = (ROOT / "workflow/studies/demo.yaml", ROOT / "tests/tiny.yaml")
ALL_RULES = (ROOT / "tests/every_item.yaml", ROOT / "tests/crash/study.yaml")
TIMED = ("table2.csv",)  # has hours
PYTHON = preloaded_python()


@dataclass
class Tally:
    """What happened: crashes by rule and kind, and what differed afterwards."""

    crashes: Counter[tuple[str, str]] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)
    leftovers: list[str] = field(default_factory=list)


def snakemake(folder: Path, arguments: Sequence[str | Path], **environment: str) -> int:
    """Run Snakemake in a session of its own; return how it ended."""
    command = [PYTHON, "-m", "snakemake", "--snakefile", ROOT / "Snakefile"]
    command += ["--directory", folder, "--cores", "2", "--rerun-incomplete", *arguments]
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("CRASH_")}
    with (folder / "output").open("a") as output:
        return subprocess.run(
            [str(word) for word in command],
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            check=False,
            start_new_session=True,
            env={
                **inherited,
                **environment,
                "PYTHONPATH": str(Path(__file__).parent),
                "XDG_CACHE_HOME": str(folder / "cache"),
            },
        ).returncode


def record(folder: Path, arguments: Sequence[str | Path]) -> list[str]:
    """Run undisturbed; return every moment of every job, in order, each once."""
    noted = folder / "moments"
    code = snakemake(folder, arguments, CRASH_RECORD=str(noted))
    if code:
        sys.exit((folder / "output").read_text()[-6000:])
    return list(dict.fromkeys(noted.read_text().splitlines()))


def choose(moments: Sequence[str], count: int) -> list[str]:
    """Return so many moments, spread over the rules and, within a rule, over its course."""
    by_rule: dict[str, list[str]] = defaultdict(list)
    for moment in moments:
        by_rule[moment.split()[0]].append(moment)
    chosen: list[str] = []
    turn = 0
    while len(chosen) < min(count, len(moments)):
        for of_rule in by_rule.values():
            if len(chosen) < count and turn < len(of_rule):
                # van der Corput's sequence: first the middle, then the quarters, ...
                place = sum((turn + 1 >> bit & 1) / 2 ** (bit + 1) for bit in range(12))
                candidates = [moment for moment in of_rule if moment not in chosen]
                chosen.append(candidates[int(place * len(candidates))])
        turn += 1
    order = {moment: number for number, moment in enumerate(moments)}
    return sorted(chosen, key=order.__getitem__)


def run_with_crashes(
    folder: Path,
    reference: Path,
    arguments: Sequence[str | Path],
    moments: Sequence[str],
    tally: Tally,
) -> list[str]:
    """Go from nothing to the tables through crashes; return the moments that did not come.

    Each start crashes at the first of the moments that are left; the one that meets none ends.
    """
    left, crashes = list(moments), 0
    at, done = folder / "moments", folder / "crashed"
    while True:
        at.write_text("\n".join(left))
        done.unlink(missing_ok=True)
        kind = ("job", "all")[crashes % 2]
        crashes += 1
        if any(folder.glob(".snakemake/locks/*")):  # of a Snakemake that was killed
            snakemake(folder, ["--unlock", *arguments])
        where = {"CRASH_KIND": kind, "CRASH_AT": str(at), "CRASH_DONE": str(done)}
        code = snakemake(folder, arguments, **where)
        if not done.exists():
            break
        for moment in done.read_text().splitlines():  # two jobs may meet theirs at once
            tally.crashes[(moment.split()[0], kind)] += 1
            left.remove(moment)
    if code:
        sys.exit((folder / "output").read_text()[-6000:])
    compare(folder, reference, tally)
    return left


def compare(folder: Path, reference: Path, tally: Tally) -> None:
    """Compare tables and scores with those of the undisturbed run; look for half-written files."""
    patterns = ("results/*/tables/*.csv", "results/**/scores.csv")
    wanted = [path for pattern in patterns for path in sorted(reference.glob(pattern))]
    assert wanted
    for path in wanted:
        name = path.relative_to(reference)
        other = folder / name
        if path.name not in TIMED and (
            not other.is_file() or other.read_bytes() != path.read_bytes()
        ):
            tally.differences.append(str(name))
    tally.leftovers += [str(path.relative_to(folder)) for path in folder.glob("res*/**/.part.*")]


def main() -> None:
    """Run the harness and print the tally as Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--points", type=int, default=100)
    parser.add_argument("--passes", type=int, default=5, help="runs from nothing to the tables")
    options = parser.parse_args()
    study = ["--configfile", *STUDY, *ALL_RULES]
    tally, started = Tally(), time.monotonic()
    with tempfile.TemporaryDirectory() as made:
        reference = Path(made) / "undisturbed"
        reference.mkdir()
        moments = record(reference, study)
        left = choose(moments, options.points)
        rounds = [left[start :: options.passes] for start in range(options.passes)]
        missed: list[str] = []
        while rounds:
            folder = Path(made) / "crashed"
            folder.mkdir()
            again = run_with_crashes(folder, reference, study, rounds.pop(0), tally)
            print(
                f"{sum(tally.crashes.values())} crashes, {len(again)} moments did not come",
                flush=True,
            )
            missed += again
            shutil.rmtree(folder)
        rules = sorted({rule for rule, _ in tally.crashes})
        print(
            f"\n{len(moments)} moments in {len({m.split()[0] for m in moments})} rules;"
            f" {sum(tally.crashes.values())} crashes, each at a moment of its own, in"
            f" {(time.monotonic() - started) / 60:.0f} min; {len(missed)} moments did not come\n"
        )
        print("| Rule | A job killed | Snakemake and all jobs killed |\n|---|---|---|")
        for rule in rules:
            print(f"| {rule} | {tally.crashes[(rule, 'job')]} | {tally.crashes[(rule, 'all')]} |")
        print(
            f"\nTables and scores that differ: {len(tally.differences)}."
            f" Half-written files left: {len(tally.leftovers)}."
        )
    if tally.differences or tally.leftovers:
        sys.exit("\n".join([*tally.differences, *tally.leftovers]))


if __name__ == "__main__":
    main()
