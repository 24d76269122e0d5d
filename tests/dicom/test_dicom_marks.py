"""Marks in SR, GSPS and AIM: what is found, and where its coordinates start."""

import copy
import io
import json

import highdicom as hd
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes

from weaklesion.dicom.aim import NotAimError, marks_of_aim
from weaklesion.dicom.export import read_export
from weaklesion.dicom.found import mark_of_axes
from weaklesion.dicom.lines import Line, pair_lines
from weaklesion.dicom.lymph_nodes import NO_LYMPH_NODE
from weaklesion.dicom.phantom import (
    PhantomMark,
    aim_annotation,
    bidirectional_report,
    make_series,
    presentation_state,
    save,
)
from weaklesion.dicom.presentation_states import marks_of_state
from weaklesion.dicom.structured_reports import marks_of_report

# Long diameter from the centre of pixel (30, 50) to that of (70, 50), short one across it; px from
# the centre of the first pixel. SR, GSPS and AIM count these ends as 30.5, 50.5 and so on.
ENDS = np.array([[30.0, 50.0], [70.0, 50.0], [50.0, 40.0], [50.0, 62.0]])
TRACKING = "1.2.3.4.5"


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """The slices of one CT series, and their index."""
    folder = tmp_path_factory.mktemp("series")
    datasets = [image for image, _ in make_series(np.random.default_rng(0), 0, 5)]
    for number, dataset in enumerate(datasets):
        save(dataset, folder / str(number))
    return datasets, read_export(folder)


def mark_on(image, ends=ENDS):
    return PhantomMark(image.SOPInstanceUID, ends, np.zeros((1, 1), bool), TRACKING, "SR")


def report_on(image, ends=ENDS):
    """A report as a file holds it, not as highdicom made it."""
    return plain(bidirectional_report([mark_on(image, ends)], [image]))


def plain(dataset):
    file = io.BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    file.seek(0)
    return pydicom.dcmread(file)


def group_of(report):
    found = [report]
    for item in found:
        found += item.get("ContentSequence") or []
    return next(i for i in found if "ConceptNameCodeSequence" in i
                and i.ConceptNameCodeSequence[0].CodeValue == "125007")  # fmt: skip


def measured(report):
    return [item for item in group_of(report).ContentSequence if item.ValueType == "NUM"]


def only_mark(found):
    (mark,), refused = found
    assert not refused
    return mark


def causes(found):
    assert not found[0]
    return [each.cause for each in found[1]]


def test_coordinates_of_a_report_count_from_the_first_pixels_corner(series):
    images, export = series
    report = report_on(images[2])
    scoord = measured(report)[0].ContentSequence[0]
    assert list(scoord.GraphicData) == [30.5, 50.5, 70.5, 50.5]
    mark = only_mark(marks_of_report(report, export))
    np.testing.assert_allclose(mark.ends, ENDS, atol=1e-5)
    assert (mark.image_uid, mark.frame) == (images[2].SOPInstanceUID, 0)
    assert mark.tracking_uid == TRACKING
    assert not mark.notes


@pytest.mark.parametrize("scheme", ["SRT", "99PRIVATE"])
def test_axes_are_known_by_older_and_by_private_codes(series, scheme):
    images, export = series
    report = report_on(images[2])
    for item, value, meaning in zip(measured(report), ("G-A185", "G-A186"),
                                    ("Long Axis", "Short axis "), strict=True):  # fmt: skip
        code = item.ConceptNameCodeSequence[0]
        code.CodingSchemeDesignator, code.CodeMeaning = scheme, meaning
        code.CodeValue = value if scheme == "SRT" else f"x-{value}"
    assert len(only_mark(marks_of_report(report, export)).ends) == 4


def test_axes_are_known_by_a_long_code(series):
    """A code of more than 16 characters stands in another element of the standard."""
    images, export = series
    report = report_on(images[2])
    for item in measured(report):
        code = item.ConceptNameCodeSequence[0]
        code.LongCodeValue = code.CodeValue
        del code.CodeValue
        code.CodeMeaning = "told by its code alone"
    assert len(only_mark(marks_of_report(report, export)).ends) == 4


