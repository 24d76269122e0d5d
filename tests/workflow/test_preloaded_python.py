"""The Python of the workflow's tests does what a plain one does."""

import os
import signal
import subprocess
import sys
import time

import pytest
from preloaded_python import preloaded_python

LINES = {
    "exit status": ["-c", "import sys; print(sys.argv, sys.prefix); sys.exit(3)", "a", "-b"],
    "message": ["-c", "raise SystemExit('no')"],
    "error": ["-c", "import torch; torch.zeros(2) + 'a'"],
    "module": ["-m", "json.tool", "--help"],
    "variables and folder": ["-c", "import os; print(os.environ['HERE'], os.getcwd())"],
    "an option": ["--version"],
    "a workers' pool": ["-c", "from joblib import Parallel, delayed as d; "
                        "print(Parallel(2)(d(abs)(-n) for n in range(9)))"],
}  # fmt: skip


def in_both(words, folder, **variables):
    """How a command line ends with the plain Python, and with the preloaded one."""
    return [
        subprocess.run(
            [python, *words],
            capture_output=True,
            text=True,
            cwd=folder,
            env=os.environ | variables,
            check=False,
        )
        for python in (sys.executable, preloaded_python())
    ]


@pytest.mark.parametrize("words", LINES.values(), ids=LINES)
def test_it_answers_as_a_plain_python(words, tmp_path):
    plain, forked = in_both(words, tmp_path, HERE="here")
    assert forked.returncode == plain.returncode
    assert forked.stdout == plain.stdout
    assert forked.stderr.splitlines()[-1:] == plain.stderr.splitlines()[-1:]


def test_it_imports_a_sitecustomize_first(tmp_path):
    (tmp_path / "sitecustomize.py").write_text("import sys; print('customized', sys.argv)")
    (tmp_path / "script.py").write_text("print('ran')")
    for words in (["-c", "print('ran')", "a"], ["script.py", "a"]):
        plain, forked = in_both(words, tmp_path, PYTHONPATH=str(tmp_path))
        assert (forked.returncode, forked.stdout) == (plain.returncode, plain.stdout)
        assert plain.stdout.startswith("customized [")
        assert plain.stdout.endswith("ran\n")


@pytest.mark.parametrize(("text", "real"), [("job: a", True), ("job: b", False)])
def test_the_real_python_runs_what_is_named(text, real):
    """A fork is a child of the server, not of the process that called it."""
    code = "import os; print(os.getppid())"
    said = subprocess.run(
        [preloaded_python(), "-c", code, "job:", "a"],
        capture_output=True,
        text=True,
        env=os.environ | {"REAL_PYTHON_FOR": text},
        check=True,
    ).stdout
    assert (int(said) == os.getpid()) is real


def test_what_it_started_ends_with_it(tmp_path):
    code = "import os, time; open('pid', 'w').write(str(os.getpid())); time.sleep(600)"
    started = subprocess.Popen([preloaded_python(), "-c", code], cwd=tmp_path)
    deadline = time.monotonic() + 60
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    started.send_signal(signal.SIGKILL)
    started.wait()
    while time.monotonic() < deadline:
        try:
            os.kill(int((tmp_path / "pid").read_text()), 0)
        except ProcessLookupError:
            return
        time.sleep(0.05)
    pytest.fail("the fork goes on")
