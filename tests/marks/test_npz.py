"""Marks that are drawn into volumes (.npz): their ends, slices and mm, and what is refused."""

import cv2
import nibabel
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from weaklesion.cli import app
from weaklesion.errors import DataError
from weaklesion.marks.drawn_lines import ends_of_drawn
from weaklesion.marks.images import read_picture
from weaklesion.marks.npz import write_marks_of_npz
from weaklesion.marks.table import BadMarkError, mark_ellipse, read_marks
from weaklesion.marks.volumes import spacing_of

LONG, SHORT = ((20, 30), (70, 45)), ((50, 25), (41, 50))


def drawn(*lines, shape=(100, 110), width=1):
    image = np.zeros(shape, np.uint8)
    for start, stop in lines:
        cv2.line(image, start, stop, 1, width)
    return image > 0


def same_line(found, line):
    return min(np.abs(found - line).max(), np.abs(found - line[::-1]).max())


@pytest.mark.parametrize("width", [1, 2, 3])
def test_the_ends_of_two_lines_come_back(width):
    ends = ends_of_drawn(drawn(LONG, SHORT, width=width))
    assert same_line(ends[:2], np.array(LONG)) <= (0 if width == 1 else 2)
    assert same_line(ends[2:], np.array(SHORT)) <= (0 if width == 1 else 2)


def test_many_crosses_come_back_to_a_pixel():
    """Any direction; lengths from 12 px; the short line crosses anywhere but at the ends."""
    rng = np.random.default_rng(0)
    for _ in range(200):
        length, ratio, where = rng.uniform(12, 80), rng.uniform(0.4, 0.95), rng.uniform(0.3, 0.7)
        angle = rng.uniform(0, np.pi)
        along = np.array([np.cos(angle), np.sin(angle)]) * length
        across = np.array([-along[1], along[0]]) * ratio
        start = np.array([100, 100]) - along / 2
        cross = start + where * along - rng.uniform(0.3, 0.7) * across
        lines = [np.round([a, b]).astype(int) for a, b in
                 ((start, start + along), (cross, cross + across))]  # fmt: skip
        pixels = drawn(*([tuple(map(int, end)) for end in line] for line in lines),
                       shape=(200, 200))  # fmt: skip
        ends = ends_of_drawn(pixels)
        assert len(ends) == 4
        assert same_line(ends[:2], lines[0]) <= 1
        assert same_line(ends[2:], lines[1]) <= 1


def random_cross(rng, shortest, longest):
    """Whole ends of two lines across each other, (2, 2, 2), the longer one first."""
    long, angle = rng.uniform(shortest, longest), rng.uniform(0, np.pi)
    short = long * rng.uniform(0.5, 1)
    along, across = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    cross, (first, second) = 64 + rng.uniform(-0.5, 0.5, 2), rng.uniform(0.35, 0.65, 2)
    lines = [
        [cross - part * length * axis, cross + (1 - part) * length * axis]
        for part, length, axis in ((first, long, along), (second, short, across))
    ]
    return np.rint(lines).astype(int)


@pytest.mark.parametrize(
    ("width", "shortest", "longest", "exact_px"),
    [(1, 6, 10, 0), (1, 8, 40, 0), (2, 24, 60, 1), (3, 12, 60, 2)],
)
def test_random_crosses_are_read_from_the_sizes_that_the_page_names(
    width, shortest, longest, exact_px
):
    rng = np.random.default_rng(0)
    for _ in range(400):
        lines = random_cross(rng, shortest, longest)
        ends = ends_of_drawn(drawn(*lines.tolist(), shape=(128, 128), width=width))
        assert len(ends) == 4
        found = ends[:2], ends[2:]
        apart = [
            max(same_line(one, lines[0]), same_line(other, lines[1]))
            for one, other in (found, found[::-1])  # two lines may be equally long
        ]
        assert min(apart) <= exact_px


