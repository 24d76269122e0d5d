"""`weaklesion plan`: a dry run of the workflow, and the plan of the jobs that it lists."""

import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from weaklesion.errors import DataError
from weaklesion.report.plan import job_costs, make_plan, time_spent
from weaklesion.report.plan_text import describe_plan, describe_seeds
from weaklesion.study.items import Run
from weaklesion.study.overrides import parse_overrides
from weaklesion.study.protocols import merge
from weaklesion.study.published import read_published
from weaklesion.study.schema import check_keys
from weaklesion.support.yaml_files import read_yaml

CHECKOUT = Path(__file__).resolve().parents[3]  # of an editable installation
INSTALLED = Path(sys.prefix) / "share/weaklesion"  # of an installed wheel
# A training in the list of jobs of a dry run.
TRAINING = re.compile(
    r"^rule train_\w+:\n(?: .*\n)*? +wildcards: dataset=(.+), protocol=(.+), arm=(.+), seed=(\d+)$",
    re.MULTILINE,
)
WORKFLOW_FILES = ("Snakefile", "config.yaml", "workflow/resources/job_costs.csv")


def plan_study(studies: Sequence[Path], overrides: Sequence[str], folder: Path) -> str:
    """Return the plan of a study as text. Nothing is run and nothing is downloaded.

    Args:
        studies: configuration files, merged in this order over `config.yaml`; none for the paper.
        overrides: settings `key=value`, as Snakemake's `--config` takes them.
        folder: the folder that contains `results/` and `resources/`.

    Raises:
        DataError: if there is no workflow, Snakemake is not installed or refuses the study, or a
            file or setting cannot be read.
    """
    root = find_workflow()
    studies = [path.resolve() for path in studies]
    config = merged_config(root, studies, overrides)
    jobs, trainings = dry_run(root, studies, overrides, folder)
    plan = make_plan(config, jobs, folder, root, trainings)
    published = read_published(root / "workflow/resources/published_numbers.yaml")
    parts = [
        f"Study {config['study']}: {sum(jobs.values())} jobs are left",
        describe_plan(plan, time_spent(folder, config["study"]), job_costs(root)),
        describe_seeds(config, folder, published),
    ]
    return "\n\n".join(part for part in parts if part)


def find_workflow() -> Path:
    """Return the workflow's folder: the working directory, the package's checkout, or a wheel's.

    Raises:
        DataError: if none contains the workflow.
    """
    candidates = (Path.cwd(), CHECKOUT, INSTALLED)
    for folder in candidates:
        if all((folder / name).is_file() for name in WORKFLOW_FILES):
            return folder
    raise DataError(
        f"plan: none of {', '.join(map(str, candidates))} contains the workflow"
        f" ({', '.join(WORKFLOW_FILES)}), because weaklesion is installed without it."
        " Run the command in a clone of the repository."
    )


def merged_config(root: Path, studies: Sequence[Path], overrides: Sequence[str]) -> dict[str, Any]:
    """Return the configuration as Snakemake sees it.

    Raises:
        DataError: if a study is missing, is not a mapping in YAML or has a key twice, or an
            override is not key=value or is given twice.
    """
    config: dict[str, Any] = read_yaml(root / "config.yaml")
    for path in studies:
        try:
            study = read_yaml(path)
        except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
            cause = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise DataError(
                f"{path}: cannot be read as a study ({cause}). Name a file of"
                f" {root / 'workflow/studies'}, or a similar file."
            ) from error
        if not isinstance(study, dict):
            raise DataError(
                f"{path}: is not a mapping of settings. Compare it with {root / 'config.yaml'}."
            )
        check_keys([path])
        config = merge(config, study)
    try:
        return merge(config, parse_overrides(overrides))
    except DataError:
        raise
    except ValueError as error:
        raise DataError(f"{error}. Write settings as in --config 'seeds=[1, 2]'.") from error


def dry_run(
    root: Path, studies: Sequence[Path], overrides: Sequence[str], folder: Path
) -> tuple[dict[str, int], set[Run]]:
    """Return the number of jobs that are still to run, by rule, and those that are training runs.

    Raises:
        DataError: if Snakemake is not installed, or with its own message if it refuses the study.
    """
    if find_spec("snakemake") is None:
        raise DataError(
            f"plan: {sys.executable} has no Snakemake, which lists the jobs. Install it with"
            " `pip install --editable '.[workflow]'` in a clone of the repository."
        )
    command = [sys.executable, "-m", "snakemake", "-n", "--nolock"]
    command += ["--quiet", "host", "reason"]
    command += ["--snakefile", str(root / "Snakefile"), "--directory", str(folder), "--cores", "1"]
    if studies:
        command += ["--configfile", *map(str, studies)]
    if overrides:
        command += ["--config", *overrides]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        raise DataError(
            f"plan: Snakemake refuses the study.\n{result.stdout}{result.stderr}".rstrip()
        )
    table = result.stdout.split("Job stats:")[-1].split("\ntotal")[0]
    counts = re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)
    jobs = {name: int(count) for name, count in counts}
    found = TRAINING.findall(result.stdout)
    return jobs, {Run(dataset, protocol, arm, int(seed)) for dataset, protocol, arm, seed in found}
