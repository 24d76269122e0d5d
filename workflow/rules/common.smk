# Where things lie, and which settings a job gets. All logic is in the package.
import functools
import re

from snakemake.iocontainers import Wildcards

import yaml

from weaklesion.study import arms
from weaklesion.study import items as experiments
from weaklesion.study import protocols as switches
from weaklesion.study.claims import claimed_arms
from weaklesion.study.checks import check_config
from weaklesion.errors import DataError
from weaklesion.data.manifest import is_archive, read_manifest
from weaklesion.marks.files import state_of_files
from weaklesion.study.paper_claims import CLAIMS
from weaklesion.study.paper_settings import other_settings
from weaklesion.data.phantoms import FILES as PHANTOM_FILES
from weaklesion.study.code_tracking import module_files, path_from_here
from weaklesion.networks.names import NETWORK_MODULES, PARTNER_MODELS

check_config(config)

RESULTS = Path("results") / config["study"]
STAGE = RESULTS / "{dataset}/{protocol}"
PATCHES = STAGE / "patches"
TARGETS = STAGE / "targets"
CLUSTERS = STAGE / "clusters"
RUN = STAGE / "runs/{arm}/seed-{seed}"
SOURCE = Path("resources/{dataset}/{source}")
LOGS = RESULTS / "logs"
BENCHMARKS = RESULTS / "benchmarks"


def shipped_file(path):
    """A file of the workflow's folder, as an input of a rule."""
    return path_from_here(Path(workflow.basedir) / path, workflow.basedir)


PUBLISHED_NUMBERS = shipped_file("workflow/resources/published_numbers.yaml")


wildcard_constraints:
    dataset="[^/]+",
    protocol="[^/]+",
    arm="[^/]+",
    source="[^/]+",
    file="[^/]+",
    seed="[0-9]+",
    k="[0-9]+",
    init="rect|trimap",


def growing(amount):
    """A resource that grows with every attempt, where a profile allows several."""
    return lambda wildcards, attempt: attempt * amount


def in_workflow(path):
    """A path of the configuration: relative to the workflow's folder, or to where one works."""
    shipped = Path(workflow.basedir) / path
    return str(shipped) if shipped.exists() else path


def files_of(dataset):
    """The dataset whose raw files a dataset takes: its own, or those of another."""
    return config["datasets"][dataset].get("files_of", dataset)


def source_label(dataset):
    """Label of where a dataset's raw files are from."""
    return config["datasets"][files_of(dataset)]["source"]


def dataset_source(wildcards):
    """Folder of a dataset's raw files."""
    return (
        Path("resources")
        / files_of(wildcards.dataset)
        / source_label(wildcards.dataset)
    )


@functools.cache
def manifest_rows(dataset):
    """Rows of the manifest of a dataset, or of the ImageNet weights, by file name."""
    holder = config["datasets"].get(dataset, config["imagenet_weights"])
    return read_manifest(in_workflow(holder["manifest"]))


def is_phantom(dataset):
    """Whether a dataset is made by the workflow."""
    return "phantom" in config["datasets"].get(dataset, {})


def phantom_manifest(wildcards):
    """Manifest of a phantom, which exists only once it is made; nothing for other datasets."""
    source = dataset_source(wildcards) if is_phantom(wildcards.dataset) else None
    return source / "phantom/manifest.csv" if source else []


def manifest_row(wildcards):
    """A file's row, so that only what a row says of it re-runs its download; none of a phantom."""
    if is_phantom(wildcards.dataset):
        return {}
    return manifest_rows(wildcards.dataset)[wildcards.file]


def source_files(wildcards):
    """Raw files of a dataset: (archives, tables, other files), as paths below `archives/`."""
    dataset = config["datasets"][files_of(wildcards.dataset)]
    if is_phantom(files_of(wildcards.dataset)):
        names = PHANTOM_FILES[dataset["loader"]]
    else:
        names = manifest_rows(files_of(wildcards.dataset))
    archives = [name for name in names if is_archive(name)]
    tables = [name for name in names if name.endswith(".csv")]
    others = [name for name in names if name not in [*archives, *tables]]
    return dataset.get("parts", archives), tables, others