def test_no_small_cross_is_taken_for_a_single_diameter():
    rng = np.random.default_rng(0)
    for _ in range(400):
        lines = random_cross(rng, 4, 12)
        try:
            ends = ends_of_drawn(drawn(*lines.tolist(), shape=(128, 128)))
        except BadMarkError:
            continue
        assert len(ends) == 4


def test_pixels_that_no_single_line_explains_are_refused():
    """A bar with a stub on one side that is too short for a diameter."""
    pixels = drawn(((20, 30), (60, 30)))
    pixels[31:33, 40] = True
    with pytest.raises(BadMarkError, match="not one line, or two"):
        ends_of_drawn(pixels)


@pytest.mark.parametrize("width", [1, 2, 3])
def test_a_wide_line_is_no_cross(width):
    rng = np.random.default_rng(0)
    for _ in range(200):
        turn, length = rng.uniform(0, np.pi), rng.uniform(24, 60)
        reach = np.array([np.cos(turn), np.sin(turn)]) * length / 2
        line = np.rint([64 - reach, 64 + reach]).astype(int).tolist()
        assert len(ends_of_drawn(drawn(line, shape=(128, 128), width=width))) == 2


@pytest.mark.parametrize("width", [1, 2, 3])
def test_one_line_is_one_diameter(width):
    ends = ends_of_drawn(drawn(LONG, width=width))
    assert len(ends) == 2
    assert same_line(ends, np.array(LONG)) <= (0 if width == 1 else 2)


def test_lines_at_the_edge_of_the_image_come_back():
    ends = ends_of_drawn(drawn(((0, 0), (0, 99)), ((0, 50), (60, 50))))
    assert same_line(ends[:2], np.array([[0, 0], [0, 99]])) == 0
    assert same_line(ends[2:], np.array([[0, 50], [60, 50]])) <= 1  # it only touches the long one


@pytest.mark.parametrize(
    ("pixels", "words"),
    [
        (drawn(), "fewer than two pixels"),
        (drawn(((5, 5), (5, 5))), "fewer than two pixels"),
        (cv2.circle(np.zeros((90, 90), np.uint8), (40, 40), 30, 1, -1) > 0, "an area is drawn"),
        (drawn(((5, 5), (5, 5)), ((50, 60), (50, 60))), "not one line, or two"),
    ],
)
def test_what_draws_no_lines_is_refused(pixels, words):
    with pytest.raises(BadMarkError, match=words):
        ends_of_drawn(pixels)


def volume(path, **changes):
    """Lesion 3 in slice 2 with two lines, lesion 7 in slice 4 with one; mm are (x, y, z)."""
    rng = np.random.default_rng(0)
    recist = np.zeros((6, 100, 110), np.uint8)
    recist[2][drawn(LONG, SHORT)] = 3
    recist[4][drawn(((30, 60), (80, 60)))] = 7
    arrays = {
        "imgs": rng.integers(0, 255, recist.shape, dtype=np.uint8),
        "recist": recist,
        "spacing": np.array([0.7, 0.7, 5.0]),
        "gts": recist,
    } | changes
    np.savez_compressed(path, **{name: each for name, each in arrays.items() if each is not None})
    return arrays


def test_a_volume_becomes_a_table_that_segment_reads(tmp_path):
    arrays = volume(tmp_path / "case.npz")
    counts = write_marks_of_npz([tmp_path / "case.npz"], tmp_path / "out", short_of_long=0.6)
    assert counts == (2, 0)
    marks, refused = read_marks(tmp_path / "out/marks.csv")
    assert not refused
    assert [(mark.id, mark.group, mark.spacing) for mark in marks] == [
        ("case_3", "case", (0.7, 0.7)),
        ("case_7", "case", (0.7, 0.7)),
    ]
    assert same_line(marks[0].points[:2], np.array(LONG)) == 0
    np.testing.assert_allclose(np.sort(marks[1].points[2:], 0), [[55, 45], [55, 75]])
    for mark, number in zip(marks, (2, 4), strict=True):
        mark_ellipse(mark.points, (100, 110), mark.spacing)
        assert np.array_equal(cv2.imread(str(mark.image), -1), arrays["imgs"][number])


