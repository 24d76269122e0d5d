"""Write the lock files and the pins of envs/*.yaml.

A new virtual environment takes the newest versions that pyproject.toml allows (or an existing one
is read, with --from); its versions become the lock files:

- requirements.lock: what users need, with the extras of USERS;
- requirements-cpu.lock: the same with PyTorch's build for CPUs, without CUDA;
- requirements-dev.lock: what only developers need, beside either of them;
- requirements-onnx.lock: what `weaklesion segment` needs with an exported network, alone;
- requirements-nnunet.lock: what nnU-Net needs beside them, in an environment of its own because it
  needs other versions of some packages (or an existing one is read, with --nnunet).

Each conda environment takes Python from conda-forge and the same versions, of its own packages and
of all that these need, from pip.
"""

import argparse
import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LINUX_ONLY = ("cuda-", "nvidia-", "triton")
CPU_BUILDS = ("torch", "torchvision")  # what PyTorch builds for CPUs, as version+cpu on Linux
USERS = ("torch", "workflow", "dicom")  # extras of pyproject.toml in requirements.lock
SMALL = ("onnx",)  # those in requirements-onnx.lock

# One environment per kind of work, with the packages that its rules import.
ENVIRONMENTS = {
    "data": [
        "jinja2", "joblib", "nibabel", "numpy", "opencv-python-headless", "pandas", "pillow",
        "pyyaml", "requests", "rocrate", "scikit-image", "scikit-learn", "scipy", "tqdm",
    ],
    "train": [
        "joblib", "monai", "numpy", "opencv-python-headless", "pandas", "safetensors",
        "scikit-learn", "scipy", "segmentation-models-pytorch", "tensorboard", "torch",
        "torchvision", "tqdm",
    ],
    "report": [
        "matplotlib", "numpy", "opencv-python-headless", "pandas", "scikit-learn", "tqdm",
    ],
}  # fmt: skip

# Needs a C++ compiler, which the README does not ask of a user: in no lock file, and in an
# environment of its own, beside the packages of another.
COMPILED = {"crf": ("train", "cxx-compiler", "pydensecrf2==1.1")}

# In an environment of its own, which sees the packages of requirements.lock behind its own, as
# `make nnunet` makes it.
NNUNET = "nnunetv2==2.8.1"
NNUNET_NEEDS = ["nnunetv2", "numpy", "pandas", "pillow", "tqdm"]  # and what its rules import

# Run inside the environment: prints every package's version, and what each of ENVIRONMENTS needs.
READ_ENVIRONMENT = """
import json, sys
from importlib.metadata import distribution, distributions
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

def closure(names):
    seen, todo = set(), [(name, frozenset([""])) for name in names]
    while todo:
        name, extras = todo.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        for need in map(Requirement, distribution(name).requires or []):
            if need.marker is None or any(need.marker.evaluate({"extra": e}) for e in extras):
                todo.append((canonicalize_name(need.name), frozenset(["", *need.extras])))
    return sorted({name for name, _ in seen})

print(json.dumps({
    "found": {  # of two of one name, the first on the path is imported
        canonicalize_name(d.name): [d.name, d.version] for d in reversed([*distributions()])
    },
    "needed": {key: closure(names) for key, names in json.loads(sys.argv[1]).items()},
}))
"""


def marker(name: str) -> str:
    """Return the marker of packages that only Linux has: those of CUDA builds."""
    return ' ; sys_platform == "linux"' if name.startswith(LINUX_ONLY) else ""


def cpu_pin(pin: str) -> list[str]:
    """Return the lines of a pin without CUDA; none for a package of CUDA."""
    name, version = pin.split(" ")[0].split("==")
    if name.startswith(LINUX_ONLY):
        return []
    if name not in CPU_BUILDS:
        return [pin]
    return [
        f'{name}=={version}+cpu ; sys_platform == "linux"',
        f'{name}=={version} ; sys_platform != "linux"',
    ]


def lock_files(
    pins: dict[str, str], *, users: list[str], developers: list[str], small: list[str]
) -> dict[str, list[str]]:
    """Return the lines of each lock file by its name.

    Args:
        pins: the pin of every package, by its canonical name.
        users: names of what users need.
        developers: names of what developers need.
        small: names of what exported networks need.
    """
    used = [pin for name, pin in pins.items() if name in users]
    return {
        "requirements.lock": used,
        "requirements-cpu.lock": [line for pin in used for line in cpu_pin(pin)],
        "requirements-dev.lock": [
            pin for name, pin in pins.items() if name in developers and name not in users
        ],
        "requirements-onnx.lock": [pin for name, pin in pins.items() if name in small],
    }


