"""The paper's printed numbers, by item, dataset, arm and column."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from weaklesion.study.protocols import Config, check_known
from weaklesion.support.yaml_files import read_yaml

PAPER_ENCODER = "resnet101"  # of the printed hours and parameters
# Names of columns in the other tables, and in Table 1.
COLUMNS = {"CircumfError": "PerimeterError"}
# Rows of the tables on supervision and backbones, and the arms that they stand for. Table 6 names
# no arm, but its numbers are those of A1+L in Tables 3 to 5. DeepLabV3+ of Table 7 is A1.
ROWS = {
    "A1_GrabCut": "a1_grabcut",
    "A1_L_GrabCut": "a1l_grabcut",
    "A1_Ellipse": "a1",
    "A1_L_Ellipse": "a1l",
    "GrabCut": "a1l_grabcut",
    "Ellipse": "a1l",
    "FullySupervised": "a1l_dense",
    "UNet": "unet",
    "DeepLabV3Plus": "a1",
}
SUPERVISION = {
    "table3": ("table3_NIH_DeepLesion_supervision", "NIH_DeepLesion"),
    "table4": ("table4_LiTS_supervision", "LiTS"),
    "table5": ("table5_HAM10K_supervision", "HAM10K"),
}
DICE_ONLY = {"table6": "table6_supervision_dice", "table7": "table7_backbone_dice"}

Printed = tuple[float, float]  # mean and standard deviation; nan if not printed
Cells = dict[tuple[str, str, str], Printed]  # by dataset, arm and column of Table 1


def read_published(published_yaml: str | Path) -> dict[str, Any]:
    """Read the file of published numbers."""
    content: dict[str, Any] = read_yaml(published_yaml)
    return content


def printed_cells(
    published: Mapping[str, Any], item: str, published_arms: Mapping[str, str]
) -> Cells:
    """Return the printed cells of a table, by the paper's dataset, our arm and Table 1's column.

    Args:
        published: the file of published numbers.
        item: `table1`, `table3` to `table7`, or a table of `other_papers`, whose rows have the
            names of our arms. Any other item has no such cells.
        published_arms: names of arms in Table 1, by our names.
    """
    cells: Cells = {}
    if item == "table1":
        for dataset, arms in published["table1"].items():
            for arm, name in published_arms.items():
                for column, value in arms.get(name, {}).items():
                    cells[(dataset, arm, column)] = (float(value["mean"]), float(value["std"]))
    elif item in published["other_papers"]:
        for dataset, arms in published["other_papers"][item].items():
            for arm, columns in arms.items():
                for column, (mean, std) in columns.items():
                    cells[(dataset, arm, column)] = (float(mean), float(std))
    elif item in SUPERVISION:
        key, dataset = SUPERVISION[item]
        for row, columns in published[key].items():
            for column, value in columns.items():
                place = dataset, ROWS[row], COLUMNS.get(column, column)
                cells[place] = (float(value), math.nan)
    elif item in DICE_ONLY:
        for dataset, rows in published[DICE_ONLY[item]].items():
            for row, value in rows.items():
                if row != "note":
                    cells[(dataset, ROWS[row], "Dice")] = (float(value), math.nan)
    return cells


def check_published(config: Config, published: Mapping[str, Any]) -> None:
    """Check that the papers' tables have every dataset and arm that the configuration says.

    Raises:
        DataError: naming the key, its value and the names in the tables.
    """
    tables = (published["table1"], *published["other_papers"].values())
    names = {
        "datasets": sorted({dataset for table in tables for dataset in table}),
        "arms": sorted({*ROWS, *(arm for rows in published["table1"].values() for arm in rows)}),
    }
    for kind, known in names.items():
        for name, definition in config[kind].items():
            if "published" in definition:
                check_known(f"{kind}.{name}.published", definition["published"], known)


def printed_gain(
    published: Mapping[str, Any], dataset: str, arm: str, baseline: str, metric: str
) -> float:
    """Return the printed gain of an arm over its baseline, in percent points or px.

    Args:
        published: the file of published numbers.
        dataset: the papers' name of the dataset.
        arm: our arm.
        baseline: our arm without the auxiliary task.
        metric: `dice`, or `hausdorff`, which Table 1 of Chu et al. calls AVD (M1).

    Returns:
        The gain; nan if no table prints both arms.
    """
    for item in ("table1", *published["other_papers"]):
        distance = "AVD" if item == "table1" else "Hausdorff"
        column = {"dice": "Dice", "hausdorff": distance}[metric]
        cells = printed_cells(published, item, {"a1": "A1", "a1l": "A1_L", "acoseg": "ACoseg"})
        both = [cells.get((dataset, name, column)) for name in (arm, baseline)]
        if both[0] is not None and both[1] is not None:
            return both[0][0] - both[1][0]
    return math.nan


def printed_choice(published: Mapping[str, Any], over: str, dataset: str) -> float:
    """Return the value that the paper chose for a setting that it swept; nan if not printed.

    Args:
        published: the file of published numbers.
        over: `k`, `alpha` or `samples`.
        dataset: the paper's name of the dataset; alpha is the same for all of them.
    """
    if dataset not in published["K_opt"] or over not in ("k", "alpha"):
        return math.nan
    if over == "alpha":
        return float(published["hyperparameters_as_stated"]["alpha_seg"])
    return float(published["K_opt"][dataset])


def printed_parameters(published: Mapping[str, Any], arm: str, dataset: str) -> int | None:
    """Return the printed number of parameters of an arm's network; None if not printed.

    Args:
        published: the file of published numbers.
        arm: our arm.
        dataset: the paper's name of the dataset, whose K decides the network of A1+L.
    """
    numbers = published["section_7_6_parameter_counts"]
    by_arm: dict[str, int | None] = {
        "a1": numbers["A1"],
        "a1l": numbers["A1_L"].get(dataset),
        "acoseg_released": numbers["ACoseg"],
    }
    return by_arm.get(arm)
