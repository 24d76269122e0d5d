"""`python tools/plan.py ...`, the older spelling of `weaklesion plan ...`."""

import sys

from weaklesion.cli import app

if __name__ == "__main__":
    app(["plan", *sys.argv[1:]], prog_name="weaklesion")
