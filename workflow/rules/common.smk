# At hand in all rules: the study, and where its files lie. All logic is in the package.
import yaml

from weaklesion.data.sources import Sources
from weaklesion.study import arms
from weaklesion.study.code_tracking import module_files, path_from_here
from weaklesion.study.jobs import Jobs
from weaklesion.study.study import FIGURES, Study

study = Study(
    config, yaml.safe_load((Path(workflow.basedir) / "config.yaml").read_text())
)
layout = study.layout
jobs = Jobs(config, layout)
sources = Sources(config, workflow.basedir)

RESULTS = layout.results
STAGE = layout.stage()
PATCHES = layout.patches()
TARGETS = layout.targets()
CLUSTERS = layout.clusters()
RUN = layout.run()
SOURCE = Path("resources/{dataset}/{source}")
LOGS = RESULTS / "logs"
BENCHMARKS = RESULTS / "benchmarks"


wildcard_constraints:
    dataset="[^/]+",
    protocol="[^/]+",
    arm="[^/]+",
    source="[^/]+",
    file="[^/]+",
    seed="[0-9]+",
    k="[0-9]+",
    init="rect|trimap",


def shipped_file(path):
    """A file of the workflow's folder, as an input of a rule."""
    return path_from_here(Path(workflow.basedir) / path, workflow.basedir)


PUBLISHED_NUMBERS = shipped_file("workflow/resources/published_numbers.yaml")


def templates(*names):
    """Templates of the package's pages."""
    return [
        shipped_file(f"src/weaklesion/report/templates/{name}.html") for name in names
    ]


def growing(amount):
    """A resource that grows with every attempt, where a profile allows several."""
    return lambda wildcards, attempt: attempt * amount


def code_with_network(module):
    """Input function: files of a module, and those of the network that the arm has."""
    return lambda wildcards: module_files(module, jobs.network_module(wildcards))


def files_of_item(name, trained=False):
    """Input function: one file of each run of the rule's item, or of those that are trained."""

    def files(wildcards):
        runs = study.runs(wildcards.item)
        return layout.run_files(name, study.trained(runs) if trained else runs)

    return files


def of_item(key):
    """What the configuration says of the rule's item."""
    return lambda wildcards: study.item(wildcards.item)[key]


def downloads(wildcards):
    """All that the study needs over the network: raw files, and weights that trainings start from."""
    runs = [*study.all_runs, *study.all_trainings]
    datasets = dict.fromkeys(sources.files_of(run.dataset) for run in runs)
    weights = dict.fromkeys(
        path for run in study.all_trainings if (path := jobs.weights(run))
    )
    return [
        *(file for dataset in datasets for file in sources.downloaded(dataset)),
        *weights,
    ]
