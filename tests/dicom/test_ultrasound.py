"""mm of ultrasound images: per region, and only where a mark is in one that has them."""

import numpy as np
import pandas as pd
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from test_import import ENDS, with_report

from weaklesion.dicom import ultrasound
from weaklesion.dicom.image_objects import read_image_object
from weaklesion.dicom.importing import import_export
from weaklesion.dicom.phantom import make_series

SECONDS, DOPPLER, SPECTRUM = 4, 2, 3


def region(corners, *, mm=(0.5, 0.25), units=(3, 3), spatial_format=1, data_type=1):
    """A region of first x, first y, last x, last y."""
    item = Dataset()
    for name, value in zip(("MinX0", "MinY0", "MaxX1", "MaxY1"), corners, strict=True):
        setattr(item, f"RegionLocation{name}", value)
    item.RegionSpatialFormat, item.RegionDataType, item.RegionFlags = spatial_format, data_type, 0
    item.PhysicalUnitsXDirection, item.PhysicalUnitsYDirection = units
    item.PhysicalDeltaX, item.PhysicalDeltaY = (each / 10 for each in mm)  # cm
    return item


def header(*regions):
    dataset = Dataset()
    dataset.SequenceOfUltrasoundRegions = Sequence(regions)
    return dataset


WHOLE = (30, 40, 70, 62)  # just holds ENDS


@pytest.mark.parametrize(
    ("regions", "cause"),
    [
        ([region(WHOLE)], ""),
        ([region(WHOLE, mm=(-0.5, 0.25))], ""),  # y or x may run backwards
        ([region(WHOLE), region((0, 0, 100, 100))], ""),  # both have the same spacing
        ([region((80, 40, 90, 62)), region(WHOLE)], ""),
        ([region((80, 40, 90, 62))], ultrasound.OUTSIDE),
        ([], ultrasound.OUTSIDE),
        ([region((30, 40, 69, 62))], ultrasound.ACROSS),
        ([region((0, 0, 49, 99)), region((50, 0, 99, 99))], ultrasound.ACROSS),
        ([region(WHOLE), region(WHOLE, mm=(0.5, 0.3))], ultrasound.TWO_SPACINGS),
        ([region(WHOLE, units=(SECONDS, 3))], ultrasound.NOT_CM),
        ([region(WHOLE, mm=(0.0, 0.25))], ultrasound.NOT_CM),
        ([region(WHOLE, data_type=DOPPLER)], ultrasound.OTHER_KIND),
        ([region(WHOLE), region((0, 0, 99, 99), spatial_format=SPECTRUM)], ultrasound.OTHER_KIND),
    ],
)
def test_a_mark_has_mm_where_every_region_agrees(regions, cause):
    spacing, found = ultrasound.spacing_in(ultrasound.read_regions(header(*regions)), ENDS)
    assert found == cause
    assert spacing == (None if cause else pytest.approx((0.5, 0.25)))


def test_a_region_without_a_place_gives_no_mm():
    item = region(WHOLE)
    del item.RegionLocationMinX0
    regions = ultrasound.read_regions(header(item, region(WHOLE)))
    assert ultrasound.spacing_in(regions, ENDS) == (None, ultrasound.NOT_CM)


def ultrasound_export(folder, *regions):
    (image, _), *_ = make_series(np.random.default_rng(0), 0, 1)
    image.Modality = "US"
    image.WindowCenter, image.WindowWidth = 40, 400
    del image.PixelSpacing
    image.SequenceOfUltrasoundRegions = Sequence(regions)
    import_export(with_report([image], folder / "in"), folder / "out")
    (found,) = pd.read_csv(folder / "out/found.csv", keep_default_na=False).to_dict("records")
    (row,) = pd.read_csv(folder / "out/marks.csv").to_dict("records")
    return found, row


def test_an_import_writes_the_mm_of_the_region(tmp_path):
    found, row = ultrasound_export(tmp_path, region((0, 0, 90, 90), mm=(0.7, 0.8)))
    assert (row["spacing_x"], row["spacing_y"]) == (0.7, 0.8)
    assert found["notes"] == ""  # the report's lengths are those of 0.7 x 0.8 mm


def test_an_import_tells_why_there_are_no_mm(tmp_path):
    found, row = ultrasound_export(tmp_path, region((0, 0, 60, 90)), region((61, 0, 99, 90)))
    assert np.isnan(row["spacing_x"])
    assert ultrasound.ACROSS in found["notes"]


def test_pixel_spacing_counts_where_the_image_has_it():
    (image, _), *_ = make_series(np.random.default_rng(0), 0, 1)
    image.update(header(region(WHOLE)))
    assert read_image_object("", image).regions == ()
