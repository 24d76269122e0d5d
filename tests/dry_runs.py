"""Plan with many Snakemake command lines at once: imported once, each runs in a fork.

    python tests/dry_runs.py FOLDER < lines.json > answers.json

Lines are lists of words; an answer is how a line's dry run in FOLDER ended, and what it said.
"""

import gc
import json
import os
import sys
import tempfile
from functools import cache

from snakemake import rules
from snakemake.cli import get_argument_parser, main
from snakemake.jobs import Job

# what a plan says of each job is a seventh of its time
Job.log_info = lambda job, *words, **options: None
# and so is the look at each input function's parameters, once for every job
rules.get_function_params = cache(rules.get_function_params)


def dry_run(words: list[str]) -> tuple[int, str]:
    """Run `snakemake WORDS -n` in a process of its own."""
    with tempfile.TemporaryFile("w+") as output:
        child = os.fork()
        if child == 0:
            for stream in (1, 2):
                os.dup2(output.fileno(), stream)
            sys.argv = ["snakemake", *words, "--dry-run", "--quiet", "rules"]
            code = 1
            try:
                main()
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
            finally:
                sys.stdout.flush()
                sys.stderr.flush()
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        output.seek(0)
        return code, output.read()


if __name__ == "__main__":
    lines = json.load(sys.stdin)
    os.chdir(sys.argv[1])
    # what every line would read again: imports of the package, by the clone's own code
    sys.path.insert(0, os.path.abspath("src"))
    from weaklesion.study.code_tracking import PACKAGE, module_files

    for path in PACKAGE.rglob("*.py"):
        name = ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
        module_files(name.removesuffix(".__init__"))
    get_argument_parser()  # looks for Snakemake's plugins
    gc.freeze()  # or each fork would copy all memory to look for garbage
    json.dump([dry_run(words) for words in lines], sys.stdout)