def test_hounsfield_units_are_kept(tmp_path):
    hounsfield = np.random.default_rng(1).integers(-1024, 3000, (6, 100, 110)).astype(np.int16)
    volume(tmp_path / "ct.npz", imgs=hounsfield)
    write_marks_of_npz([tmp_path / "ct.npz"], tmp_path / "out", short_of_long=0.6)
    mark = read_marks(tmp_path / "out/marks.csv")[0][0]
    levels = cv2.imread(str(mark.image), -1)
    assert np.array_equal(levels.astype(int) - 32768, hounsfield[2])


@pytest.mark.parametrize("spacing", [(0.7, 0.7, 5.0), (5.0, 0.7, 0.7)], ids=str)
def test_volumes_of_levels_show_the_same_levels_as_pictures(tmp_path, spacing):
    arrays = volume(tmp_path / "case.npz", spacing=np.array(spacing))
    window = (-160.0, 240.0)
    counts = write_marks_of_npz([tmp_path / "case.npz"], tmp_path / "out", short_of_long=0.6,
                                volume=True, window_hu=window)  # fmt: skip
    assert counts == (2, 0)
    marks, _ = read_marks(tmp_path / "out/marks.csv")
    assert [(mark.id, mark.slice, mark.image.name) for mark in marks] == [
        ("case_3", 2, "case.nii"),
        ("case_7", 4, "case.nii"),
    ]
    for mark in marks:
        picture = read_picture(mark, window)
        assert np.array_equal(picture.levels[..., 0], arrays["imgs"][mark.slice])
        assert picture.spacing == pytest.approx((0.7, 0.7))
        assert np.abs(picture.volume.affine[2, 2]) == pytest.approx(5)


def test_volumes_of_hounsfield_units_are_kept(tmp_path):
    hounsfield = np.random.default_rng(1).integers(-1024, 3000, (6, 100, 110)).astype(np.int16)
    volume(tmp_path / "ct.npz", imgs=hounsfield, spacing=np.ones(3))
    write_marks_of_npz([tmp_path / "ct.npz"], tmp_path / "out", volume=True)
    image = nibabel.load(tmp_path / "out/images/ct.nii")
    assert np.array_equal(np.asarray(image.dataobj).T, hounsfield)
    assert spacing_of(image) == (1, 1)  # and not those that libraries write without a geometry


def test_volumes_of_levels_need_their_window(tmp_path):
    volume(tmp_path / "case.npz")
    with pytest.raises(DataError, match="no mark can be used"):
        write_marks_of_npz([tmp_path / "case.npz"], tmp_path / "out", volume=True)
    (cause,) = pd.read_csv(tmp_path / "out/refused.csv")["cause"]
    assert "give --window" in cause
    with pytest.raises(DataError, match="window"):
        write_marks_of_npz([], tmp_path / "out", volume=True, window_hu=(3.0, 2.0))


def causes(tmp_path, **changes):
    volume(tmp_path / "case.npz", **changes)
    with pytest.raises(DataError, match="no mark can be used"):
        write_marks_of_npz([tmp_path / "case.npz"], tmp_path / "out", short_of_long=0.6)
    return pd.read_csv(tmp_path / "out/refused.csv")["cause"].tolist()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"recist": None}, "has no recist: needs imgs, recist, spacing, has imgs"),
        ({"imgs": np.zeros((6, 100, 100), np.uint8)}, "need one shape, (D, H, W)"),
        ({"recist": np.ones((6, 100, 110))}, "recist is float64"),
        ({"imgs": np.zeros((6, 100, 110), np.float32)}, "give levels as uint8"),
        ({"imgs": np.full((6, 100, 110), 40000, np.int32)}, "or Hounsfield units as int16"),
        (
            {"imgs": np.full((6, 100, 110), 24, np.int16)},
            "imgs is int16 from 24 to 24: without a value below 0, Hounsfield units cannot be told"
            " from levels. Give",
        ),
        ({"spacing": np.array([0.7, 0.8, 5.0])}, "are not square"),
        ({"spacing": np.array([0.7, 0.7])}, "spacing is not three numbers"),
        ({"spacing": np.array([0.0, 0.0, 5.0])}, "is not three numbers above 0"),
        ({"spacing": np.array([{}, 1, 2])}, "cannot be read"),  # a pickle
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, changes, words):
    (cause,) = causes(tmp_path, **changes)
    assert words in cause


