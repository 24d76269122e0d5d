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


@pytest.mark.parametrize(
    "points",
    ["996,810,1~204,800,1~100,700,1~104,900", "1~196,1~810,1~204,1~800,1~100,1~700,1~104,1~900"],
    ids=["some above a thousand", "all above a thousand"],
)
def test_commas_that_may_separate_thousands_are_not_taken_for_decimal_ones(tmp_path, points):
    text = f"{HEADER}\na.png,{points}\n".replace(",", "\t").replace("~", ",")
    with pytest.raises(DataError, match=r"marks.csv: 1,\d{3} may be 1\.\d{3} with a decimal comma"):
        read_marks(written(tmp_path, text))


def test_three_decimals_are_read_beside_whole_slices_and_spacings_below_one(tmp_path):
    numbers = "\t".join(f"{float(value):.3f}".replace(".", ",") for value in POINTS.split(","))
    text = f"{HEADER},slice,spacing_x,spacing_y\n".replace(",", "\t")
    text += f"a.nii\t{numbers}\t7\t0,703\t0,703\n"
    assert points_of(written(tmp_path, text)) == EXPECTED
    whole = "\t".join(f"{float(value):.0f}" for value in POINTS.split(","))
    assert read_marks(written(tmp_path, text.replace(numbers, whole)))[0][0].spacing == (
        0.703,
        0.703,
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
    result, measured = run(model, folder, own, *option)
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
        ("image", {}, "only one column, `image`. Separate the columns by commas, semicolons"),
        ("image|long_a_x", {}, "only one column, `image|long_a_x`. Separate the columns"),
        ("Image long_a_x", {"image": "Image"}, "only one column, `Image long_a_x`. Separate"),
        (HEADER.replace("long_a_x", "X1"), {}, "lacks the column long_a_x. It has the columns"),
        ("image,X1", {}, "lacks the columns long_a_x, long_a_y, long_b_x"),
        ("image,X1", {}, "or give --columns long_a_x=YOURS,long_a_y=YOURS,long_b_x=YOURS,"),
        ("image,X1", {}, "short_b_y=YOURS to `weaklesion segment`, with your names for YOURS (a"),
        ("Image,Long_A_X", {}, "Found `Image`, `Long_A_X`; rename, or give"),
        ("Image,X1", {"long_a_x": "X2"}, "has no column X2, which --columns names. It has the"),
        ("a,b", {"image": "X", "slice": "Y"}, "has no columns X, Y, which --columns names"),
        (",".join(f"c{i}" for i in range(30)), {}, "`c19` and 10 more, separated by commas"),
    ],
    ids=str,
)
def test_a_missing_column_is_named_with_what_was_found(tmp_path, header, columns, cause):
    with pytest.raises(DataError) as error:
        read_marks(written(tmp_path, f"{header}\n"), columns=columns)
    assert cause in str(error.value)


def test_the_printed_option_names_optional_columns_of_another_spelling_too(tmp_path):
    with pytest.raises(DataError) as error:
        read_marks(written(tmp_path, f"ID,Slice,Slice thickness,{HEADER.title()}\n"))
    assert "--columns image=Image,long_a_x=Long_A_X," in str(error.value)
    assert "short_b_y=Short_B_Y,id=ID,slice=Slice to `weaklesion segment`" in str(error.value)


def test_an_optional_column_of_another_spelling_is_named(tmp_path, caplog):
    read_marks(written(tmp_path, f"Spacing_X,{HEADER}\n0.7,{ROW}\n"))
    assert "the column `Spacing_X` is not read. If it is spacing_x, give --columns" in caplog.text


@pytest.mark.parametrize("name", ["long_a_x", "slice", "image"])
def test_a_column_that_is_there_twice_is_refused(tmp_path, name):
    header = HEADER if name != "slice" else f"slice,{HEADER}"
    row = ROW if name != "slice" else f"4,{ROW}"
    with pytest.raises(DataError, match=f"has the column {name} more than once"):
        read_marks(written(tmp_path, f"{header},{name}\n{row},7\n"))


def test_columns_that_are_not_used_may_be_there_twice_and_are_named(tmp_path, caplog):
    caplog.set_level("INFO")
    path = written(tmp_path, f"{HEADER},note,note,age,\n{ROW},a,b,50,\n")
    assert points_of(path) == EXPECTED
    assert "not used: the columns `note`, `note`, `age`" in caplog.text


