"""A Python that starts in a moment: a server imports the heavy packages once, each start is a fork.

Half of a small workflow's time is spent on importing the same packages in every job. `install`
writes a program `python` that hands its words, folder, variables and streams to the server of its
environment; the server forks, and the fork runs what `python` would have run: the same script, with
the package itself imported anew, and a `sitecustomize` of PYTHONPATH too. What a fork cannot do as
a new process does (other options of Python, a hash seed) is left to the real Python, as are tests
of installation, and processes that a test looks for by name or stops: where `REAL_PYTHON_FOR` is
set, the real Python runs every command line that has this text. A fork is not in its caller's
process group, whose number it finds in `CALLING_GROUP`; it is killed when its caller ends.
"""

import atexit
import contextlib
import fcntl
import gc
import hashlib
import importlib
import json
import os
import select
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
import types
import weakref
from functools import cache
from pathlib import Path

PRELOADED = (
    "contourpy", "cv2", "jinja2", "joblib", "jsonschema", "matplotlib.backends.backend_agg",
    "matplotlib.backends.backend_svg", "matplotlib.figure", "matplotlib.pyplot", "monai.losses",
    "monai.networks.nets", "nbformat", "nibabel", "numpy", "pandas", "PIL.Image",
    "PIL.JpegImagePlugin", "PIL.PngImagePlugin", "pydantic", "safetensors.torch", "scipy.ndimage",
    "scipy.optimize", "scipy.spatial", "scipy.stats", "segmentation_models_pytorch", "skimage.draw",
    "skimage.measure", "skimage.segmentation", "sklearn.cluster", "timm", "torch", "torchvision",
    "tqdm", "typer", "yaml", "yte", "snakemake.api", "snakemake.cli", "snakemake.iocontainers",
    "snakemake.logging", "snakemake.report.html_reporter", "snakemake.storage",
)  # fmt: skip
IDLE_SECONDS = 60
CLIENT = """#!{interpreter} -IS
import json, os, socket, sys

words = sys.argv[1:]
while words and words[0] in ("-B", "-u"):
    words = words[1:]
seeded = {{"PYTHONHASHSEED", "PYTHONSTARTUP"}} & set(os.environ)
text = os.environ.get("REAL_PYTHON_FOR")
named = text and text in " ".join(words)
plain = words and (words[0] in ("-c", "-m") or not words[0].startswith("-"))
workers = ("joblib.", "from joblib", "from multiprocessing")  # they inherit more than streams
if seeded or named or not plain or words[1:2] and words[1].startswith(workers):
    os.execv({real!r}, [{real!r}, *sys.argv[1:]])
for attempt in range(300):
    server = socket.socket(socket.AF_UNIX)
    try:
        server.connect({address!r})
        break
    except OSError:
        server.close()
        import subprocess, time  # half of this program's time, and seldom needed

        if attempt % 20 == 0:  # none is there, or it has just ended
            plain = {{k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}}
            subprocess.Popen(
                [{real!r}, {program!r}, {address!r}, sys.argv[0]],
                env=plain, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=open({address!r} + ".log", "w"), start_new_session=True, cwd="/",
            )
        time.sleep(0.1)
else:
    sys.exit("no server of Python answers")
variables = {{**os.environ, "CALLING_GROUP": str(os.getpgid(0))}}
request = json.dumps({{"words": words, "cwd": os.getcwd(), "variables": variables}}).encode()
socket.send_fds(server, [len(request).to_bytes(8, "big")], [0, 1, 2])
server.sendall(request)
answer = server.recv(4)
sys.exit(int.from_bytes(answer, "big") if answer else 1)
"""


def install(place: Path, real: str | Path, interpreter: str | Path) -> Path:
    """Write at `place` a program that runs what the Python `real` would run, in a fork.

    Args:
        place: the program to write.
        real: the Python whose environment counts.
        interpreter: any Python, which runs the program itself.
    """
    name = hashlib.sha256(str(place).encode()).hexdigest()[:16]
    address = str(Path(tempfile.gettempdir()) / f"python-{name}.sock")
    client = CLIENT.format(
        interpreter=interpreter, real=str(real), program=__file__, address=address
    )
    place.parent.mkdir(parents=True, exist_ok=True)
    written = place.with_name(f"{place.name}.{os.getpid()}-{threading.get_ident()}")
    written.write_text(client)
    written.chmod(0o755)
    written.replace(place)
    return place


