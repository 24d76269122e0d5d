"""Tables as other programs write them: own names of columns, semicolons, decimal commas."""

import shlex

import pandas as pd
import pytest
from segmenting import run

from weaklesion.errors import DataError
from weaklesion.marks.columns import parse_columns
from weaklesion.marks.files import read_table
from weaklesion.marks.table import read_marks
from weaklesion.recist import RECIST_COLUMNS

POINTS = "88.5,120,110,131,95,131,103,116"
ROW = f"a.png,{POINTS}"
HEADER = ",".join(["image", *RECIST_COLUMNS])


def written(tmp_path, text):
    (tmp_path / "marks.csv").write_text(text, encoding="utf-8")
    return tmp_path / "marks.csv"


def points_of(path, **options):
    marks, refused = read_marks(path, **options)
    assert not refused
    return [mark.points.ravel().tolist() for mark in marks]


EXPECTED = [[float(value) for value in POINTS.split(",")]]


@pytest.mark.parametrize(
    "text",
    [
        f"{HEADER}\n{ROW}\n".replace(",", ";"),
        f"{HEADER}\n{ROW}\n".replace(",", "\t"),
        f"{HEADER}\n{ROW}\n".replace(",", ";").replace(".5", ",5"),
        f"{HEADER}\r\n{ROW}\r\n".replace(",", ";"),
        f"sep=;\n{HEADER}\n{ROW}\n".replace(",", ";"),
        f"sep=,\n{HEADER}\n{ROW}\n",
        "\ufeff" + f"{HEADER}\n{ROW}\n".replace(",", ";"),
    ],
    ids=["semicolons", "tabs", "decimal commas", "CRLF", "sep", "sep of commas", "BOM"],
)
def test_what_separates_the_columns_is_read_from_the_header(tmp_path, text):
    assert points_of(written(tmp_path, text)) == EXPECTED


def test_the_log_says_so(tmp_path, caplog):
    caplog.set_level("INFO")
    points_of(written(tmp_path, f"{HEADER}\n{ROW}\n".replace(",", ";").replace(".5", ",5")))
    assert "read with semicolons and decimal commas" in caplog.text
    caplog.clear()
    points_of(written(tmp_path, f"{HEADER}\n{ROW}\n"))
    assert not caplog.text


def test_a_line_keeps_its_number(tmp_path):
    text = f"sep=;\n{HEADER}\n\n{ROW}\n".replace(",", ";")
    assert [line for line, _ in read_table(written(tmp_path, text)).rows] == [4]
    assert [mark.row for mark in read_marks(tmp_path / "marks.csv")[0]] == [4]


def test_commas_in_a_table_with_points_are_not_guessed(tmp_path):
    """`1,188` may be a thousand and more."""
    text = f"{HEADER}\n{ROW}\nb.png,88.5,120,1~188,131,95,131,103,116\n".replace(",", ";")
    marks, refused = read_marks(written(tmp_path, text.replace("~", ",")))
    assert [mark.row for mark in marks] == [2]
    assert refused[0][2] == (
        "long_b_x is '1,188', which is not a number: write decimal points in the whole table, or"
        " decimal commas in the whole table and semicolons between its columns"
    )


def test_names_and_ids_keep_their_commas(tmp_path):
    text = f"id;{HEADER}\nx,1;a,b.png;{POINTS}\n".replace(POINTS, POINTS.replace(",", ";"))
    text = text.replace(HEADER, HEADER.replace(",", ";")).replace("88.5", "88,5")
    ((mark,), _) = read_marks(written(tmp_path, text))
    assert (mark.id, mark.image.name) == ("x,1", "a,b.png")
    assert mark.points.ravel().tolist() == EXPECTED[0]


def test_quoted_decimal_commas_between_commas_are_refused_with_the_cure(tmp_path):
    text = f"{HEADER}\n{ROW.replace('88.5', chr(34) + '88,5' + chr(34))}\n"
    _, ((_, _, cause),) = read_marks(written(tmp_path, text))
    assert "'88,5', which is not a number: write decimal points" in cause


def test_own_names_of_columns(model, tmp_path, images):
    _, rows = images
    _, given = run(model, tmp_path, rows)
    names = {name: name.upper().replace("_", " ") for name in rows[0]}
    folder = tmp_path / "other"
    folder.mkdir()
    own = [
        {names[name]: value for name, value in row.items()}
        | {names["image"]: str(tmp_path / row["image"])}
        for row in rows
    ]
    result, _ = run(model, folder, own)
    assert result.exit_code == 1
    assert "Found `IMAGE`, `LONG A X`," in result.output
    option = shlex.split(result.output.split("or give ")[1].split(" to `weaklesion")[0])
    result, measured = run(model, folder, own, *option, "--columns", "id=ID")
    assert result.exit_code == 0, result.output
    columns = [name for name in given if name != "image"]
    pd.testing.assert_frame_equal(measured[columns], given[columns])


def test_a_column_may_be_two_and_two_may_change_places(tmp_path):
    text = f"pixel,{HEADER}\n0.7,{ROW}\n"
    marks, _ = read_marks(
        written(tmp_path, text),
        columns=parse_columns(
            ["spacing_x=pixel,spacing_y=pixel", "long_a_x=long_a_y,long_a_y=long_a_x"]
        ),
    )
    assert marks[0].spacing == (0.7, 0.7)
    assert marks[0].points[0].tolist() == [120, 88.5]


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("X1", "is not of the form long_a_x=X1,long_a_y=Y1"),
        ("X1=long_a_x", "is not of the form"),
        ("long_a_x=", "is not of the form"),
        ("long_a_x=A,long_a_x=B", "long_a_x is given twice, as A and B"),
    ],
)
def test_columns_that_cannot_be_understood(text, cause):
    with pytest.raises(DataError, match=cause):
        parse_columns([text])


@pytest.mark.parametrize(
    ("header", "columns", "cause"),
    [
        ("image;long_a_x", {}, "has the columns `image`, `long_a_x`, separated by semicolons"),
        ("image", {}, "has the one column `image`, separated by commas"),
        ("image", {}, "give --columns long_a_x=X1 to"),
        ("Image,Long_A_X", {}, "Found `Image`, `Long_A_X`; rename, or give"),
        ("Image,X1", {"long_a_x": "X2"}, "has no column X2, which --columns names. It has the"),
        (",".join(f"c{i}" for i in range(30)), {}, "`c19` and 10 more, separated by commas"),
    ],
    ids=str,
)
def test_a_missing_column_is_named_with_what_was_found(tmp_path, header, columns, cause):
    with pytest.raises(DataError) as error:
        read_marks(written(tmp_path, f"{header}\n"), columns=columns)
    assert cause in str(error.value)


def test_an_optional_column_of_another_spelling_is_named(tmp_path, caplog):
    read_marks(written(tmp_path, f"Spacing_X,{HEADER}\n0.7,{ROW}\n"))
    assert "the column `Spacing_X` is not read. If it is spacing_x, give --columns" in caplog.text
