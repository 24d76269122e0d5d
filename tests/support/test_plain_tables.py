"""Tables without pandas are those that pandas would write and read."""

import numpy as np
import pandas as pd

from weaklesion.support.tables import read_column, write_rows

ROWS = [
    {"text": "plain", "whole": 3, "number": 1 / 3, "known": True, "slice": None, "more": 1},
    {"text": 'a "quote", a comma', "whole": 123456789012, "number": 2.0, "slice": 57},
    {"text": "two\nlines", "whole": 0, "number": float("nan"), "known": False, "slice": 4},
    {"text": "", "whole": -1, "number": np.float64(1.5e-9), "known": None, "slice": 0},
    {"text": "é", "whole": 7, "number": -123456.789, "known": True, "slice": 2},
]
COLUMNS = ["text", "whole", "number", "known", "slice", "absent"]


def test_rows_are_written_as_by_pandas(tmp_path):
    write_rows(tmp_path / "found.csv", COLUMNS, ROWS)
    pd.DataFrame(ROWS, columns=COLUMNS).to_csv(
        tmp_path / "expected.csv", index=False, float_format="%.8g"
    )
    assert (tmp_path / "found.csv").read_bytes() == (tmp_path / "expected.csv").read_bytes()


def test_a_table_without_rows_has_its_header(tmp_path):
    write_rows(tmp_path / "found.csv", COLUMNS, [])
    assert (tmp_path / "found.csv").read_text() == ",".join(COLUMNS) + "\n"
    assert read_column(tmp_path / "found.csv", "text") == []


def test_a_column_is_read_back(tmp_path):
    write_rows(tmp_path / "found.csv", COLUMNS, ROWS)
    assert read_column(tmp_path / "found.csv", "text") == [row["text"] for row in ROWS]
    assert read_column(tmp_path / "found.csv", "known") == ["True", "", "False", "", "True"]
