"""Lesions that a table names: followed over studies, and checked against the tracking UIDs."""

import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from weaklesion.dicom.documents import find_marks
from weaklesion.dicom.export import read_export
from weaklesion.dicom.found import FoundMark
from weaklesion.dicom.importing import ImportSettings, import_export
from weaklesion.dicom.lymph_nodes import NO_LYMPH_NODE
from weaklesion.dicom.phantom import make_export
from weaklesion.dicom.table_lesions import with_document
from weaklesion.dicom.tables import marks_of_table
from weaklesion.dicom.timeline import courses_of
from weaklesion.errors import DataError
from weaklesion.recist import RECIST_COLUMNS

NAMES = ("liver", "lung", "node")


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """The phantom export, with its marks; and the same images without any document."""
    folder = tmp_path_factory.mktemp("lesions")
    marks = make_export(folder / "tracked")
    shutil.copytree(folder / "tracked", folder / "bare")
    for path in folder.glob("bare/visit*/marks-*"):
        path.unlink()
    return folder, marks


def rows_of(marks, names=NAMES * 2):
    """Three lesions at each of two visits."""
    return [
        {"image": mark.image_uid, "lesion": name, "id": f"m{number}"}
        | dict(zip(RECIST_COLUMNS, mark.ends.round(1).ravel().tolist(), strict=True))
        for number, (mark, name) in enumerate(zip(marks, names, strict=True))
    ]


def imported(exports, tmp_path, rows, kind="bare"):
    table = tmp_path / "marks.csv"
    pd.DataFrame(rows).to_csv(table, index=False)
    return import_export(exports[0] / kind, tmp_path / "out", ImportSettings(marks_csv=table))


def visits_of_lesions(taken):
    (course,) = courses_of(taken.marks, {}, taken.export)
    return {label: sorted(measured) for label, measured in course.lesions.items()}


def test_lesions_of_a_table_are_followed_by_their_names(exports, tmp_path):
    names = ["liver", "lung", "node", "Node ", "LIVER", "lung"]  # spelt otherwise, in another order
    rows = rows_of(exports[1], names)
    taken = imported(exports, tmp_path, rows)
    assert visits_of_lesions(taken) == {"T01": [0, 1], "T02": [0, 1], "T03": [0, 1]}
    (course,) = courses_of(taken.marks, {}, taken.export)
    lengths = [np.linalg.norm((m.ends[1] - m.ends[0]) * (0.7, 0.8)) for m in exports[1]]
    long = [[course.lesions[label][visit].long_mm[0] for visit in (0, 1)] for label in
            ("T01", "T02", "T03")]  # fmt: skip
    expected = [[lengths[0], lengths[4]], [lengths[1], lengths[5]], [lengths[2], lengths[3]]]
    np.testing.assert_allclose(long, expected, atol=0.2)
    text = (tmp_path / "out/found.csv").read_text() + (tmp_path / "out/marks.csv").read_text()
    assert "liver" not in text.casefold()  # names are not copied


def test_a_name_without_a_partner_is_a_new_lesion_or_one_not_marked_again(exports, tmp_path):
    taken = imported(exports, tmp_path, rows_of(exports[1], [*NAMES, "liver", "lung", "other"]))
    assert visits_of_lesions(taken) == {"N01": [1], "T01": [0, 1], "T02": [0, 1], "T03": [0]}


def test_marks_without_a_name_are_not_followed(exports, tmp_path):
    taken = imported(exports, tmp_path, rows_of(exports[1], ["liver", "", ""] * 2))
    assert visits_of_lesions(taken) == {"T01": [0, 1]}


def test_marks_that_two_documents_of_one_uid_have_as_well_are_no_parts():
    ends = np.array([[0.0, 0.0], [60.0, 0.0], [30.0, -10.0], [30.0, 10.0]])
    documents = [
        FoundMark("AIM", "", 1, "i", 0, ends + shift, "1.2", document=name)
        for name, shift in (("a.json", 0), ("b.json", 5))
    ]
    marks = [FoundMark("table", "", line, "i", 0, ends + 5 * line) for line in (0, 1)]
    found = [with_document(mark, documents).document for mark in marks]
    assert found == ["a.json", "b.json"]