def test_a_group_needs_no_template_id_and_a_measurement_no_value(series):
    images, export = series
    report = report_on(images[2])
    if "ContentTemplateSequence" in group_of(report):
        del group_of(report).ContentTemplateSequence
    measured(report)[0].MeasuredValueSequence = Sequence([])
    del measured(report)[1].MeasuredValueSequence
    mark = only_mark(marks_of_report(report, export))
    np.testing.assert_allclose(mark.ends, ENDS, atol=1e-5)
    assert not mark.notes


def test_coordinates_may_be_given_by_reference(series):
    images, export = series
    report = report_on(images[2])
    numbers = measured(report)
    place = group_of(report).ContentSequence
    for number in numbers:
        shape = number.ContentSequence[0]
        place.append(shape)
        reference = Dataset()
        reference.RelationshipType = "R-INFERRED FROM"
        steps = place_of(report, shape)
        reference.ReferencedContentItemIdentifier = [1, *steps]
        number.ContentSequence = Sequence([reference])
    mark = only_mark(marks_of_report(report, export))
    np.testing.assert_allclose(mark.ends, ENDS, atol=1e-5)


def place_of(root, item):
    for number, child in enumerate(root.get("ContentSequence") or [], start=1):
        if child is item:
            return [number]
        inner = place_of(child, item)
        if inner:
            return [number, *inner]
    return []


def test_a_finding_site_says_that_a_lesion_is_a_node_by_whatever_relation(series):
    images, export = series
    report = report_on(images[2])
    for relation in ("CONTAINS", "HAS CONCEPT MOD"):
        site = Dataset()
        site.ValueType, site.RelationshipType = "CODE", relation
        site.ConceptNameCodeSequence = Sequence([hd.sr.CodedConcept("G-C0E3", "SRT", "Site")])
        site.ConceptCodeSequence = Sequence([hd.sr.CodedConcept("59441001", "SCT", "Lymph node")])
        changed = copy.deepcopy(report)
        group_of(changed).ContentSequence.append(site)
        assert only_mark(marks_of_report(changed, export)).node
    assert not only_mark(marks_of_report(report, export)).node


SITE, FINDING = ("363698007", "SCT", "Finding Site"), ("121071", "DCM", "Finding")


def with_item(report, name, value):
    """A report whose group has one more item: a code, or a text."""
    item = Dataset()
    item.ValueType, item.RelationshipType = "TEXT", "CONTAINS"
    item.ConceptNameCodeSequence = Sequence([hd.sr.CodedConcept(*name)])
    if isinstance(value, str):
        item.TextValue = value
    else:
        item.ValueType = "CODE"
        item.ConceptCodeSequence = Sequence([hd.sr.CodedConcept(*value)])
    group_of(report).ContentSequence.append(item)
    return report


@pytest.mark.parametrize("name", [SITE, FINDING])
@pytest.mark.parametrize(
    "code",
    [
        ("62683002", "SCT", "Mediastinal"),
        ("68171009", "SCT", "Axillary"),
        ("8928004", "SCT", "Inguinal"),
        ("T-C4300", "SRT", "Thoracic"),
        ("T-C4300", "SNM3", "Thoracic"),
        ("C12745", "NCIt", "Lymph Node"),
        ("1", "99PRIVATE", "Enlarged lymph-nodes, left axilla"),
        ("2", "99PRIVATE", "Lymph nodal metastasis"),
        ("3", "99PRIVATE", "Axillary lymphadenopathy"),
    ],
    ids=lambda code: " ".join(code[1::-1]),
)
def test_lymph_nodes_are_known_by_dicoms_list_of_codes_and_by_any_codes_meaning(series, name, code):
    images, export = series
    mark = only_mark(marks_of_report(with_item(report_on(images[2]), name, code), export))
    assert mark.node
    assert not mark.notes


