# For all rules: the study, and where its files lie. All logic is in the package.
import gc
from functools import cache
from types import SimpleNamespace

from weaklesion.data.sources import Sources
from weaklesion.study import arms
from weaklesion.study.code_tracking import PACKAGE, module_files, path_from_here
from weaklesion.study.item_checks import check_item_names
from weaklesion.study.jobs import Jobs
from weaklesion.study.labels import dataset_labels, labels_of
from weaklesion.study.layout import FIGURES
from weaklesion.study.published import check_published, read_published
from weaklesion.study.study import Study
from weaklesion.support.yaml_files import read_yaml

if not IS_MODULE:
    # planning creates millions of objects but no garbage, for which Python would search again and again
    gc.set_threshold(200_000)

clone = Path(str(workflow.current_basedir)).resolve().parents[1]
study = Study(config, read_yaml(clone / "config.yaml"))
check_item_names(config, [clone / "Snakefile", *clone.glob("workflow/rules/*.smk")])
layout = study.layout
jobs = Jobs(config, layout)
sources = Sources(config, clone)

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
    return path_from_here(clone / path, clone)


drawn_targets = [
    TARGETS / f"{name}.npy" for name in ("ellipse", "grabcut_rect", "grabcut_trimap")
]
PUBLISHED_NUMBERS = shipped_file("workflow/resources/published_numbers.yaml")
check_published(config, read_published(PUBLISHED_NUMBERS))

DATASET_FACTS = shipped_file("workflow/resources/datasets.yaml")
CHECKLISTS = shipped_file("workflow/resources/checklists.yaml")


def templates(*names):
    """Templates of the package's pages."""
    files = [PACKAGE / f"report/templates/{name}.html" for name in names]
    return [path_from_here(file, PACKAGE.parents[1]) for file in files]


def growing(amount):
    """A resource that grows with every attempt, where a profile allows several."""
    return lambda wildcards, attempt: attempt * amount


@cache  # all jobs of a rule ask for the same files
def code_of(script, *modules):
    """Files of a script in `workflow/scripts`, and of modules and all that they import."""
    path = clone / f"workflow/scripts/{script}.py"
    return [path_from_here(path, clone), *module_files(*modules)]


def code_of_arm(script, module, tasks=None):
    """Input function: the same, with the arm's network, and its task in `tasks`."""

    def files(wildcards):
        return code_of(script, module, *jobs.modules_of_arm(wildcards, tasks))

    return files


def files_of_item(*names, trained=False):
    """Input function: files of each run of the rule's item, or of each trained one."""

    def files(wildcards):
        runs = study.runs(wildcards.item)
        runs = study.trained(runs) if trained else runs
        return [file for name in names for file in layout.run_files(name, runs)]

    return files


def of_item(key):
    """What the configuration says of the rule's item."""
    return lambda wildcards: study.item(wildcards.item)[key]


def title_of_item(wildcards):
    """Title of the rule's item on its page, with a note on marks where there is one."""
    return study.title(wildcards.item)


def described_runs(trained=False, **files):
    """Runs of the rule's item, or only the trained ones, each with some of its files."""

    def runs(wildcards):
        all_runs = study.runs(wildcards.item)
        return study.described(
            study.trained(all_runs) if trained else all_runs, **files
        )

    return runs


def networks_of_item(wildcards):
    """Runs of the rule's item with a network, each with the record of its training."""
    return study.networks(study.runs(wildcards.item))


def trainings_of_item(wildcards):
    """Input function: the records of the training runs of these networks."""
    return list(dict.fromkeys(each["run"] for each in networks_of_item(wildcards)))


def scores_and_trainings(wildcards):
    """Input function: the scores of the rule's item, and the records of its training runs."""
    return files_of_item("scores.csv")(wildcards) + trainings_of_item(wildcards)


def undefined_policies(wildcards):
    """What an empty prediction counts as, by protocol of the rule's item."""
    return study.undefined_policies(study.runs(wildcards.item))


def drawn_files(*names):
    """Input function: files of the runs whose contours are drawn."""
    return lambda wildcards: [
        file
        for name in names
        for file in layout.run_files(name, study.drawn_runs(wildcards))
    ]


def accounts_of(blocks):
    """What became of the samples of some datasets under some protocols."""
    return [
        str(PATCHES / "patches.json").format(dataset=dataset, protocol=protocol)
        for dataset, protocol in blocks
    ]


def block_title(wildcards):
    """Title of a figure of one dataset under one protocol."""
    return study.block_title(wildcards.dataset, wildcards.protocol)


def item_labels(wildcards):
    """What readers call the datasets and arms of the rule's item."""
    return study.labels(study.runs(wildcards.item))


def block_labels(blocks):
    """What readers call the datasets of the given blocks."""
    return labels_of(config, [dataset for dataset, _ in blocks], [])


def downloads(wildcards):
    """All that the study downloads: raw files, and weights that training runs start from."""
    places = [place for item in study.items() for place in study.places(item)]
    places += study.blocks(study.all_trainings)
    datasets = dict.fromkeys(sources.files_of(dataset) for dataset, _ in places)
    weights = dict.fromkeys(
        path for run in study.all_trainings if (path := jobs.weights(run))
    )
    return [
        *(file for dataset in datasets for file in sources.downloaded(dataset)),
        *weights,
    ]


# For the papers that accompany a study's networks (papers.smk).


def tables_of_datasets(wildcards):
    """Each dataset's own table, if it has one: who the people are."""
    tables = (table_of(block["dataset"]) for block in described_blocks())
    return [table for table in dict.fromkeys(tables) if table]


def table_of(dataset):
    """A dataset's own table, or None."""
    return str(sources.table(SimpleNamespace(dataset=dataset)) or "") or None


def described_blocks(*_):
    """Blocks of the model card, each with its samples, its account and its dataset's table."""
    return [
        {"dataset": dataset, "protocol": protocol, "source": sources.label(dataset)}
        | {"samples": str(layout.patches(dataset, protocol) / "samples.csv")}
        | {"patches": str(layout.patches(dataset, protocol) / "patches.json")}
        | {"loader": sources.loader(dataset), "table": table_of(dataset)}
        for dataset, protocol in study.carded_blocks
    ]


def files_of_blocks(name):
    """A file of the patches of every block of the model card."""
    return [layout.patches(*block) / name for block in study.carded_blocks]


def paper(name, item):
    """A page of the papers, in the report."""
    return report(
        layout.papers / f"{name}.html",
        caption=f"../report/{name}.rst",
        category="Papers",
        labels={"item": item, "format": "page"},
    )