@cache
def preloaded_python() -> Path:
    """Return the program that runs what this process's own Python would run."""
    name = hashlib.sha256(sys.prefix.encode()).hexdigest()[:16]
    place = Path(tempfile.gettempdir()) / f"python-{name}/python"
    return install(place, sys.executable, sys.executable)


def serve(address: str, executable: str) -> None:
    """Answer at a socket's address until nothing has been asked for a while."""
    with open(f"{address}.lock", "w") as lock, socket.socket(socket.AF_UNIX) as listening:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return  # another server was faster
        Path(address).unlink(missing_ok=True)
        listening.bind(address)
        listening.listen(64)  # who asks from now on waits for the imports
        for name in PRELOADED:
            with contextlib.suppress(ImportError):  # an environment has what its rules need
                importlib.import_module(name)
        with contextlib.suppress(ImportError):
            importlib.import_module("snakemake.cli").get_argument_parser()  # looks for its plugins
        gc.freeze()  # what all forks share stays shared
        for finalizer in list(weakref.finalize._registry):
            finalizer.atexit = False  # or each fork would take PyTorch's libraries apart at its end
        sys.executable = executable
        answer(listening)
        Path(address).unlink()


def answer(listening: socket.socket) -> None:
    """Run what is asked for, and answer with the exit status."""
    asking: dict[int, socket.socket] = {}
    idle_since = time.monotonic()
    while time.monotonic() < idle_since + IDLE_SECONDS:
        ready, _, _ = select.select([listening, *asking.values()], [], [], 0.02)
        for one in ready:
            if one is listening:
                connection, _ = listening.accept()
                asking[start(connection, [listening, *asking.values()])] = connection
            else:  # who asked is gone
                child = next(pid for pid, other in asking.items() if other is one)
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
        for child in list(asking):
            pid, status = os.waitpid(child, os.WNOHANG)
            if pid:
                code = os.waitstatus_to_exitcode(status)
                with contextlib.suppress(OSError), asking.pop(child) as connection:
                    connection.sendall((code if code >= 0 else 128 - code).to_bytes(4, "big"))
        if asking or ready:
            idle_since = time.monotonic()


def start(connection: socket.socket, others: list[socket.socket]) -> int:
    """Fork a process that runs what was asked for, and return its number."""
    size, streams, _, _ = socket.recv_fds(connection, 8, 3)
    wanted = int.from_bytes(size, "big")
    request = b""
    while len(request) < wanted and (part := connection.recv(wanted - len(request))):
        request += part
    child = os.fork()
    if child:
        for stream in streams:
            os.close(stream)
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpgid(child, child)
        return child
    os.setpgid(0, 0)
    for other in others:
        other.close()
    connection.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os._exit(run(**json.loads(request)))


def run(words: list[str], cwd: str, variables: dict[str, str]) -> int:
    """Run `python WORDS` in this process, and return its exit status."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(variables)
    here = [folder for folder in variables.get("PYTHONPATH", "").split(":") if folder]
    base = [folder for folder in sys.path if folder != str(Path(__file__).parent)]
    main = types.ModuleType("__main__")
    main.__dict__["__builtins__"] = __builtins__
    sys.modules["__main__"] = main
    kind = words[0]
    code = 0
    try:
        if kind == "-c":
            sys.argv, sys.path[:] = ["-c", *words[2:]], ["", *here, *base]
            customize(here)
            exec(compile(words[1], "<string>", "exec"), main.__dict__)
        elif kind == "-m":
            import runpy

            sys.argv, sys.path[:] = ["-m", *words[2:]], [cwd, *here, *base]
            customize(here)
            runpy._run_module_as_main(words[1])
        else:
            sys.argv, sys.path[:] = list(words), [str(Path(kind).resolve().parent), *here, *base]
            main.__dict__["__file__"] = kind
            customize(here)
            exec(compile(Path(kind).read_bytes(), kind, "exec"), main.__dict__)
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        if not isinstance(stop.code, int | None):
            print(stop.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    return code & 0xFF


def customize(folders: list[str]) -> None:
    """Import the `sitecustomize` of the first folder that has one, as Python does at its start."""
    if any(Path(folder, "sitecustomize.py").is_file() for folder in folders):
        sys.modules.pop("sitecustomize", None)
        importlib.import_module("sitecustomize")


if __name__ == "__main__":
    serve(*sys.argv[1:])
