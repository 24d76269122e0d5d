"""Checks of the configuration that the schema cannot make.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

from weaklesion.errors import DataError
from weaklesion.study.arm_checks import check_arms, refuse_nnunet
from weaklesion.study.arms import arm_definition, is_trained
from weaklesion.study.item_checks import check_item
from weaklesion.study.items import items_of
from weaklesion.study.protocols import Config, check_known, protocol_settings

# Folders of a study's results that stand beside those of the datasets.
TAKEN = ("benchmarks", "figures", "logs", "papers", "release", "tables")
WITHOUT_MASKS = ("deeplesion",)  # loaders of datasets without dense masks
# Names that tables would not bring back, beside numbers.
NO_NAMES = ("NA", "NaN", "nan", "NULL", "null", "None")
SUFFIXES = {"soft"}  # of targets made from the marks' ellipses, as names of other marks are


def check_config(config: Config) -> None:
    """Check that every name stands for something, and that all settings go together.

    Raises:
        DataError: naming the key, its value, and the allowed values or the remedy.
    """
    _check_names(config)
    _check_datasets(config)
    _check_protocols(config)
    for name in config["readers"].keys() & config["mark_noise"].keys():
        raise DataError(
            f"config: readers.{name}: is also a name in `mark_noise`. Rename one of them."
        )
    for name in SUFFIXES & (config["readers"].keys() | config["mark_noise"].keys()):
        raise DataError(
            f"config: mark_noise or readers: {name}: `ellipse_{name}.npy` is another target. Give"
            " these marks another name."
        )
    check_arms(config)
    if not items_of(config):
        raise DataError(
            f"config: select.datasets: no item is about {config['select']['datasets']}. Name in"
            " `like` the dataset of `experiments` that each of them stands for."
        )
    for item in config["select"].get("own_protocols", []):
        check_known("select.own_protocols", item, config["experiments"])
    for item in items_of(config):
        check_item(config, item)


def _check_names(config: Config) -> None:
    """Check that tables of results bring back the names that stand in them."""
    for kind in ("datasets", "protocols", "arms"):
        for name in config[kind]:
            if name in NO_NAMES or name.casefold() in ("true", "false") or _is_number(name):
                raise DataError(
                    f"config: {kind}.{name}: tables of results would be read back with a number, a"
                    " truth value or nothing in place of this name. Give it another one, such as"
                    f" v{name}."
                )


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _check_datasets(config: Config) -> None:
    """Check the names of datasets, and the datasets that they name."""
    datasets = config["datasets"]
    for name, definition in datasets.items():
        if name in TAKEN:
            raise DataError(
                f"config: datasets.{name}: results/{config['study']}/{name}/ is a folder of the"
                " workflow itself. Give the dataset another name."
            )
        check_known(f"datasets.{name}.like", definition.get("like", name), datasets)
        if definition.get("loader") in WITHOUT_MASKS and definition["reference"] == "dense":
            raise DataError(
                f"config: datasets.{name}.reference: dense: the loader {definition['loader']} reads"
                " no dense masks, because the dataset has none. Set reference: grabcut."
            )
        files_of = definition.get("files_of", name)
        check_known(f"datasets.{name}.files_of", files_of, datasets)
        if "files_of" in definition and not {"manifest", "phantom"} & set(datasets[files_of]):
            raise DataError(
                f"config: datasets.{name}.files_of: {files_of} has no files of its own. Name a"
                " dataset with a manifest or a phantom."
            )


def _check_protocols(config: Config) -> None:
    """Check the arms and datasets that protocols name."""
    for name in config["protocols"]:
        settings = protocol_settings(config, name)
        embedding_of = settings.get("clusters", {}).get("embedding_of")
        if embedding_of is not None:
            key = f"protocols.{name}.clusters.embedding_of"
            check_known(key, embedding_of, config["arms"])
            refuse_nnunet(config, key, embedding_of)
            _check_embedding(config, key, embedding_of)
        for exception in settings.get("exceptions", []):
            for kind in ("datasets", "arms"):
                for value in exception.get(kind, []):
                    check_known(f"protocols.{name}.exceptions.{kind}", value, config[kind])


def _check_embedding(config: Config, key: str, arm: str) -> None:
    """Check that the features of an arm's network can be clustered before others are trained."""
    if not is_trained(config, arm):
        problem = "is not trained itself, so that it has no features of its own"
    elif arm_definition(config, arm).get("clusters") == "embedding":
        problem = "is itself trained with clusters of features"
    else:
        return
    raise DataError(f"config: {key}: {arm} {problem}. Name an arm that is trained without them.")