def table_of_marks(dataset):
    """A group's own table of marks, from where one works."""
    named = Path(config["datasets"][dataset]["marks"]).expanduser()
    if not named.is_file():
        raise DataError(
            f"config: datasets.{dataset}.marks: there is no file {named}. Put the table of marks"
            f" there, or name it: --config 'datasets={{{dataset}: {{marks: FILE}}}}'."
        )
    return named


def patch_settings(wildcards):
    """Settings of a dataset's loader; of a table of marks, with the state of the images it names.

    As inputs of the rule these would fill the screen.
    """
    place = wildcards.dataset, wildcards.protocol
    settings = switches.patch_settings(config, *place)
    if loader_of(wildcards) == "custom":
        settings["state"] = state_of_files(
            table_of_marks(wildcards.dataset),
            *(["image", "mask"] if settings["dense"] else ["image"]),
            all_needed=settings["on_bad_sample"] == "error",
        )
    return settings


def downloaded_files(dataset):
    """Raw files of a dataset as they come; of DeepLesion the slices that are kept of each archive."""
    wildcards = Wildcards(fromdict={"dataset": dataset})
    if loader_of(wildcards) == "custom":
        return []
    archives, tables, others = source_files(wildcards)
    source = dataset_source(wildcards)
    kept = "extracted" if loader_of(wildcards) == "deeplesion" else "archives"
    return [source / kept / name for name in archives] + [
        source / "archives" / name for name in [*tables, *others]
    ]


def unpacked_sources(wildcards):
    """Folders of a dataset's unpacked archives, and files that need no unpacking."""
    if loader_of(wildcards) == "custom":
        return []
    archives, _, others = source_files(wildcards)
    source = dataset_source(wildcards)
    return [source / "extracted" / name for name in archives] + [
        source / "archives" / name for name in others
    ]


def source_table(wildcards):
    """Table of a dataset, if it has one."""
    if loader_of(wildcards) == "custom":
        return table_of_marks(wildcards.dataset)
    _, tables, _ = source_files(wildcards)
    if len(tables) > 1:
        names = ", ".join(tables)
        raise DataError(f"{wildcards.dataset}: one table is needed, not {names}.")
    return dataset_source(wildcards) / "archives" / tables[0] if tables else []


def loader_of(wildcards):
    """Name of the module that loads a dataset."""
    return config["datasets"][wildcards.dataset]["loader"]


def loaded_by(loader, negate=False):
    """Wildcard pattern of the datasets of one loader, or of all others."""
    names = [
        name
        for name, dataset in config["datasets"].items()
        if (dataset["loader"] == loader) != negate
    ]
    return "|".join(map(re.escape, names)) or "none"


def is_dense(dataset):
    """Whether a dataset has a dense reference."""
    return config["datasets"][dataset]["reference"] == "dense"


def reference_of(wildcards):
    """What a dataset's predictions are scored against."""
    if is_dense(wildcards.dataset):
        path = PATCHES / "reference.npy"
    else:
        init = switch("supervision", "grabcut")(wildcards)["init"]
        path = TARGETS / f"grabcut_{init}.npy"
    return str(path).format(**wildcards)


def reference_ids_of(wildcards):
    """Table with the ids of those references."""
    dense = is_dense(wildcards.dataset)
    path = PATCHES / "samples.csv" if dense else TARGETS / "ellipses.csv"
    return str(path).format(**wildcards)


def dense_reference_of(wildcards):
    """The dense reference of a dataset that has one."""
    path = str(PATCHES / "reference.npy").format(**wildcards)
    return path if is_dense(wildcards.dataset) else []


def channel_order_of(wildcards):
    """How a dataset's patches are shown: colours, or the middle channel in grey."""
    settings = switches.patch_settings(config, wildcards.dataset, wildcards.protocol)
    return settings.get("channel_order", "center")


def switch(stage, key):
    """A switch of the job's protocol, for its dataset."""
    return lambda wildcards: switches.stage_settings(
        config, wildcards.dataset, wildcards.protocol, stage
    )[key]


def clusters_of(wildcards):
    """Clusters that an arm's second task, or its pairs, need; nothing for the other arms."""
    k = arms.num_clusters(config, wildcards.dataset, wildcards.arm)
    kind = arm_of(wildcards).get("clusters")
    ending = "" if kind == "shape" else f"_{kind}"
    clusters = str(CLUSTERS / "k{k}{ending}.csv").format(
        k=k, ending=ending, **wildcards
    )
    return [] if k is None else clusters


