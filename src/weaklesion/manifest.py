"""`python -m weaklesion.manifest FOLDER`, the older spelling of `weaklesion manifest FOLDER`."""

import sys

from weaklesion.cli import app

if __name__ == "__main__":
    app(["manifest", *sys.argv[1:]])
