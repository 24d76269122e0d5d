"""Run benchmarks and write what they print into docs/reference/benchmarks.md.

    python tools/update_benchmarks.py            # all: a quarter of an hour
    python tools/update_benchmarks.py segment    # one

each between its own markers; the words around them stay. Nothing else should run meanwhile. What a
benchmark prints is written whether its bounds are met or not; if one is not, the exit status is 1.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from markers import has_markers, replace_between

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/reference/benchmarks.md"
NAMES = ("patches", "supervision", "metrics", "training", "segment")


def main() -> int:
    """Run, write, and return 1 if a bound is not met."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    names = parser.parse_args().names or NAMES
    for name in names:
        if not has_markers(PAGE.read_text(), name):
            parser.error(f"{PAGE} has no part called {name}.")
    failed = []
    for name in names:
        script = ROOT / f"benchmarks/bench_{name}.py"
        done = subprocess.run([sys.executable, script], stdout=subprocess.PIPE, text=True)
        print(done.stdout, flush=True)
        if done.stdout:
            PAGE.write_text(replace_between(PAGE.read_text(), name, done.stdout.strip() + "\n"))
        if done.returncode:
            failed.append(name)
    if failed:
        print(f"Bounds not met, or stopped by an error: {', '.join(failed)}.", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