def test_a_mark_that_a_document_has_as_well_keeps_its_tracking_uid(exports, tmp_path):
    rows = [row | {"lesion": ""} for row in rows_of(exports[1])]
    taken = imported(exports, tmp_path, rows, "tracked")
    for number, mark in enumerate(exports[1]):
        assert taken.marks[f"m{number}"].tracking_uid == mark.tracking_uid
    moved = [row | {"long_a_x": row["long_a_x"] + 1} for row in rows]  # another mark
    taken = imported(exports, tmp_path, moved, "tracked")
    assert not any(mark.tracking_uid for mark in taken.marks.values())


def test_a_name_joins_a_tracked_mark_and_one_that_no_document_has(exports, tmp_path):
    rows = rows_of(exports[1])
    rows[3]["long_a_x"] += 1
    taken = imported(exports, tmp_path, rows, "tracked")
    assert taken.marks["m3"].tracking_uid == taken.marks["m0"].tracking_uid
    assert visits_of_lesions(taken) == {"T01": [0, 1], "T02": [0, 1], "T03": [0, 1]}


def nodes_of(taken):
    return {name: mark.node for name, mark in taken.marks.items()}


@pytest.mark.parametrize("row", [2, 5])
def test_one_row_says_that_a_lesion_is_a_lymph_node(exports, tmp_path, row):
    rows = rows_of(exports[1])
    rows[row]["lymph_node"] = " Yes"
    taken = imported(exports, tmp_path, rows)
    assert nodes_of(taken) == {f"m{i}": i in (2, 5) for i in range(6)}
    (course,) = courses_of(taken.marks, {}, taken.export)
    assert len(course.nodes) == 1
    assert not any(NO_LYMPH_NODE in mark.notes for mark in taken.marks.values())


def test_a_lesion_that_is_named_a_node_is_one_only_if_the_table_says_so(exports, tmp_path):
    for said, noted in (("", {"m2", "m5"}), ("no", set())):
        rows = rows_of(exports[1])
        rows[2]["lymph_node"] = said
        taken = imported(exports, tmp_path, rows)
        assert not any(nodes_of(taken).values())
        notes = {name for name, mark in taken.marks.items() if NO_LYMPH_NODE in mark.notes}
        assert notes == noted


@pytest.mark.parametrize(
    ("names", "kind", "words"),
    [
        (["liver", "lung", "Liver", *NAMES], "bare", "lines 2 and 4 both name the lesion 'Liver'"),
        ([*NAMES, "lung", "liver", "node"], "tracked", "two tracking UIDs"),
        ([*NAMES, "a", "lung", "node"], "tracked", "lines 2 and 5 name the lesions 'liver' and"),
    ],
)
def test_a_table_that_contradicts_itself_or_the_tracking_uids_is_refused(
    exports, tmp_path, names, kind, words
):
    with pytest.raises(DataError, match=words) as error:
        imported(exports, tmp_path, rows_of(exports[1], names), kind)
    assert str(tmp_path / "marks.csv") in str(error.value)
    assert "Give" in str(error.value)


def test_rows_of_one_lesion_that_disagree_about_lymph_nodes_are_refused(exports, tmp_path):
    rows = rows_of(exports[1])
    rows[1]["lymph_node"], rows[4]["lymph_node"] = "yes", "no"
    with pytest.raises(DataError, match=r"marks.csv: lines 3 and 6 .* lymph node"):
        imported(exports, tmp_path, rows)


def test_a_word_that_is_neither_yes_nor_no_refuses_its_row(exports, tmp_path):
    rows = rows_of(exports[1])
    rows[0]["lymph_node"] = "perhaps"
    assert imported(exports, tmp_path, rows).refused == [
        (2, "m0", "lymph_node is 'perhaps': write yes, no, or nothing")
    ]


@pytest.mark.parametrize(("said", "node"), [("", True), ("no", False), ("yes", True)])
def test_a_table_is_right_against_a_document_about_lymph_nodes(exports, tmp_path, said, node):
    marks, rows = exports[1], rows_of(exports[1])
    rows[4]["lymph_node"] = said
    (tmp_path / "marks.csv").write_text(pd.DataFrame(rows).to_csv(index=False))
    export = read_export(exports[0] / "tracked")
    documents = [
        replace(each, node=each.tracking_uid == marks[1].tracking_uid)
        for each in find_marks(export)[0]
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("weaklesion.dicom.tables.find_marks", lambda export: (documents, []))
        found, _ = marks_of_table(tmp_path / "marks.csv", export)
    assert [mark.node for mark in found] == [i in (1, 4) and node for i in range(6)]