@pytest.mark.parametrize(
    ("name", "value"),
    [
        (FINDING, ("1", "99PRIVATE", "Nodal metastasis")),
        (FINDING, ("111300", "DCM", "Axillary node with lymphoma")),
        (FINDING, ("2", "99PRIVATE", "Non-lymph node lesion")),
        (("112039", "DCM", "Tracking Identifier"), "Lymph node 3"),
        (("112039", "DCM", "Tracking Identifier"), "node_2"),
        (("1", "99PRIVATE", "Remark"), ("59441001", "SCT", "Lymph node")),
    ],
    ids=str,
)
def test_a_node_that_is_not_taken_as_a_lymph_node_is_told(series, name, value):
    images, export = series
    mark = only_mark(marks_of_report(with_item(report_on(images[2]), name, value), export))
    assert not mark.node
    assert mark.notes == (NO_LYMPH_NODE,)


@pytest.mark.parametrize(
    "value",
    [
        ("27925004", "SCT", "Nodule"),
        ("1", "99PRIVATE", "Thyroid nodules"),
        ("2", "99PRIVATE", "Nodular lesion"),
        ("3", "99PRIVATE", "Extranodal lesion"),
        ("39607008", "SCT", "Lung"),
    ],
    ids=str,
)
def test_a_nodule_is_no_node(series, value):
    images, export = series
    for name in (SITE, FINDING):
        mark = only_mark(marks_of_report(with_item(report_on(images[2]), name, value), export))
        assert not mark.node
        assert not mark.notes


def test_lines_without_axes_may_be_of_a_lymph_node_too(series):
    images, export = series
    for finding, node in (("Lymph node", True), ("Node", False)):
        report = with_item(report_on(images[2]), FINDING, ("1", "99PRIVATE", finding))
        mark = only_mark(marks_of_report(with_free_lines(report), export))
        assert (mark.node, mark.notes) == (node, () if node else (NO_LYMPH_NODE,))


def test_frames_count_from_one(series):
    images, export = series
    report = report_on(images[2])
    for item in measured(report):
        image = item.ContentSequence[0].ContentSequence[0]
        image.ReferencedSOPSequence[0].ReferencedFrameNumber = 4
    assert only_mark(marks_of_report(report, export)).frame == 3


def test_axes_on_two_images_are_refused(series):
    images, export = series
    report = report_on(images[2])
    image = measured(report)[1].ContentSequence[0].ContentSequence[0]
    image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = images[3].SOPInstanceUID
    assert causes(marks_of_report(report, export)) == ["the two axes are on different images"]


def test_exchanged_axes_are_put_right_and_told(series):
    images, export = series
    mark = only_mark(marks_of_report(report_on(images[2], ENDS[[2, 3, 0, 1]]), export))
    np.testing.assert_allclose(mark.ends, ENDS, atol=1e-5)
    assert mark.notes == ("the axis named short is the longer one, so the two were exchanged",)


def test_a_single_length_is_a_single_diameter(series):
    images, export = series
    report = report_on(images[2])
    code = measured(report)[0].ConceptNameCodeSequence[0]
    code.CodeValue, code.CodeMeaning = "410668003", "Length"
    group_of(report).ContentSequence.remove(measured(report)[1])
    np.testing.assert_allclose(only_mark(marks_of_report(report, export)).ends, ENDS[:2], atol=1e-5)


def test_the_only_other_length_beside_a_short_axis_is_the_long_one(series):
    images, export = series
    report = report_on(images[2])
    code = measured(report)[0].ConceptNameCodeSequence[0]
    code.CodeValue, code.CodeMeaning = "410668003", "Length"
    np.testing.assert_allclose(only_mark(marks_of_report(report, export)).ends, ENDS, atol=1e-5)
    group_of(report).ContentSequence.append(measured(report)[0])  # which of them, is not said
    marks, _ = marks_of_report(report, export)
    assert [len(mark.ends) for mark in marks] == [2, 2]


