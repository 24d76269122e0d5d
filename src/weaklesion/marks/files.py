"""The file of a table of marks: its lines, and the state of the files that it names.

Uses only the standard library, for it is read wherever Snakemake itself runs.
"""

import csv
import hashlib
import os
from pathlib import Path

from weaklesion.errors import DataError

LISTED = 10


def read_lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return the header of a CSV file, and its rows that are not blank with their lines.

    Raises:
        DataError: if it cannot be read or is empty.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, skipinitialspace=True, strict=True)
            header = [name.strip() for name in next(reader)]
            rows = [(reader.line_num, fields) for fields in reader]
    except StopIteration as error:
        raise DataError(f"{path}: is empty. Give a CSV file with a header.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not in UTF-8 ({error}). Save it as `CSV UTF-8`.") from error
    except (OSError, csv.Error) as error:
        raise DataError(f"{path}: cannot be read as a table ({error}). Give a CSV file.") from error
    return header, [(line, row) for line, row in rows if any(field.strip() for field in row)]


def state_of_files(marks_csv: str | Path, *columns: str, all_needed: bool) -> str:
    """Return a digest of the sizes and times of the files that some columns of a table name.

    It changes when one of them does. Paths are from the table's folder.

    Args:
        marks_csv: the table.
        columns: those whose values are files.
        all_needed: whether a file that is not there is an error. That none is there always is, for
            then a disk is missing, and what was made of the files must not be lost for that.

    Raises:
        DataError: naming the first that are not there.
    """
    path = Path(marks_csv)
    header, lines = read_lines(path)
    found: dict[str, str] = {}
    lost: dict[str, int] = {}
    for line, fields in lines:
        row = dict(zip(header, fields, strict=False))
        for name in (row.get(column, "").strip() for column in columns):
            if not name or name in found or name in lost:
                continue
            if os.path.isfile(path.parent / name):  # which raises nothing
                stat = (path.parent / name).stat()
                found[name] = f"{stat.st_size} {stat.st_mtime_ns}"
            else:
                lost[name] = line
    if lost and (all_needed or not found):
        shown = [f"line {line}: {name}" for name, line in list(lost.items())[:LISTED]]
        more = f"; and {len(lost) - LISTED} more" if len(lost) > LISTED else ""
        raise DataError(
            f"{path}: {len(lost)} of {len(lost) + len(found)} files that it names are not there:"
            f" {'; '.join(shown)}{more}. Is their disk there? Paths are from the table's folder."
        )
    listed = "\n".join(f"{name} {state}" for name, state in sorted(found.items()))
    return hashlib.sha256(listed.encode()).hexdigest()