def arm_of(wildcards):
    """Definition of an arm."""
    return arms.arm_definition(config, wildcards.arm)


def of_arm(key):
    """Input function: what an arm's definition says, or None."""
    return lambda wildcards: arm_of(wildcards).get(key)


def code_with_network(module):
    """Input function: files of a module, and those of the network that the arm has."""

    def files(wildcards):
        network = NETWORK_MODULES[arm_of(wildcards)["model"]]
        return module_files(module, f"networks.{network}")

    return files


def partner_of(wildcards):
    """How an arm's images get a partner."""
    return arm_of(wildcards).get("partner", "nearest")


def network_file(name):
    """Input function: a file of the run whose network an arm predicts with."""
    return lambda wildcards: str(RUN / name).format(
        **dict(wildcards)
        | {"arm": arm_of(wildcards).get("network_of") or wildcards.arm}
    )


def weights_file(wildcards):
    """Weights that an arm predicts with: those that the checkpoint rule kept, or the last."""
    last = arm_of(wildcards).get("weights_of") == "last"
    return network_file("last.safetensors" if last else "model.safetensors")(wildcards)


def embedding_file(name):
    """Input function: a file of the run whose network embeds a dataset's lesions."""
    return lambda wildcards: str(RUN / name).format(
        **dict(wildcards),
        arm=switch("clusters", "embedding_of")(wildcards),
        seed=config["seeds"][0],
    )


def starts_from(wildcards):
    """Network whose encoder a training starts from; nothing for the other arms."""
    other = arm_of(wildcards).get("starts_from")
    model = str(RUN / "model.safetensors")
    return model.format(**dict(wildcards) | {"arm": other}) if other else []


def training_prompts_of(wildcards):
    """Ellipses of the marks, for networks that see them; nothing for the other arms."""
    return (
        str(TARGETS / "ellipses.csv").format(**wildcards)
        if arms.is_prompted(config, wildcards.arm)
        else []
    )


def warp_of(wildcards):
    """How far an arm's images are warped, where that is chosen; nothing for the other arms."""
    place = wildcards.dataset, wildcards.protocol, wildcards.arm
    arm = arms.warp_arm(config, *place)
    choice = str(STAGE / "warps/{arm}.json")
    return [] if arm is None else choice.format(**dict(wildcards) | {"arm": arm})


def given_marks_of(wildcards):
    """Ellipses of the marks that an arm is given: as they are, or perturbed."""
    marks = arm_of(wildcards).get("marks")
    ending = f"_{marks}" if marks else ""
    return str(TARGETS / "ellipses{ending}.csv").format(ending=ending, **wildcards)


def takes_nearest(wildcards):
    """Whether an arm's images are predicted with the nearest partner."""
    nearest = partner_of(wildcards) == "nearest"
    return nearest and arm_of(wildcards)["model"] in PARTNER_MODELS


def partner_embeddings_of(wildcards):
    """Embeddings that partners are chosen by, where pairs come from clusters of those."""
    by_embedding = arm_of(wildcards).get("clusters") == "embedding"
    needed = takes_nearest(wildcards) and by_embedding
    return str(CLUSTERS / "embeddings.npy").format(**wildcards) if needed else []


def partner_ellipses_of(wildcards):
    """Ellipses that prediction reads: of marks that are seen, or that partners are chosen by."""
    if arms.is_prompted(config, wildcards.arm):
        return given_marks_of(wildcards)
    needed = takes_nearest(wildcards) and not partner_embeddings_of(wildcards)
    return str(TARGETS / "ellipses.csv").format(**wildcards) if needed else []


def partner_clusters_of(wildcards):
    """Clusters that partners are chosen from; nothing for arms that need no partner."""
    return clusters_of(wildcards) if partner_ellipses_of(wildcards) else []


def epochs_of(wildcards):
    """Run whose number of epochs an arm is trained for; nothing for the other arms."""
    other = arm_of(wildcards).get("epochs_of")
    run = str(STAGE / "runs/{other}/seed-{seed}/run.json")
    return run.format(other=other, **wildcards) if other else []