@pytest.mark.parametrize(
    ("factor", "unit", "note"),
    [
        (1.0, "mm", ""),
        (0.1, "cm", ""),
        (0.1, "mm", "in cm"),
        (1.3, "mm", "contradicts"),
        (1 / 0.7, "mm", "in px"),
        (1 / 0.7, "1", "in px"),
    ],
)
def test_a_stored_length_is_compared_and_never_used(series, factor, unit, note):
    images, export = series
    report = report_on(images[2])
    value = measured(report)[0].MeasuredValueSequence[0]
    value.NumericValue = 28.0 * factor  # 40 px of 0.7 mm
    value.MeasurementUnitsCodeSequence[0].CodeValue = unit
    mark = only_mark(marks_of_report(report, export))
    np.testing.assert_allclose(mark.ends, ENDS, atol=1e-5)
    assert note in "".join(mark.notes)
    assert bool(note) == bool(mark.notes)


def with_free_lines(report):
    """A report whose lines are beside its measurements, not below them."""
    for item in measured(report):
        group_of(report).ContentSequence.append(item.ContentSequence.pop(0))
    return report


def test_lines_beside_several_measurements_have_no_stored_length(series):
    """Which line has which length is not said."""
    images, export = series
    mark = only_mark(marks_of_report(with_free_lines(report_on(images[2])), export))
    np.testing.assert_allclose(mark.ends, ENDS, atol=1e-5)
    assert not mark.notes


@pytest.mark.parametrize(("kept", "note"), [([0], "contradicts"), ([0, 1], "")])
def test_the_only_line_beside_the_only_measurement_has_its_length(series, kept, note):
    """Of two measurements, both could be of the line."""
    images, export = series
    report = report_on(images[2])
    for item in measured(report):
        item.MeasuredValueSequence[0].NumericValue = 99.0
    lines = [item.ContentSequence.pop(0) for item in measured(report)]
    group = group_of(report)
    dropped = [item for number, item in enumerate(measured(report)) if number not in kept]
    group.ContentSequence = Sequence(
        [item for item in group.ContentSequence if item not in dropped] + lines[:1]
    )
    mark = only_mark(marks_of_report(report, export))
    assert note in "".join(mark.notes)
    assert bool(note) == bool(mark.notes)


def test_a_free_line_beside_a_measurement_with_a_line_of_its_own_has_no_stored_length(series):
    images, export = series
    report = report_on(images[2])
    short = measured(report)[1]
    group = group_of(report)
    group.ContentSequence.append(short.ContentSequence.pop(0))
    group.ContentSequence.remove(short)
    assert not only_mark(marks_of_report(report, export)).notes


def scoord3d_report(images, index, *, image_named, off_mm=0.0):
    """A report whose axes are mm of the patient."""
    report = report_on(images[index])
    image = images[index]
    rows, columns = np.array(image.ImageOrientationPatient).reshape(2, 3)
    for item, ends in zip(measured(report), (ENDS[:2], ENDS[2:]), strict=True):
        points = (
            np.array(image.ImagePositionPatient)
            + ends[:, :1] * 0.7 * rows
            + ends[:, 1:] * 0.8 * columns
            + off_mm * np.cross(rows, columns)
        )
        shape = item.ContentSequence[0]
        source = shape.ContentSequence[0]
        shape.ValueType = "SCOORD3D"
        shape.GraphicData = points.ravel().tolist()
        shape.ReferencedFrameOfReferenceUID = image.FrameOfReferenceUID
        del shape.ContentSequence
        if image_named:
            group_of(report).ContentSequence.append(source)
    return report


@pytest.mark.parametrize("image_named", [True, False])
def test_coordinates_in_the_patient_are_found_on_their_oblique_image(series, image_named):
    images, export = series
    report = scoord3d_report(images, 3, image_named=image_named)
    mark = only_mark(marks_of_report(report, export))
    assert mark.image_uid == images[3].SOPInstanceUID
    np.testing.assert_allclose(mark.ends, ENDS, atol=1e-3)


