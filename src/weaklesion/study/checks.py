"""Checks of the configuration that the schema cannot make.

Uses only the standard library, because Snakemake's own interpreter reads it.
"""

from collections.abc import Mapping
from typing import Any, NoReturn

from weaklesion.errors import DataError
from weaklesion.study.arm_checks import check_arms, refuse_nnunet
from weaklesion.study.arms import arm_definition, is_trained
from weaklesion.study.item_checks import check_item
from weaklesion.study.items import items_of, needed_arms
from weaklesion.study.protocols import Config, check_known, protocol_settings
from weaklesion.support.listing import listed

# Folders of a study's results that stand beside those of the datasets.
TAKEN = ("benchmarks", "figures", "logs", "papers", "release", "tables")
WEIGHTS = "imagenet_weights"  # folder of `resources/` beside those of the datasets
# Size of a phantom that only this loader's has.
SIZE_OF_PHANTOM = {"ham10k": "num_images", "lits": "num_volumes", "deeplesion": "num_series"}
SAME_FILES = {"lits_liver": "lits"}  # loaders that read the files of another one
WITHOUT_MASKS = ("deeplesion",)  # loaders of datasets without dense masks
# Names that tables would not bring back, beside numbers.
NO_NAMES = ("NA", "NULL", "null", "None")
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
        _refuse_no_items(config)
    for item in config["select"].get("own_protocols", []):
        check_known("select.own_protocols", item, config["experiments"])
    for item in items_of(config):
        check_item(config, item)


def _check_names(config: Config) -> None:
    """Check that names have folders of their own and that tables of results bring them back."""
    for kind in ("datasets", "protocols", "arms", "experiments", "mark_noise", "readers"):
        first: dict[str, str] = {}
        for name in config[kind]:
            if first.setdefault(name.casefold(), name) != name:
                raise DataError(
                    f"config: {kind}.{name}: differs from {first[name.casefold()]} in upper and"
                    " lower case alone, so that the two would share their files where a file"
                    " system ignores case, as on macOS. Rename one of them."
                )
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


def _refuse_no_items(config: Config) -> NoReturn:
    """Say why the study has no item."""
    select = config["select"]
    if select["datasets"] is None:
        names = listed(select["items"] or list(config["experiments"]), 3)
        raise DataError(
            f"config: select.items: no dataset is named for {names}. Name some in"
            " experiments.ITEM.datasets, or select other items."
        )
    raise DataError(
        f"config: select.datasets: no item is about {select['datasets']}. Name in `like` the"
        " dataset of `experiments` that each of them stands for."
    )


def _check_datasets(config: Config) -> None:
    """Check the names of datasets, and the datasets that they name."""
    datasets = config["datasets"]
    for name, definition in datasets.items():
        if name.casefold() in TAKEN:
            raise DataError(
                f"config: datasets.{name}: results/{config['study']}/{name}/ is a folder of the"
                " workflow itself. Give the dataset another name."
            )
        if name.casefold() == WEIGHTS:
            raise DataError(
                f"config: datasets.{name}: resources/{name}/ is the folder of ImageNet weights."
                " Give the dataset another name."
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
        _check_loader(config, name, files_of)


def _check_loader(config: Config, name: str, files_of: str) -> None:
    """Check that a dataset's loader reads the files that the dataset has."""
    loader, theirs = (config["datasets"][dataset].get("loader") for dataset in (name, files_of))
    if SAME_FILES.get(loader, loader) != SAME_FILES.get(theirs, theirs):
        raise DataError(
            f"config: datasets.{name}.files_of: the files of {files_of} are those of the loader"
            f" {theirs}, which the loader {loader} does not read. Name another dataset or loader."
        )
    phantom = config["datasets"][name].get("phantom")
    if phantom is None:
        return
    if loader not in SIZE_OF_PHANTOM:
        raise DataError(
            f"config: datasets.{name}.phantom: the loader {loader} has no phantom of its own. Name"
            " in files_of a dataset that has one, or set another loader."
        )
    if SIZE_OF_PHANTOM[loader] not in phantom:
        raise DataError(
            f"config: datasets.{name}.phantom: a phantom for the loader {loader} has"
            f" {SIZE_OF_PHANTOM[loader]}, which this one lacks. Set the sizes of such a phantom, or"
            " the loader of this one."
        )


def _check_protocols(config: Config) -> None:
    """Check the arms and datasets that protocols name."""
    for name in config["protocols"]:
        settings = protocol_settings(config, name)
        _check_embedding(config, f"protocols.{name}", settings)
        for exception in settings.get("exceptions", []):
            _check_embedding(config, f"protocols.{name}.exceptions", exception)
            for kind in ("datasets", "arms"):
                for value in exception.get(kind, []):
                    check_known(f"protocols.{name}.exceptions.{kind}", value, config[kind])


def _check_embedding(config: Config, key: str, switches: Mapping[str, Any]) -> None:
    """Check that the features of an arm's network can be clustered before others are trained."""
    arm = switches.get("clusters", {}).get("embedding_of")
    if arm is None:
        return
    key = f"{key}.clusters.embedding_of"
    check_known(key, arm, config["arms"])
    refuse_nnunet(config, key, arm)
    if not is_trained(config, arm):
        raise DataError(
            f"config: {key}: {arm} is not trained itself, so that it has no features of its own."
            " Name an arm that is."
        )
    needed = [arm]
    for name in needed:
        if arm_definition(config, name).get("clusters") == "embedding":
            by_way = "" if name == arm else f", which {arm} needs,"
            raise DataError(
                f"config: {key}: {name}{by_way} is itself trained with clusters of features. Name"
                " an arm that is trained without them."
            )
        needed += [other for other in needed_arms(config, name) if other not in needed]
