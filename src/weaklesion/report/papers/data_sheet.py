"""The data sheet: where a study's data come from, what is in them, and what is missing."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from weaklesion.data.attributes import ATTRIBUTES, read_attributes
from weaklesion.data.samples import read_samples
from weaklesion.report.pages import write_page, write_table
from weaklesion.report.papers.facts import facts_of
from weaklesion.report.papers.subgroups import describe_people, subgroups_of
from weaklesion.splits import SPLITS
from weaklesion.study.labels import Labels
from weaklesion.support.files import read_json

logger = logging.getLogger(__name__)

# Facts of `workflow/resources/datasets.yaml`, in the order in which the page asks for them.
FACTS = {
    "title": "What",
    "described_in": "Described in",
    "source": "Source",
    "licence": "Licence",
    "restrictions": "What may not be done, or must be done",
    "modality": "Modality",
    "origin": "People, centres, design",
    "period": "Dates",
    "acquisition": "Acquisition",
    "deidentification": "Removal of identities",
    "reference": "Reference",
    "annotators": "Who made or checked it",
    "mark_definition": "Marks",
    "limits": "Limits",
}
PEOPLE_COLUMNS = ["dataset", "protocol", "attribute", "value", "split", "n_samples", "n_groups"]


def write_data_sheet(
    *,
    study: str,
    blocks: Sequence[Mapping[str, Any]],
    origins: Mapping[str, Mapping[str, str]],
    datasets_yaml: str | Path,
    labels: Labels | None = None,
    sheet_html: str | Path,
    people_csv: str | Path,
) -> None:
    """Write the data sheet of a study.

    Args:
        study: name of the study.
        blocks: dataset, protocol, `source` (its label), the paths `samples` and `patches`, and
            `loader` and `table` (path or None) of each dataset's own table.
        origins: dataset to its key in `datasets_yaml`, see `facts_of`.
        datasets_yaml: what is known of each dataset's origin.
        labels: what the page calls datasets, see `weaklesion.study.labels.labels_of`.
        sheet_html: written.
        people_csv: written: one row per block, attribute, subgroup and split: samples and groups.

    Raises:
        DataError: if samples or a table cannot be read.
    """
    facts = facts_of(datasets_yaml, origins, [block["dataset"] for block in blocks])
    shown, tables = [], []
    for block in blocks:
        samples = read_samples(block["samples"])
        people = describe_people(samples, read_attributes(block["loader"], block["table"]))
        counts = count_people(people)
        tables.append(counts.assign(dataset=block["dataset"], protocol=block["protocol"]))
        known = [name for name in ATTRIBUTES if name in set(counts["attribute"])]
        shown.append(
            {
                **block,
                "account": read_json(block["patches"]),
                "people": _rows(counts[counts["attribute"] != "size"]),
                "sizes": _rows(counts[counts["attribute"] == "size"]),
                "known": known,
                "missing": _missing(people, samples),
                "spacing": _spacing(samples),
            }
        )
    write_table(people_csv, pd.concat(tables)[PEOPLE_COLUMNS])
    write_page(
        sheet_html,
        "data_sheet.html",
        labels,
        study=study,
        blocks=shown,
        facts=[
            ([name for name, other in facts.items() if other == known], known)
            for number, known in enumerate(facts.values())
            if known not in list(facts.values())[:number]
        ],
        words=FACTS,
        splits=SPLITS,
    )
    logger.info("data sheet of %d datasets and protocols", len(blocks))


def count_people(people: pd.DataFrame) -> pd.DataFrame:
    """Return samples and groups of each subgroup and split.

    Args:
        people: table of `weaklesion.report.papers.subgroups.describe_people`.

    Returns:
        `attribute`, `value`, `split`, `n_samples`, `n_groups`; subgroups in the order in which
        they are shown, and every split of each.
    """
    rows = []
    for attribute, values in subgroups_of(people):
        for value in values.cat.categories:
            for split in SPLITS:
                chosen = people[(values == value) & (people["split"] == split)]
                rows.append([attribute, value, split, len(chosen), chosen["group"].nunique()])
    return pd.DataFrame(rows, columns=PEOPLE_COLUMNS[2:])


def _rows(counts: pd.DataFrame) -> list[dict[str, Any]]:
    """Return one row per subgroup, with the counts of each split by its name."""
    return [
        {"attribute": attribute, "value": value, "cells": rows.set_index("split").T.to_dict()}
        for (attribute, value), rows in counts.groupby(["attribute", "value"], sort=False)
    ]


def _missing(people: pd.DataFrame, samples: pd.DataFrame) -> dict[str, int]:
    """Return how many samples lack each value."""
    return {
        "sex": int((people["sex"] == "").sum()),
        "age": int(people["age"].isna().sum()),
        "site": int((people["site"] == "").sum()),
        "size of a pixel": int(samples[["mm_per_px_x", "mm_per_px_y"]].isna().any(axis=1).sum()),
    }


def _spacing(samples: pd.DataFrame) -> dict[str, float] | None:
    """Return smallest, median and largest mm per px of the patches; None where none is known."""
    spacing = samples[["mm_per_px_x", "mm_per_px_y"]].to_numpy(float).ravel()
    spacing = spacing[~np.isnan(spacing)]
    if not len(spacing):
        return None
    low, middle, high = (float(of(spacing)) for of in (np.min, np.median, np.max))
    return {"low": low, "middle": middle, "high": high}