@pytest.fixture
def two_phases(tmp_path):
    """Two CT series whose slices have the same places in one frame of reference."""
    phases = []
    for phase, name in enumerate(("arterial", "portal")):
        images = [image for image, _ in make_series(np.random.default_rng(phase), 0, 3)]
        for number, image in enumerate(images):
            for key in ("SOPInstanceUID", "SeriesInstanceUID"):
                setattr(image, key, f"{image[key].value}.{phase}"[-64:])
            image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
            save(image, tmp_path / name / str(number))
        phases.append(images)
    return (*phases, read_export(tmp_path))


def test_of_two_series_in_one_place_the_one_that_the_report_names_counts(two_phases):
    arterial, portal, export = two_phases
    for images in (arterial, portal):
        report = scoord3d_report(images, 1, image_named=False)
        (study,) = report.CurrentRequestedProcedureEvidenceSequence
        (series,) = study.ReferencedSeriesSequence
        assert series.ReferencedSOPSequence[0].ReferencedSOPInstanceUID == images[1].SOPInstanceUID
        assert only_mark(marks_of_report(report, export)).image_uid == images[1].SOPInstanceUID
        del report.CurrentRequestedProcedureEvidenceSequence
        report.PertinentOtherEvidenceSequence = Sequence([study])
        assert only_mark(marks_of_report(report, export)).image_uid == images[1].SOPInstanceUID
        del report.PertinentOtherEvidenceSequence
        assert set(causes(marks_of_report(report, export))) == {
            "several images lie at these coordinates"
        }


def test_coordinates_beside_the_image_that_a_group_names_are_on_the_nearest(series):
    images, export = series
    report = scoord3d_report(images, 3, image_named=True)
    for item in group_of(report).ContentSequence:
        if item.ValueType == "IMAGE":
            item.ReferencedSOPSequence[0].ReferencedSOPInstanceUID = images[0].SOPInstanceUID
    assert only_mark(marks_of_report(report, export)).image_uid == images[3].SOPInstanceUID


@pytest.fixture
def frames(tmp_path):
    """A phantom slice as an image of five frames."""
    image = make_series(np.random.default_rng(0), 0, 1)[0][0]
    image.NumberOfFrames = 5
    image.PixelData = image.PixelData * 5
    save(image, tmp_path / "in/image")
    return image, read_export(tmp_path / "in")


@pytest.mark.parametrize("number", [None, 4, [2, 4]])
def test_a_mark_on_several_frames_names_one(frames, tmp_path, number):
    """A reference without a number means all frames."""
    image, export = frames
    report, state = report_on(image), plain(presentation_state(mark_on(image), image))
    references = [
        *(item.ContentSequence[0].ContentSequence[0].ReferencedSOPSequence[0]
          for item in measured(report)),
        state.GraphicAnnotationSequence[0].ReferencedImageSequence[0],
    ]  # fmt: skip
    annotation = write_aim(tmp_path, mark_on(image), "aim4").read_text()
    for reference in references:
        if number is None and "ReferencedFrameNumber" in reference:
            del reference.ReferencedFrameNumber
        elif number is not None:
            reference.ReferencedFrameNumber = number
    tag = f'<referencedFrameNumber value="{number}"/>' if isinstance(number, int) else ""
    (tmp_path / "a.xml").write_text(
        annotation.replace("<imageReferenceUid", f"{tag}<imageReferenceUid")
    )
    for found in (
        marks_of_report(report, export),
        marks_of_state(state, export),
        marks_of_aim(tmp_path / "a.xml", export),
    ):
        if number == 4:
            assert only_mark(found).frame == 3
        else:
            assert {cause.split(" on ")[1] for cause in causes(found)} == {"several frames"}


def test_coordinates_off_all_images_are_refused(series):
    images, export = series
    report = scoord3d_report(images, 4, image_named=False, off_mm=30.0)
    assert causes(marks_of_report(report, export)) == ["the line is not in the plane of an image"]


