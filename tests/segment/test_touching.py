"""Marks of one image whose masks share pixels or touch are named, and their masks stay."""

import cv2
import nibabel
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from segmenting import read_png, run

from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.recist import RECIST_COLUMNS, recist_from_ellipse
from weaklesion.segment.touching import box_of, note_touching

ROOM = (12, 16)


def block(top, left, bottom, right):
    mask = np.zeros(ROOM, bool)
    mask[top:bottom, left:right] = True
    return mask


def rows_of(folder, masks, *, boxes, volume=False, slices=None):
    """Masks as files, and their rows."""
    rows = []
    for number, mask in enumerate(masks):
        name = f"{number}.nii.gz" if volume else f"{number}.png"
        where = slices[number] if slices else (1 if volume else None)
        if volume:
            voxels = np.zeros((*mask.T.shape, 3), np.uint8)
            voxels[..., where] = mask.T
            nibabel.save(nibabel.Nifti1Image(voxels, np.eye(4)), folder / name)
        else:
            Image.fromarray((mask * 255).astype(np.uint8)).save(folder / name)
        rows.append({"id": f"m{number}", "image": folder / "x", "slice": where, "mask": name})
        rows[-1] |= {"box": box_of(mask)} if boxes else {}
    return rows


def touches(folder, masks, **options):
    rows = rows_of(folder, masks, **options)
    number = note_touching(rows, folder)
    told = [row["touches"] for row in rows]
    assert number == sum(map(bool, told))
    return told


@pytest.mark.parametrize("boxes", [True, False])
@pytest.mark.parametrize("volume", [True, False])
@pytest.mark.parametrize(
    ("other", "found"),
    [
        ((3, 3, 7, 7), True),  # shares pixels
        ((2, 6, 6, 9), True),  # side by side
        ((6, 6, 8, 8), True),  # corner to corner
        ((2, 7, 6, 9), False),  # a column between them
        ((7, 7, 8, 8), False),  # a pixel between the corners
    ],
)
def test_two_blocks(tmp_path, other, found, boxes, volume):
    """The first has rows and columns 2 to 5."""
    told = touches(tmp_path, [block(2, 2, 6, 6), block(*other)], boxes=boxes, volume=volume)
    assert told == (["m1", "m0"] if found else ["", ""])


def test_boxes_that_overlap_are_not_enough(tmp_path):
    corner = block(2, 2, 8, 3) | block(2, 2, 3, 8)  # an L around the other block
    assert touches(tmp_path, [corner, block(5, 5, 7, 7)], boxes=True) == ["", ""]


def test_empty_masks_touch_nothing(tmp_path):
    empty = block(0, 0, 0, 0)
    assert touches(tmp_path, [empty, block(0, 0, 2, 2), empty], boxes=True) == ["", "", ""]
    assert touches(tmp_path, [empty, empty], boxes=False) == ["", ""]


def test_three_in_a_row(tmp_path):
    masks = [block(0, left, 2, left + 2) for left in (0, 2, 4)]
    assert touches(tmp_path, masks, boxes=True) == ["m1", "m0; m2", "m1"]


def test_masks_of_any_form_touch_where_one_pixel_does(tmp_path):
    rng = np.random.default_rng(0)
    masks = [np.zeros(ROOM, bool) for _ in range(12)]
    for mask in masks:
        top, left = rng.integers(0, 9, 2)
        mask[top : top + 3, left : left + 4] = rng.random((3, 4)) < 0.3
    around = [cv2.dilate(mask.astype(np.uint8), np.ones((3, 3))) > 0 for mask in masks]
    expected = [
        "; ".join(f"m{j}" for j in range(12) if j != i and (around[i] & masks[j]).any())
        for i in range(12)
    ]
    assert touches(tmp_path, masks, boxes=True) == expected


def test_of_many_others_a_row_names_twenty(tmp_path):
    told = touches(tmp_path, [block(2, 2, 6, 6)] * 23, boxes=True)
    first = [f"m{number}" for number in range(23)]
    assert told[0] == "; ".join(first[1:21]) + "; and 2 more"
    assert told[22] == "; ".join(first[:20]) + "; and 2 more"
    assert told[5] == "; ".join(first[:5] + first[6:21]) + "; and 2 more"
    told = touches(tmp_path, [block(2, 2, 6, 6)] * 21, boxes=True)
    assert told[0] == "; ".join(first[1:21])


def test_an_id_with_a_semicolon_is_in_quotation_marks(tmp_path):
    rows = rows_of(tmp_path, [block(2, 2, 6, 6)] * 3, boxes=True)
    rows[1]["id"] = "a; b"
    note_touching(rows, tmp_path)
    assert [row["touches"] for row in rows] == ['"a; b"; m2', "m0; m2", 'm0; "a; b"']


def test_other_slices_and_other_images_are_apart(tmp_path):
    masks = [block(2, 2, 6, 6)] * 2
    assert touches(tmp_path, masks, boxes=True, volume=True, slices=[0, 1]) == ["", ""]
    rows = rows_of(tmp_path, masks, boxes=True)
    rows[1]["image"] = tmp_path / "y"
    assert note_touching(rows, tmp_path) == 0


def two_lesions(folder, centres):
    """Two discs of radius 12 on one grey image, with their marks."""
    discs = [Ellipse(x, 60.0, 24.0, 22.0, 0.0) for x in centres]
    inside = np.any([draw_ellipse(disc, (120, 160)) for disc in discs], axis=0)
    levels = np.where(inside, 90, 180) + np.random.default_rng(0).normal(0, 5, inside.shape)
    Image.fromarray(levels.clip(0, 255).astype(np.uint8)).save(folder / "two.png")
    return [
        {"id": name, "image": "two.png"}
        | dict(zip(RECIST_COLUMNS, recist_from_ellipse(disc).ravel(), strict=True))
        for name, disc in zip(("left", "right"), discs, strict=True)
    ]


def test_the_command_names_them_also_when_it_resumes(grey_model, tmp_path, caplog):
    rows = two_lesions(tmp_path, (60.0, 80.0))
    _, measured = run(grey_model, tmp_path, rows)
    masks = {
        name: read_png(tmp_path / "out" / measured.loc[name, "mask"]) for name in measured.index
    }
    assert (masks["left"] & masks["right"]).any()
    assert measured["touches"].to_dict() == {"left": "right", "right": "left"}
    assert "2 marks have masks that touch that of another mark" in caplog.text
    page = (tmp_path / "out/index.html").read_text("utf-8")
    assert "Its mask touches that of right." in page
    before = (tmp_path / "out/masks/left.png").stat().st_mtime_ns
    _, again = run(grey_model, tmp_path, rows)
    pd.testing.assert_frame_equal(again, measured)
    assert (tmp_path / "out/masks/left.png").stat().st_mtime_ns == before


def test_lesions_that_are_apart_have_an_empty_cell(model, tmp_path):
    _, measured = run(model, tmp_path, two_lesions(tmp_path, (40.0, 120.0)))
    assert measured["touches"].isna().all()
