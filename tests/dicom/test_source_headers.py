"""Results on images with other letters than the phantom's, or without some of its attributes."""

import numpy as np
import pydicom
import pytest
from pydicom import config
from pydicom.dataset import Dataset
from test_writing import MAKER, lesion_of

from weaklesion.dicom.export import read_export
from weaklesion.dicom.found import FoundMark
from weaklesion.dicom.phantom import make_series, save
from weaklesion.dicom.writing import write_dicom
from weaklesion.ellipse import fit_ellipse
from weaklesion.recist import recist_from_ellipse

KINDS = ["SEG", "SR", "RTSTRUCT", "SC"]


def written_for(tmp_path, change, name="m1"):
    """Write the results of one mark on a series whose headers `change` changes.

    Return the source's header as pydicom reads it, the table of results, and the results by kind.
    """
    slices = make_series(np.random.default_rng(0), 0, 3)
    for number, (image, _) in enumerate(slices):
        change(image)
        save(image, tmp_path / f"in/{number}")
    image, mask = slices[1]
    ends = recist_from_ellipse(fit_ellipse(mask))
    mark = FoundMark("table", "", 2, image.SOPInstanceUID, 0, ends, name=name)
    lesion = lesion_of(name, mark, mask, tmp_path)
    written = write_dicom([lesion], read_export(tmp_path / "in"), tmp_path / "out", MAKER,
                          structure_sets=True).set_index("kind")  # fmt: skip
    objects = {
        kind: pydicom.dcmread(tmp_path / "out" / file) for kind, file in written["file"].items()
        if file
    }  # fmt: skip
    return pydicom.dcmread(tmp_path / "in/1"), written, objects


@pytest.mark.parametrize(
    ("character_set", "name", "word"),
    [
        (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう", "病変の検査"),
        (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동", "검사"),
        ("ISO_IR 144", "Жукова^Дина", "опухоль"),
        ("ISO_IR 100", "Müller^Jörg", "Läsion"),
        (None, "Müller^Jörg", "Läsion"),  # pydicom takes Latin-1 where no set is stated
    ],
)
def test_names_and_words_of_the_source_are_those_of_all_results(
    tmp_path, character_set, name, word
):
    def change(image):
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "1", "99X", word
        if character_set:
            image.SpecificCharacterSet = character_set
        image.PatientName, image.StudyDescription = name, word
        image.ProcedureCodeSequence = [code]

    source, written, objects = written_for(tmp_path, change, name="病変1 Ж")
    assert (written["cause"] == "").all()
    assert str(source.PatientName) == name  # the test itself is right
    for kind in KINDS:
        assert objects[kind].SpecificCharacterSet == "ISO_IR 192"
        assert objects[kind].PatientName == name
        if kind != "SC":  # highdicom copies less of the study
            assert objects[kind].StudyDescription == word
            assert objects[kind].ProcedureCodeSequence[0].CodeMeaning == word
    assert objects["SEG"].SegmentSequence[0].SegmentLabel == "病変1 Ж"
    assert objects["RTSTRUCT"].StructureSetROISequence[0].ROIName == "病変1 Ж"
    assert "病変1 Ж" in str(objects["SR"])


def test_results_are_written_where_attributes_that_may_be_empty_were_removed(tmp_path):
    removed = [
        "PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
        "AccessionNumber", "StudyID", "ReferringPhysicianName", "SliceThickness", "SeriesNumber",
        "PositionReferenceIndicator", "Laterality", "Manufacturer", "InstitutionName",
    ]  # fmt: skip

    def change(image):
        for name in removed:
            delattr(image, name)

    source, written, objects = written_for(tmp_path, change)
    assert written["cause"].to_dict() == dict.fromkeys(KINDS, "")
    for kind in KINDS:
        for name in removed[:9]:
            assert name in objects[kind]
            assert not objects[kind][name].value
    assert not any(name in source for name in removed)  # the file is as it was
    (shared,) = objects["SEG"].SharedFunctionalGroupsSequence
    assert not shared.PixelMeasuresSequence[0].get("SliceThickness")


@pytest.mark.parametrize(
    ("name", "value", "named"),
    [
        ("StudyTime", "12:00:00", "StudyTime"),
        ("PatientBirthDate", "before 1950", "StudyDate or PatientBirthDate"),
        ("PatientSex", "female", "PatientSex"),
    ],
)
def test_a_value_that_is_not_as_dicom_defines_it_is_named_and_the_report_said_to_be_missing(
    tmp_path, name, value, named, monkeypatch
):
    for mode in ("reading_validation_mode", "writing_validation_mode"):
        monkeypatch.setattr(config.settings, mode, config.IGNORE)
    _, written, _ = written_for(tmp_path, lambda image: setattr(image, name, value))
    assert written["cause"].to_dict() == {
        "SEG": f"a value of its source is not as DICOM defines it ({named})",
        "SR": "the segmentation that it refers to was not written",
        "RTSTRUCT": "",
        "SC": f"a value of its source is not as DICOM defines it ({named})",
    }
    assert (written["ids"] == "m1").all()