def test_regions_and_reports_without_groups_are_refused_by_name(series):
    images, export = series
    report = report_on(images[2])
    for item in measured(report):
        item.ContentSequence[0].GraphicType = "ELLIPSE"
    assert causes(marks_of_report(report, export)) == [
        "a region or point (ELLIPSE), not a diameter"
    ]
    assert causes(marks_of_report(Dataset(), export)) == ["the report has no measurement group"]


def test_a_damaged_group_leaves_the_others(series):
    images, export = series
    report = plain(bidirectional_report([mark_on(i) for i in images[:2]], images[:2]))
    measured(report)[0].ContentSequence[0].GraphicData = [1.0, 2.0, 3.0]
    (mark,), (refused,) = marks_of_report(report, export)
    assert mark.image_uid == images[1].SOPInstanceUID
    diameter = "POLYLINE that does not have two points, so is not a diameter"
    assert refused.cause == f"{diameter}; only a short axis"


def test_coordinates_of_a_presentation_state_count_from_the_first_pixels_corner(series):
    images, export = series
    state = presentation_state(mark_on(images[1]), images[1])
    line = state.GraphicAnnotationSequence[0].GraphicObjectSequence[0]
    assert list(line.GraphicData) == [30.5, 50.5, 70.5, 50.5]
    mark = only_mark(marks_of_state(plain(state), export))
    np.testing.assert_allclose(mark.ends, ENDS, atol=1e-5)
    assert mark.image_uid == images[1].SOPInstanceUID


def test_a_presentation_states_parallel_lines_are_single_diameters(series):
    images, export = series
    ends = np.concatenate([ENDS[:2], ENDS[:2] + 5])
    marks, refused = marks_of_state(presentation_state(mark_on(images[1], ends), images[1]), export)
    assert [len(mark.ends) for mark in marks] == [2, 2]
    assert not refused


def test_graphics_that_are_no_lines_on_pixels_are_refused(series):
    images, export = series
    state = presentation_state(mark_on(images[1]), images[1])
    lines = state.GraphicAnnotationSequence[0].GraphicObjectSequence
    lines[0].GraphicAnnotationUnits = "DISPLAY"
    lines[1].GraphicType = "CIRCLE"
    assert causes(marks_of_state(state, export)) == [
        "coordinates that are not in pixels of the image",
        "a graphic that is not a line of two points",
    ]


def test_a_line_that_crosses_two_others_has_no_partner():
    ends = [[0, 10], [20, 10]], [[5, 0], [5, 20]], [[15, 0], [15, 20]], [[90, 90], [99, 99]]
    lines = [Line(np.array(each, float), "1", 0) for each in ends]
    pairs, alone, unclear = pair_lines(lines, (1, 1))
    assert (len(pairs), len(alone), len(unclear)) == (0, 1, 3)


def test_which_diameter_is_longer_is_judged_in_the_patient(series):
    _, export = series
    long, short = (Line(ends, "1", 0) for ends in (ENDS[:2], ENDS[2:]))
    given = {"source": "SR", "source_uid": "", "item": 1}
    assert not mark_of_axes(long, short, export, **given).notes
    tall = Line(
        np.array([[50.0, 29.0], [50.0, 66.0]]), "1", 0
    )  # 37 px of 0.8 mm, against 40 of 0.7
    (pair,), _, _ = pair_lines([Line(ENDS[:2], "1", 0), tall], (0.7, 0.8))
    assert pair[0] is tall


