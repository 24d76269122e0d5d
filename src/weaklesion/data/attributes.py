"""Sex, age and site of each sample, as a dataset's own table has them.

The table is read when a page needs it, so that patches are not made again for it.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd

from weaklesion.data.loaders.deeplesion_table import read_table
from weaklesion.marks.files import read_lines, read_records
from weaklesion.marks.table import NO_NAME

ATTRIBUTES = ("sex", "age", "site")
UNKNOWN = ("", "unknown", "nan", *(name.casefold() for name in NO_NAME))
SEXES = {"m": "male", "f": "female", "male": "male", "female": "female"}
# Coarse_lesion_type of DeepLesion, from 1; the table has -1 for its training lesions.
SITES_OF_DEEPLESION = (
    "bone",
    "abdomen",
    "mediastinum",
    "liver",
    "lung",
    "kidney",
    "soft tissue",
    "pelvis",
)
Row = tuple[str, str, str, str]  # id, sex, age, site


def read_attributes(loader: str, table_csv: str | Path | None) -> pd.DataFrame:
    """Return what a dataset's table says of the people and sites of its samples.

    Args:
        loader: name of the dataset's loader.
        table_csv: HAM10000's metadata, DeepLesion's table of marks, or your own table of marks,
            which may have columns `sex`, `age` and `site`; None for a dataset without a table.

    Returns:
        One row per sample of the table, indexed by `id`: `sex` (`male`, `female` or another word)
        and `site`, texts that are empty where unknown; `age`, years, nan where unknown.

    Raises:
        DataError: if the table cannot be read.
    """
    reader = READERS.get(loader)
    rows = list(reader(Path(table_csv))) if reader and table_csv else []
    table = pd.DataFrame(rows, columns=["id", *ATTRIBUTES], dtype=object).drop_duplicates("id")
    return pd.DataFrame(
        {
            "sex": [_word(sex, SEXES) for sex in table["sex"]],
            "age": [_years(age) for age in table["age"]],
            "site": [_word(site, {}) for site in table["site"]],
        },
        index=pd.Index(table["id"].astype(str), name="id"),
    )


def _of_ham10k(table_csv: Path) -> Iterator[Row]:
    for _, row in read_records(table_csv, ("image_id",), "Use HAM10000_metadata.csv as published."):
        name, sex, age, site = (
            row.get(column, "") for column in ("image_id", "sex", "age", "localization")
        )
        yield name.strip(), sex, age, site


def _of_deeplesion(table_csv: Path) -> Iterator[Row]:
    for row in read_table(table_csv):
        code = str(row.get("Coarse_lesion_type", "")).strip()
        number = int(code) if code.isdecimal() else 0
        site = SITES_OF_DEEPLESION[number - 1] if 0 < number <= len(SITES_OF_DEEPLESION) else ""
        yield row["id"], row.get("Patient_gender", ""), row.get("Patient_age", ""), site


def _of_own_marks(table_csv: Path) -> Iterator[Row]:
    header, lines = read_lines(table_csv)
    places = {name.strip().casefold(): place for place, name in enumerate(header)}
    for line, fields in lines:
        row = {name: fields[place] for name, place in places.items() if place < len(fields)}
        sex, age, site = (row.get(name, "") for name in ATTRIBUTES)
        yield row.get("id", "").strip() or f"mark-{line - 1:05d}", sex, age, site


READERS: dict[str, Callable[[Path], Iterator[Row]]] = {
    "ham10k": _of_ham10k,
    "deeplesion": _of_deeplesion,
    "custom": _of_own_marks,
}


def _word(value: str, spellings: dict[str, str]) -> str:
    word = value.strip()
    if word.casefold() in UNKNOWN:
        return ""
    return spellings.get(word.casefold(), word)


def _years(value: str) -> float:
    try:
        years = float(value)
    except ValueError:
        return math.nan
    return years if 0 <= years <= 130 else math.nan