@pytest.mark.parametrize(
    "text", ["1_0", "4_0.5", "\u0661\u0662", "\uff11\uff12", "0x10", "1e", "", "--1", "1 2"]
)
def test_what_only_python_takes_for_a_number_is_none(tmp_path, text):
    _, ((_, _, cause),) = read_marks(written(tmp_path, f"{HEADER}\n{ROW.replace('88.5', text)}\n"))
    assert cause.startswith("long_a_x")


@pytest.mark.parametrize("text", ["88.5", " 88.50", "+8.85e1", "885E-1"])
def test_what_tables_write_as_numbers_is_one(tmp_path, text):
    assert points_of(written(tmp_path, f"{HEADER}\n{ROW.replace('88.5', text)}\n")) == EXPECTED


@pytest.mark.parametrize("spacing", ["1e-200", "1e200", "1e-320"])
def test_absurd_spacings_are_refused_by_row(tmp_path, spacing):
    table = f"spacing_x,spacing_y,{HEADER}\n{spacing},{spacing},{ROW}\n0.7,0.7,{ROW}\n"
    marks, ((line, _, cause),) = read_marks(written(tmp_path, table))
    assert (len(marks), line) == (1, 2)
    assert "mm per px" in cause


@pytest.mark.parametrize(
    "text",
    [
        f"Our lesions\n{HEADER}\n{ROW}\n",
        f"Our lesions,,,,,,,,\n\nby me\n{HEADER}\n{ROW}\n",
        f"sep=;\nOur lesions;;\n{HEADER}\n{ROW}\n".replace(",", ";"),
        f"Our lesions, 2024\n{HEADER}\n{ROW}\n".replace(",", ";").replace(".5", ",5"),
        f"sep=;\rOur lesions;;\r{HEADER}\r{ROW}\r".replace(",", ";"),
    ],
    ids=["a title", "three lines", "sep", "semicolons and decimal commas", "CR"],
)
def test_lines_with_a_title_are_skipped(tmp_path, text):
    path = written(tmp_path, text)
    assert points_of(path) == EXPECTED
    assert read_marks(path)[0][0].row == len(text.splitlines())


def test_a_title_is_skipped_before_own_names_of_columns(tmp_path):
    path = written(tmp_path, f"Lesions\n{HEADER.replace('long_a_x', 'X1')}\n{ROW}\n")
    assert points_of(path, columns={"long_a_x": "X1"}) == EXPECTED


@pytest.mark.parametrize("title", ["Lesions", "Lesions,,,,,,,,"])
def test_columns_that_a_message_lists_are_not_the_title(tmp_path, title):
    theirs = HEADER.replace("image", "File").replace("long_a_x", "X1")
    path = written(tmp_path, f"{title}\n{theirs}\n{ROW}\n")
    with pytest.raises(DataError, match="has the columns `File`, `X1`, `long_a_y`"):
        read_marks(path)
    with pytest.raises(DataError, match=r"no column X2, .* It has the columns `File`, `X1`"):
        read_marks(path, columns={"image": "File", "long_a_x": "X2"})


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("pixel_spacing_x", "spacing_x"),
        ("Spacing X (mm)", "spacing_x"),
        ("Pixel spacing", "spacing_y"),
        ("Slices", "slice"),
        ("masks", "mask"),
    ],
)
def test_an_optional_column_that_may_be_meant_is_named(tmp_path, caplog, theirs, ours):
    read_marks(written(tmp_path, f"{theirs},{HEADER}\n0.7,{ROW}\n"))
    assert f"the column `{theirs}` is not read. If it is {ours}, give --columns" in caplog.text


@pytest.mark.parametrize("theirs", ["patient_id", "slice_thickness", "spacing_y_old", "age"])
def test_other_columns_are_not_taken_for_optional_ones(tmp_path, caplog, theirs):
    read_marks(written(tmp_path, f"{theirs},spacing_x,{HEADER}\n0.7,,{ROW}\n"))
    assert "If it is id" not in caplog.text
    assert "If it is slice" not in caplog.text
    assert "If it is spacing_x" not in caplog.text
