# Where things lie, and which settings a job gets. All logic is in the package.
import sys

sys.path.insert(0, str(Path(workflow.basedir) / "src"))

from weaklesion import experiments
from weaklesion.sources import module_files

RESULTS = Path("results") / config["study"]
STAGE = RESULTS / "{dataset}/{protocol}"
PATCHES = STAGE / "patches"
TARGETS = STAGE / "targets"
CLUSTERS = STAGE / "clusters"
RUN = STAGE / "runs/{arm}/seed-{seed}"
SOURCE = Path("resources/{dataset}/{source}")
LOGS = RESULTS / "logs"
BENCHMARKS = RESULTS / "benchmarks"


PUBLISHED_NUMBERS = Path(workflow.basedir) / "workflow/resources/published_numbers.yaml"


wildcard_constraints:
    dataset="[^/]+",
    protocol="[^/]+",
    arm="[^/]+",
    source="[^/]+",
    file="[^/]+",
    seed="[0-9]+",
    k="[0-9]+",


def in_workflow(path):
    """A path of the configuration: relative to the workflow's folder, or to where one works."""
    shipped = Path(workflow.basedir) / path
    return str(shipped) if shipped.exists() else path


def dataset_source(wildcards):
    """Folder of a dataset's raw files."""
    source = config["datasets"][wildcards.dataset]["source"]
    return Path("resources") / wildcards.dataset / source


def manifest_of(wildcards):
    """Manifest of a dataset, of a phantom, or of the ImageNet weights."""
    if wildcards.dataset == "imagenet_weights":
        return in_workflow(config["imagenet_weights"]["manifest"])
    dataset = config["datasets"][wildcards.dataset]
    if "phantom" in dataset:
        return dataset_source(wildcards) / "phantom/manifest.csv"
    return in_workflow(dataset["manifest"])


def phantom(key):
    """A setting of a phantom, for the rule that makes it."""
    return lambda wildcards: config["datasets"][wildcards.dataset]["phantom"][key]


def switch(stage, key):
    """A switch of the job's protocol."""
    return lambda wildcards: experiments.protocol_settings(config, wildcards.protocol)[
        stage
    ][key]


def clusters_of(wildcards):
    """Clusters that an arm's second task needs; nothing for the other arms."""
    k = experiments.num_clusters(config, wildcards.dataset, wildcards.arm)
    clusters = str(CLUSTERS / "k{k}.csv").format(k=k, **wildcards)
    return [] if k is None else clusters


def target_of(wildcards):
    """Target that an arm is trained on, or that is taken as its prediction."""
    target = config["arms"][wildcards.arm]["target"]
    return str(TARGETS / "{target}.npy").format(target=target, **wildcards)


def training_settings(wildcards):
    """Settings of one arm's training."""
    return experiments.training_settings(
        config, wildcards.dataset, wildcards.protocol, wildcards.arm
    )


def weights_of(wildcards):
    """ImageNet weights of an arm's encoder; nothing if it starts from scratch."""
    settings = training_settings(wildcards)
    weights = config["imagenet_weights"]
    if settings["weights"] == "none":
        return []
    folder = Path("resources/imagenet_weights") / weights["source"] / "archives"
    return folder / weights["files"][settings["encoder"]]


def arms_matching(trained):
    """Wildcard pattern of the arms with a network, or without one."""
    names = [a for a in config["arms"] if experiments.is_trained(config, a) == trained]
    return "|".join(names) or "none"


def run_files(name, runs):
    """One file of each of some runs."""
    return [str(RUN / name).format(**run._asdict()) for run in runs]


TABLE1_RUNS = experiments.runs_of(config, ["table1"])
TABLE1_BLOCKS = list(dict.fromkeys((run.dataset, run.protocol) for run in TABLE1_RUNS))


def runs_of_block(wildcards, trained=False, first_seed=False):
    """Runs of one dataset and protocol: all, those with a network, or one a arm."""
    return [
        run
        for run in TABLE1_RUNS
        if (run.dataset, run.protocol) == (wildcards.dataset, wildcards.protocol)
        and (not trained or experiments.is_trained(config, run.arm))
        and (not first_seed or run.seed == experiments.seeds_of(config, run.arm)[0])
    ]


def described_runs(runs, **files):
    """Runs as plain settings of a script, each with some of its files."""
    return [
        run._asdict()
        | {key: str(RUN / name).format(**run._asdict()) for key, name in files.items()}
        for run in runs
    ]


def published_names(kind):
    """Our datasets or arms to their names in the paper's tables."""
    entries = config[kind].items()
    return {name: entry["published"] for name, entry in entries if "published" in entry}


def scoring_choices(runs):
    """How each protocol of some runs treats undefined values and names metrics."""
    protocols = dict.fromkeys(run.protocol for run in runs)
    choices = {}
    for protocol in protocols:
        switches = experiments.protocol_settings(config, protocol)
        choices[protocol] = switches["scoring"] | {
            "side_px": switches["patches"]["side_px"]
        }
    return choices
