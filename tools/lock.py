"""Write requirements.lock and the pins of envs/*.yaml.

A new virtual environment takes the newest versions that pyproject.toml allows (or an existing one
is read, with --from); its versions become the lock file. Each conda environment takes Python from
conda-forge and the same versions, of its own packages and of all that these need, from pip.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINUX_ONLY = ("cuda-", "nvidia-", "triton")

# One environment per kind of work, with the packages that its rules import.
ENVIRONMENTS = {
    "data": [
        "jinja2", "joblib", "nibabel", "numpy", "opencv-python-headless", "pandas", "pillow",
        "pyyaml", "requests", "scikit-image", "scikit-learn", "scipy", "tqdm",
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
    "found": {canonicalize_name(d.name): [d.name, d.version] for d in distributions()},
    "needed": {key: closure(names) for key, names in json.loads(sys.argv[1]).items()},
}))
"""


def marker(name: str) -> str:
    """Return the marker of packages that only Linux has: those of CUDA builds."""
    return ' ; sys_platform == "linux"' if name.startswith(LINUX_ONLY) else ""


def main() -> None:
    """Lock."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--from", dest="python", help="Python of an environment to read as it is")
    python = parser.parse_args().python
    with tempfile.TemporaryDirectory() as folder:
        if python is None:
            subprocess.run([sys.executable, "-m", "venv", folder], check=True)
            python = f"{folder}/bin/python"
            install = [python, "-m", "pip", "install", "--quiet", f"{ROOT}[workflow,dev]"]
            subprocess.run(install, check=True)
        read = [python, "-c", READ_ENVIRONMENT, json.dumps(ENVIRONMENTS)]
        listed = json.loads(subprocess.run(read, capture_output=True, check=True).stdout)
    own = {"pip", "weaklesion"}
    pins = {
        key: f"{name}=={version}{marker(key)}"
        for key, (name, version) in sorted(listed["found"].items())
        if key not in own
    }
    lock = ["# Written by `make lock`; Python 3.11.", *pins.values()]
    (ROOT / "requirements.lock").write_text("\n".join(lock) + "\n")
    pinned = {
        name: [pins[key] for key in needed if key not in own]
        for name, needed in listed["needed"].items()
    }
    for name, packages in pinned.items():
        write_environment(name, [], packages)
    for name, (beside, compiler, package) in COMPILED.items():
        write_environment(name, [compiler], [*pinned[beside], package])


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