def write_aim(folder, mark, form):
    """The same annotation as AIM 4 in JSON, AIM 4 in XML, or AIM 3."""
    path = folder / form
    if form == "json":
        path.write_text(json.dumps(aim_annotation(mark)))
        return path
    shapes = ""
    for ends in (mark.ends[:2] + 0.5, mark.ends[2:] + 0.5):
        points = "".join(
            f'<TwoDimensionSpatialCoordinate><coordinateIndex value="{i}"/><x value="{x}"/>'
            f'<y value="{y}"/></TwoDimensionSpatialCoordinate>'
            if form == "aim4"
            else f'<SpatialCoordinate coordinateIndex="{i}" imageReferenceUID="{mark.image_uid}"'
            f' referencedFrameNumber="0" x="{x}" y="{y}"/>'
            for i, (x, y) in reversed(list(enumerate(ends)))
        )
        shapes += (
            f'<MarkupEntity xsi:type="TwoDimensionPolyline"><imageReferenceUid'
            f' root="{mark.image_uid}"/><twoDimensionSpatialCoordinateCollection>{points}'
            "</twoDimensionSpatialCoordinateCollection></MarkupEntity>"
            if form == "aim4"
            else f'<GeometricShape xsi:type="Polyline">{points}</GeometricShape>'
        )
    path.write_text(
        '<?xml version="1.0"?><!-- AIM --><ImageAnnotation xmlns="gme://AIM" uniqueIdentifier="1.2"'
        ' name="Lesion" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">'
        f"{shapes}</ImageAnnotation>"
    )
    return path


@pytest.mark.parametrize("form", ["json", "aim4", "aim3"])
def test_coordinates_of_aim_count_from_the_first_pixels_corner(series, tmp_path, form):
    images, export = series
    mark = only_mark(marks_of_aim(write_aim(tmp_path, mark_on(images[1]), form), export))
    np.testing.assert_allclose(mark.ends, ENDS, atol=1e-5)
    assert (mark.image_uid, mark.frame) == (images[1].SOPInstanceUID, 0)
    assert mark.lesion == (TRACKING if form == "json" else "lesion")


def test_a_list_of_annotations_in_json_is_read_as_well(series, tmp_path):
    images, export = series
    contents = [aim_annotation(mark_on(image)) for image in images[1:3]]
    (tmp_path / "aim").write_text(json.dumps(contents))
    marks, refused = marks_of_aim(tmp_path / "aim", export)
    assert [mark.image_uid for mark in marks] == [image.SOPInstanceUID for image in images[1:3]]
    assert not refused


@pytest.mark.parametrize("form", ["json", "aim4", "aim3"])
@pytest.mark.parametrize("order", ["le", "be"])
def test_annotations_may_be_in_utf_16(series, tmp_path, form, order):
    images, export = series
    path = write_aim(tmp_path, mark_on(images[1]), form)
    text = path.read_text()
    text = text.replace('version="1.0"', 'version="1.0" encoding="UTF-16"')
    path.write_text(f"\ufeff{text}", encoding=f"utf-16-{order}")
    np.testing.assert_allclose(only_mark(marks_of_aim(path, export)).ends, ENDS, atol=1e-5)
    (tmp_path / "export").mkdir()
    path.rename(tmp_path / "export" / "aim")
    (document,) = read_export(tmp_path / "export").documents
    assert document.kind == ("json" if form == "json" else "xml")


@pytest.mark.parametrize("uid", ["", "0f8fad5b-d9cb-469f-a165-708677289501"])
def test_annotations_without_a_uid_are_documents_of_their_own(series, tmp_path, uid):
    """Otherwise, the diameters of two readers would be added up as parts of the lesion."""
    images, export = series
    content = aim_annotation(mark_on(images[1]))
    annotations = content["ImageAnnotationCollection"]["imageAnnotations"]["ImageAnnotation"]
    annotations[0]["uniqueIdentifier"] = {"root": uid}
    annotations.append(annotations[0])
    marks = []
    for name in ("one", "other"):
        (tmp_path / name).write_text(json.dumps(content))
        marks += marks_of_aim(tmp_path / name, export)[0]
    assert [mark.source_uid for mark in marks] == [""] * 4
    assert len({mark.document for mark in marks}) == 4


AIM_3_SITE = """<anatomicEntityCollection><AnatomicEntity codeMeaning="{meaning}" codeValue="1"
    codingSchemeDesignator="RADLEX"/></anatomicEntityCollection>"""
AIM_4_SITE = """<imagingPhysicalEntityCollection><ImagingPhysicalEntity><typeCode code="1"
    codeSystemName="RadLex"><iso:displayName xmlns:iso="uri:iso.org:21090" value="{meaning}"/>
    </typeCode></ImagingPhysicalEntity></imagingPhysicalEntityCollection>"""