def names(requirements: list[str]) -> list[str]:
    """Return the packages' canonical names of requirements such as `torch>=2.11`."""
    found = [re.split(r"[^\w.-]", requirement)[0] for requirement in requirements]
    return [re.sub(r"[-_.]+", "-", name).lower() for name in found]


def main() -> None:
    """Lock."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="python", help="Python of an environment to read as it is")
    parser.add_argument("--nnunet", help="Python of an environment of nnU-Net to read as it is")
    arguments = parser.parse_args()
    python = arguments.python
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    used, small = (
        project["dependencies"] + [need for extra in chosen for need in extras[extra]]
        for chosen in (USERS, SMALL)
    )
    kinds = {"users": names(used), "developers": names(extras["dev"]), "small": names(small)}
    with tempfile.TemporaryDirectory() as folder:
        if python is None:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            python = f"{folder}/bin/python"
            install = [python, "-m", "pip", "install", "--quiet"]
            subprocess.run([*install, f"{ROOT}[{','.join(USERS)},dev]"], check=True)
        listed = read_environment(python, kinds | ENVIRONMENTS)
        nnunet = arguments.nnunet or nnunet_environment(python, Path(folder) / "nnunet")
        of_nnunet = read_environment(nnunet, {"nnunet": NNUNET_NEEDS})
    own = {"pip", "weaklesion"}
    pins = pins_of(listed["found"], own)
    needed_by_kind = {kind: listed["needed"].pop(kind) for kind in kinds}
    for file, lines in lock_files(pins, **needed_by_kind).items():
        text = "\n".join(["# Written by `make lock`, for Python 3.11 to 3.13.", *lines])
        (ROOT / file).write_text(f"{text}\n")
    pinned = {
        name: [pins[key] for key in needed if key not in own]
        for name, needed in listed["needed"].items()
    }
    for name, packages in pinned.items():
        write_environment(name, [], packages)
    for name, (beside, compiler, package) in COMPILED.items():
        write_environment(name, [compiler], [*pinned[beside], package])
    every = pins_of(of_nnunet["found"], own)
    write_nnunet([every[key] for key in of_nnunet["needed"]["nnunet"] if key not in own])


def write_nnunet(packages: list[str]) -> None:
    """Write the environment of nnU-Net, and the lock file of what requirements.lock lacks."""
    locked = (ROOT / "requirements.lock").read_text().splitlines()
    lines = [
        "# Written by `make lock`: what nnU-Net needs beside or instead of requirements.lock.",
        *(pin for pin in packages if pin not in locked),
    ]
    (ROOT / "requirements-nnunet.lock").write_text("\n".join(lines) + "\n")
    write_environment("nnunet", [], packages)


def read_environment(python: str, groups: dict[str, list[str]]) -> dict[str, Any]:
    """Return the packages that a Python has, and all that each group of packages needs."""
    read = [python, "-c", READ_ENVIRONMENT, json.dumps(groups)]
    listed = subprocess.run(read, capture_output=True, check=True).stdout
    return dict(json.loads(listed))


def pins_of(found: dict[str, tuple[str, str]], own: set[str]) -> dict[str, str]:
    """Return the pin of every package that an environment has, by its canonical name."""
    return {
        key: f"{name}=={version}{marker(key)}"
        for key, (name, version) in sorted(found.items())
        if key not in own
    }


def nnunet_environment(python: str, folder: Path) -> str:
    """Make an environment of nnU-Net in front of another one; return its Python."""
    subprocess.run([sys.executable, "-m", "venv", folder], check=True)
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    behind, front = (
        subprocess.run([each, "-c", where], capture_output=True, check=True, text=True).stdout
        for each in (python, f"{folder}/bin/python")
    )
    (Path(front.strip()) / "behind.pth").write_text(behind)
    install = [f"{folder}/bin/python", "-m", "pip", "install", "--quiet", NNUNET]
    subprocess.run(install, check=True)
    return f"{folder}/bin/python"


def write_environment(name: str, from_conda: list[str], from_pip: list[str]) -> None:
    """Write one conda environment."""
    lines = [
        "# Written by `make lock`: the versions of requirements.lock.",
        "channels: [conda-forge]",
        "dependencies:",
        "  - python=3.11",
        *[f"  - {package}" for package in from_conda],
        "  - pip",
        "  - pip:",
        *[f"      - '{pin}'" for pin in from_pip],
    ]
    (ROOT / "envs" / f"{name}.yaml").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