def target_of(wildcards):
    """Target that an arm is trained on, or that is taken as its prediction."""
    target = arm_of(wildcards)["target"]
    if target == "dense":
        return reference_of(wildcards)
    if target == "grabcut":
        init = switch("supervision", "grabcut")(wildcards)["init"]
        target = f"grabcut_{init}"
    elif arms.is_soft(config, wildcards.dataset, wildcards.protocol, wildcards.arm):
        target = f"{target}_soft"
    elif arm_of(wildcards).get("marks"):
        target = f"{target}_{arm_of(wildcards)['marks']}"
    return str(TARGETS / "{target}.npy").format(target=target, **wildcards)


def target_ids_of(wildcards):
    """Table with the ids of that target."""
    if arm_of(wildcards)["target"] == "dense":
        return reference_ids_of(wildcards)
    return given_marks_of(wildcards)


def training_settings(wildcards):
    """Settings of one arm's training."""
    return arms.training_settings(
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


def has_crf(config, arm):
    """Whether an arm's predictions go through the CRF."""
    return bool(arms.arm_definition(config, arm).get("crf"))


def arms_matching(chosen):
    """Wildcard pattern of the arms of which `chosen(config, arm)` holds, and of their variants."""
    names = [arm for arm in config["arms"] if chosen(config, arm)]
    joined = "|".join(map(re.escape, names)) or "none"
    return f"({joined})(~[a-z]+[0-9.]+)?"


def run_files(name, runs):
    """One file of each of some runs."""
    return [str(RUN / name).format(**run._asdict()) for run in runs]


def trained_runs(runs):
    """Those of some runs that are trained."""
    return [run for run in runs if arms.is_trained(config, run.arm)]


def item_runs(item, trained=False):
    """Runs of an item of the experiments: all, or those that are trained."""
    runs = experiments.runs_of(config, [item])
    return trained_runs(runs) if trained else runs


def files_of_item(name, trained=False):
    """Input function: one file of each run of the rule's item."""
    return lambda wildcards: run_files(name, item_runs(wildcards.item, trained))


def of_item(key):
    """What the configuration says of the rule's item."""
    return lambda wildcards: config["experiments"][wildcards.item][key]


def items_matching(*kinds):
    """Wildcard pattern of the items of some kinds."""
    return "|".join(map(re.escape, experiments.items_of(config, *kinds))) or "none"


ITEMS = experiments.items_of(config, *experiments.KINDS)
TABLE1_RUNS = item_runs("table1")
TABLE1_TRAININGS = item_runs("table1", trained=True)
ALL_TRAININGS = experiments.trainings_of(config, ITEMS)
# Runs that the paper's claims are judged by: not those with one switch flipped. A study without any
# has a page that says so, of Table 1's runs.
CLAIMED_ARMS = claimed_arms(CLAIMS)
JUDGED_ITEMS = experiments.items_of(config, "scores", "cost", "parameters", "sweep")
CLAIMED_RUNS = experiments.runs_of_arms(
    experiments.runs_of(config, JUDGED_ITEMS), CLAIMED_ARMS
)
JUDGED_RUNS = CLAIMED_RUNS or TABLE1_RUNS
JUDGED_TRAININGS = trained_runs(JUDGED_RUNS)
TABLE1_BLOCKS = list(dict.fromkeys((run.dataset, run.protocol) for run in TABLE1_RUNS))


def downloads(wildcards):
    """All that the study needs over the network: raw files, and weights that trainings start from."""
    runs = [*experiments.runs_of(config, ITEMS), *ALL_TRAININGS]
    datasets = dict.fromkeys(files_of(run.dataset) for run in runs)
    files = [file for dataset in datasets for file in downloaded_files(dataset)]
    weights = [weights_of(Wildcards(fromdict=run._asdict())) for run in ALL_TRAININGS]
    return files + list(dict.fromkeys(path for path in weights if path))


# Items whose test images are drawn with contours, and the runs of each.
DRAWN_RUNS = {
    item: item_runs(item)
    for item in ITEMS
    if config["experiments"][item].get("contours", False)
}


def blocks_of(runs):
    """Datasets and protocols of some runs, each once."""
    return list(dict.fromkeys((run.dataset, run.protocol) for run in runs))


# Whose samples are accounted for in the report.
SHOWN_BLOCKS = blocks_of(run for runs in DRAWN_RUNS.values() for run in runs)
CONTOUR_BLOCKS = blocks_of(
    run
    for item, runs in DRAWN_RUNS.items()
    if config["experiments"][item]["kind"] == "scores"
    for run in runs
)


def drawing_item(wildcards):
    """Item whose arms' contours are drawn: the rule's, or the first of scores with the block."""
    if "item" in wildcards.keys():
        return wildcards.item
    block = wildcards.dataset, wildcards.protocol
    items = [
        item
        for item, runs in DRAWN_RUNS.items()
        if config["experiments"][item]["kind"] == "scores" and block in blocks_of(runs)
    ]
    return items[0] if items else "table1"  # whose figures any study can ask for


def drawn_runs(wildcards):
    """Runs of a block whose contours are drawn, the first seed of each arm."""
    item = drawing_item(wildcards)
    block = wildcards.dataset, wildcards.protocol
    drawn = experiments.drawn_arms(config, item)
    return [
        run
        for run in item_runs(item)
        if (run.dataset, run.protocol) == block
        and run.arm in drawn
        and run.seed == experiments.seeds_of(config, item, run.arm)[0]
    ]


def ranked_by(wildcards):
    """Arm by which images of a block are ranked: the study's, or its last with a network."""
    drawn = [
        run.arm for run in drawn_runs(wildcards) if arms.has_network(config, run.arm)
    ]
    chosen = config["figures"]["ranked_by"]
    return chosen if chosen in drawn else drawn[-1]


def table1_trainings(wildcards):
    """Trainings of Table 1 on one dataset under one protocol."""
    block = wildcards.dataset, wildcards.protocol
    return [run for run in TABLE1_TRAININGS if (run.dataset, run.protocol) == block]


def warp_figures(runs):
    """Figures of the warps of those arms among some runs for which a warp is chosen."""
    places = dict.fromkeys(
        (run.dataset, run.protocol, run.arm)
        for run in trained_runs(runs)
        if arms.warp_arm(config, run.dataset, run.protocol, run.arm) == run.arm
    )
    return [f"figures/warps.{'.'.join(place)}.png" for place in places]


def described_runs(runs, **files):
    """Runs as plain settings of a script, each with its network and some of its files."""
    return [
        run._asdict()
        | {"network": experiments.network_of(config, run)}
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
        settings = switches.protocol_settings(config, protocol)
        choices[protocol] = settings["scoring"]
    return choices


PAPER = yaml.safe_load((Path(workflow.basedir) / "config.yaml").read_text())


def judged_training(run):
    """A training as the rule of the verdicts needs it, with what is not as in the paper."""
    (described,) = described_runs([run], scores="scores.csv", run="run.json")
    return described | {"other_settings": other_settings(config, PAPER, run)}


def judging_choices(runs):
    """How each protocol of some runs scores, and whether it is the released code's."""
    return {
        protocol: choice
        | {
            "is_released": "released"
            in switches.bases_of(config, "protocols", protocol)
        }
        for protocol, choice in scoring_choices(runs).items()
    }


def undefined_policies(runs):
    """What an empty prediction counts as under each protocol of some runs."""
    return {
        protocol: choice["undefined"]
        for protocol, choice in scoring_choices(runs).items()
    }


def patch_accounts(blocks):
    """Accounts of the samples of some datasets and protocols."""
    return [
        {
            "dataset": dataset,
            "protocol": protocol,
            "source": source_label(dataset),
            "patches": str(PATCHES / "patches.json").format(
                dataset=dataset, protocol=protocol
            ),
        }
        for dataset, protocol in blocks
    ]


def marked_blocks(item):
    """Samples and true marks of each dataset and protocol of an item."""
    files = {"samples": PATCHES / "samples.csv", "ellipses": TARGETS / "ellipses.csv"}
    return [
        {"dataset": dataset, "protocol": protocol}
        | {
            key: str(path).format(dataset=dataset, protocol=protocol)
            for key, path in files.items()
        }
        for dataset, protocol in blocks_of(item_runs(item))
    ]


def marked_runs(item):
    """Runs of an item with their masks, and how far the marks that each was given are perturbed."""
    runs = item_runs(item)
    described = described_runs(
        runs, predictions="predictions.npy", ids="predictions.csv"
    )
    noises = [arms.arm_definition(config, run.arm).get("marks") for run in runs]
    return [
        run | {"mark_noise": config["mark_noise"][noise] if noise else 0.0}
        for run, noise in zip(described, noises)
    ]


def figures_of_item(item):
    """Figures of an item, one of each dataset and protocol."""
    return [
        {"dataset": dataset, "protocol": protocol}
        | {"figure": str(RESULTS / f"figures/{item}.{dataset}.{protocol}.png")}
        for dataset, protocol in blocks_of(item_runs(item))
    ]


def recoveries_of(item):
    """How well marks were recovered when the constants of an item's arms were chosen."""
    recoveries = []
    for recovery in experiments.recoveries_of_item(config, item):
        warp = STAGE / "warps" / recovery["of"]
        files = {
            "prior_weight": (
                TARGETS / "refined_recovery.csv",
                TARGETS / "refined_choice.json",
            ),
            "max_amplitude": (f"{warp}_recovery.csv", f"{warp}.json"),
        }[recovery["constant"]]
        place = {key: recovery[key] for key in ("dataset", "protocol")}
        measured, choice = (str(path).format(**place) for path in files)
        recoveries.append(recovery | {"recovery": measured, "choice": choice})
    return recoveries


def models_of(item):
    """Networks of an item that `weaklesion segment` takes, the first seed of each."""
    first = {}
    for run in item_runs(item, trained=True):
        if arms.is_prompted(config, run.arm):
            first.setdefault(run[:3], run)
    models = []
    for run in first.values():
        prompt = training_settings(run)["prompt"]
        settings = switches.patch_settings(config, run.dataset, run.protocol)
        grey = settings.get("channel_order", "center") == "center"
        models.append(
            {"dataset": run.dataset, "protocol": run.protocol, "arm": run.arm}
            | {"model": str(RUN).format(**run._asdict())}
            | {"window_hu": settings.get("window_hu") if grey else None}
            | {"saw_noise": prompt["mark_noise"] > 0}
        )
    return models


def files_for(item):
    """Files of an item: what its target makes."""
    kind = config["experiments"][item]["kind"]
    tables = [f"tables/{item}.csv", f"tables/{item}.html"]
    figures = [f"figures/{item}.svg", f"figures/{item}.png"]
    files = {
        "sweep": tables[:1] + figures,
        "cost": [*tables, *figures],
        "gap": [*tables, *figures],
        "mark_agreement": [*tables, f"tables/{item}.recovery.csv"],
    }.get(kind, tables)
    if item in DRAWN_RUNS:
        runs = DRAWN_RUNS[item]
        drawn = "contours" if kind == "scores" else item
        files = files + [
            *(f"figures/{drawn}.{'.'.join(block)}.png" for block in blocks_of(runs)),
            *warp_figures(runs),
        ]
    return [RESULTS / file for file in files]


def traits_of_item(item):
    """What is known of the test samples of each dataset and protocol of an item."""
    places = dict.fromkeys((run.dataset, run.protocol) for run in item_runs(item))
    return [
        {
            "dataset": dataset,
            "protocol": protocol,
            "traits": str(STAGE / "traits.csv").format(
                dataset=dataset, protocol=protocol
            ),
        }
        for dataset, protocol in places
    ]


def templates(*names):
    """Templates of the package's pages."""
    return [shipped_file(f"src/weaklesion/report/templates/{name}.html") for name in names]


FIGURES = [
    "training_curves",
    "contours",
    "supervision",
    "clusters",
    "k_sweep",
    "angles",
]


def figure_files(figure):
    """Files of a figure of Table 1's runs, one or two of each dataset and protocol."""
    return [
        RESULTS / f"figures/{figure}.{dataset}.{protocol}.{suffix}"
        for dataset, protocol in TABLE1_BLOCKS
        for suffix in (["png"] if figure == "contours" else ["svg", "png"])
    ]


def chosen_k(wildcards):
    """Number of clusters that the arms of a dataset use."""
    return config["datasets"][wildcards.dataset]["num_clusters"]