def test_lesions_that_cannot_be_used_are_named_and_the_others_written(tmp_path):
    volume(tmp_path / "case.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK\x03\x04 and no more")
    files = [tmp_path / "bad.npz", tmp_path / "case.npz"]
    assert write_marks_of_npz(files, tmp_path / "out") == (1, 2)
    refused = pd.read_csv(tmp_path / "out/refused.csv").to_dict("records")
    assert refused[0]["file"] == "bad.npz"
    assert "cannot be read" in refused[0]["cause"]
    assert (refused[1]["file"], refused[1]["lesion"]) == ("case.npz", 7)
    assert "--single-diameters" in refused[1]["cause"]
    recist = np.zeros((6, 100, 110), np.uint8)
    recist[2:4, drawn(LONG, SHORT)] = 1
    assert causes(tmp_path, recist=recist) == ["is drawn in 2 slices: draw it in one"]


def test_the_lesion_of_an_array_of_bool_is_number_1(tmp_path):
    volume(tmp_path / "case.npz", recist=np.stack([drawn(LONG, SHORT)] + [drawn()] * 5))
    assert write_marks_of_npz([tmp_path / "case.npz"], tmp_path / "out") == (1, 0)
    (mark,), _ = read_marks(tmp_path / "out/marks.csv")
    assert mark.id == "case_1"


def test_numbers_that_masks_cannot_have_are_refused_by_lesion(tmp_path):
    recist = np.zeros((6, 100, 110), np.int64)
    for place, number in enumerate((-1, 70000, 65535)):
        recist[place][drawn(LONG, SHORT)] = number
    volume(tmp_path / "case.npz", recist=recist)
    assert write_marks_of_npz([tmp_path / "case.npz"], tmp_path / "out") == (1, 2)
    refused = pd.read_csv(tmp_path / "out/refused.csv")
    assert refused["lesion"].tolist() == [-1, 70000]
    assert refused["cause"][1].startswith(
        "recist has the value 70000: number lesions from 1 to 65535"
    )


def test_large_files_and_equal_names_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("WEAKLESION_MAX_VOLUME_BYTES", "1000")
    (cause,) = causes(tmp_path)
    assert "WEAKLESION_MAX_VOLUME_BYTES" in cause
    with pytest.raises(DataError, match="two files have the same name"):
        write_marks_of_npz([tmp_path / "a/x.npz", tmp_path / "b/X.npz"], tmp_path / "out")
    with pytest.raises(DataError, match="single diameters"):
        write_marks_of_npz([], tmp_path / "out", short_of_long=2)


def test_the_command_says_what_it_wrote(tmp_path):
    volume(tmp_path / "case.npz")
    result = CliRunner().invoke(app, ["npz", str(tmp_path / "case.npz"), "--out", str(tmp_path)])
    assert result.exit_code == 0, result.output
    assert "1 marks; 1 refused" in result.output.replace("\n", "")


def test_a_corrected_table_is_not_written_over(tmp_path):
    volume(tmp_path / "case.npz")
    for _ in range(2):  # an unchanged one is
        write_marks_of_npz([tmp_path / "case.npz"], tmp_path / "out", short_of_long=0.6)
    table = tmp_path / "out/marks.csv"
    corrected = table.read_text().replace("case_7", "left lung")
    table.write_text(corrected)
    with pytest.raises(DataError, match=r"has marks\.csv, which this command did not write"):
        write_marks_of_npz([tmp_path / "case.npz"], tmp_path / "out", short_of_long=0.6)
    assert table.read_text() == corrected