@pytest.mark.parametrize(
    ("meaning", "node", "notes"),
    [
        ("Mediastinal Lymph Node", True, ()),
        ("nodal station", False, (NO_LYMPH_NODE,)),
        ("lung", False, ()),
    ],
)
@pytest.mark.parametrize(("form", "site"), [("aim3", AIM_3_SITE), ("aim4", AIM_4_SITE)])
def test_a_site_of_aim_may_be_a_lymph_node(series, tmp_path, form, site, meaning, node, notes):
    images, export = series
    path = write_aim(tmp_path, mark_on(images[1]), form)
    end = "</ImageAnnotation>"
    path.write_text(path.read_text().replace(end, site.format(meaning=meaning) + end))
    mark = only_mark(marks_of_aim(path, export))
    assert (mark.node, mark.notes) == (node, notes)


@pytest.mark.parametrize("entity", ["ImagingPhysicalEntity", "ImagingObservationEntity"])
@pytest.mark.parametrize(
    ("code", "present", "node"),
    [("62683002", "true", True), ("62683002", "false", False), ("39607008", "true", False)],
)
def test_a_code_of_aim_may_be_that_of_a_lymph_node(series, tmp_path, entity, code, present, node):
    images, export = series
    content = aim_annotation(mark_on(images[1]))
    (annotation,) = content["ImageAnnotationCollection"]["imageAnnotations"]["ImageAnnotation"]
    described = {
        "typeCode": [{"code": code, "codeSystemName": "SCT"}],
        "isPresent": {"value": present},
    }
    annotation[f"{entity[0].lower()}{entity[1:]}Collection"] = {entity: [described]}
    (tmp_path / "aim").write_text(json.dumps(content))
    assert only_mark(marks_of_aim(tmp_path / "aim", export)).node == node


@pytest.mark.parametrize(
    ("length", "unit", "note"),
    [(2.8, "linear", "in cm"), (2.8, "cm", ""), (28.0, "mm", ""), (31.0, "mm", "contradicts")],
)
def test_a_length_that_aim_states_is_compared_and_never_used(series, tmp_path, length, unit, note):
    images, export = series
    content = aim_annotation(mark_on(images[1]))
    (annotation,) = content["ImageAnnotationCollection"]["imageAnnotations"]["ImageAnnotation"]
    annotation["markupEntityCollection"]["MarkupEntity"].pop()
    data = {"CalculationData": [{"value": {"value": str(length)}}]}
    result = {"unitOfMeasure": {"value": unit}, "calculationDataCollection": data}
    annotation["calculationEntityCollection"] = {
        "CalculationEntity": [
            {"typeCode": [{"code": "112031"}], "calculationResultCollection": {}},
            {
                "typeCode": [{"code": "G-D7FE"}],
                "calculationResultCollection": {"CalculationResult": [result]},
            },
        ]
    }
    (tmp_path / "aim").write_text(json.dumps(content))
    mark = only_mark(marks_of_aim(tmp_path / "aim", export))
    np.testing.assert_allclose(mark.ends, ENDS[:2], atol=1e-5)
    assert note in "".join(mark.notes)
    assert bool(note) == bool(mark.notes)


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        ('{"a": 1}', "no AIM annotation"),
        ('{"a": ', "damaged JSON"),
        ("<a><b></a>", "damaged XML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>', "XML that defines entities"),
        ("{" * 100_000, "damaged JSON"),
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le"])
def test_other_text_is_no_aim(series, tmp_path, content, cause, encoding):
    path = tmp_path / "text"
    path.write_text(content if encoding == "utf-8" else f"\ufeff{content}", encoding=encoding)
    with pytest.raises(NotAimError, match=cause):
        marks_of_aim(path, series[1])


def test_codes_of_the_phantom_are_those_of_the_standard():
    assert codes.SCT.LongAxis.value == "103339001"
    assert codes.SCT.ShortAxis.value == "103340004"
