"""The paper's Table 1, as far as it is measured: Dice of each arm, from the kept tables."""

import math
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from doc_tables import markdown

from weaklesion.study.published import printed_cells, read_published

ARMS = {  # of the table, and what the paper calls them
    "fixed_ellipse": None,
    "ellipse": None,
    "a1": "A1",
    "a1l": "A1_L",
    "acoseg": "ACoseg",
}
HEADS = ["Dataset", "Network", "Tested on", "Seeds", "Fixed ellipse", "RECIST ellipse"]
HEADS += ["A1", "A1+L", "ACoseg"]


@dataclass(frozen=True)
class Measured:
    """A row of ours.

    Args:
        dataset: the paper's name of the dataset.
        network: encoder, initial weights and size of the inputs, in words.
        tested_on: what the scores are from, in words.
        table: file in `docs/results`.
        page: the page that says more, in `docs/results`.
    """

    dataset: str
    network: str
    tested_on: str
    table: str
    page: str


MEASURED = (
    Measured(
        "HAM10K",
        "ResNet-101 from scratch, 120 px",
        "1,002 images, split by lesion",
        "ham10k-paper/test_means.csv",
        "reproduction.md#ham10k-with-the-papers-own-network-on-a-gpu",
    ),
    Measured(
        "HAM10K",
        "EfficientNet-Lite0, ImageNet, 120 px",
        "1,002 images, split by lesion",
        "ham10k-native/last.csv",
        "reproduction.md#ham10k-at-the-papers-frame-with-a-pretrained-encoder",
    ),
    Measured(
        "HAM10K",
        "ResNet-18 from scratch, 64 px",
        "1,002 images, split by lesion",
        "ham10k-recipe/last.csv",
        "reproduction.md",
    ),
    Measured(
        "LiTS",
        "EfficientNet-Lite0, ImageNet, 64 px",
        "1,324 patches of 25 patients, five folds",
        "lits-cpu/table1_patches.csv",
        "lits.md",
    ),
)


def table1(results: Path, published_yaml: Path) -> str:
    """Return the table as Markdown: the paper's row of each dataset, and ours below."""
    published = read_published(published_yaml)
    names = {arm: name for arm, name in ARMS.items() if name}
    paper = printed_cells(published, "table1", names)
    rows = []
    for dataset in dict.fromkeys(key[0] for key in paper):
        cells = [_text(*paper.get((dataset, arm, "Dice"), (math.nan, math.nan))) for arm in ARMS]
        rows.append([dataset, "*the paper*", "", "", *cells])
        of_dataset = [one for one in MEASURED if one.dataset == dataset]
        rows += [_row(one, pd.read_csv(results / one.table)) for one in of_dataset]
        if not of_dataset:
            rows.append(["", "not measured", "", "", *[""] * len(ARMS)])
    return markdown(HEADS, rows)


def _row(measured: Measured, table: pd.DataFrame) -> list[str]:
    if "metric" in table:
        dice = table[table["metric"] == "dice"].set_index("arm")
        seeds = {arm: int(dice["n_seeds"][arm]) for arm in ARMS if arm in dice.index}
        cells = {arm: _text(dice["mean"][arm], dice["std"][arm]) for arm in seeds}
    else:  # single training runs
        dice = table.set_index("arm")
        seeds = {arm: 1 for arm in ARMS if arm in dice.index}
        cells = {arm: _text(100 * dice["dice"][arm], math.nan) for arm in seeds}
    trained = {seeds[arm] for arm in ("a1", "a1l")}
    return [
        "",
        f"[{measured.network}]({measured.page})",
        measured.tested_on,
        " or ".join(map(str, sorted(trained))),
        *(cells.get(arm, "") for arm in ARMS),
    ]


def _text(mean: float, std: float) -> str:
    if math.isnan(mean):
        return ""
    return f"{mean:.2f}" if math.isnan(std) else f"{mean:.2f} ± {std:.2f}"
