"""Simulated readers keep to the lesion's outline; their marks are wrong as they are told to be."""

import io
import math
import zipfile

import numpy as np
import pandas as pd
import pytest
from conftest import real
from PIL import Image

from weaklesion.data.ellipse_table import read_ellipses, read_ends, write_marks
from weaklesion.diameters import recist_from_mask
from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.recist import ellipse_from_recist
from weaklesion.supervision.simulated_readers import (
    NUM_DRAWS,
    Reader,
    read_lesion,
    simulate_readers,
)
from weaklesion.support.files import read_array
from weaklesion.support.yaml_files import read_yaml

SHAPE = (160, 200)
LESION = draw_ellipse(Ellipse(100.0, 80.0, 120.0, 70.0, 25.0), SHAPE).astype(bool)
EXACT = recist_from_mask(LESION)


def reader(**changes):
    return Reader(**{"direction_deg": 0.0, "tilt_deg": 0.0, "shift": 0.0, "inset": 0.0} | changes)


def draws(**values):
    names = ("direction", "tilt", "long", "short", "inset_a", "inset_b", "inset_c", "inset_d")
    return [values.get(name, 0.0) for name in names]


def length(points):
    return math.dist(*points)


def heading(points):
    (x, y) = points[1] - points[0]
    return math.degrees(math.atan2(y, x)) % 180


def test_a_reader_without_errors_makes_the_mark_by_definition():
    rng = np.random.default_rng(0)
    points = read_lesion(LESION, EXACT, reader(), rng.normal(size=NUM_DRAWS))
    assert points == pytest.approx(EXACT, abs=0.6)  # the outline of pixels, and that of `chords`


@pytest.mark.parametrize("turn", [-30.0, 10.0, 20.0])
def test_a_turned_diameter_ends_at_the_outline(turn):
    """The length of an ellipse's diameter at an angle is known."""
    how = reader(direction_deg=abs(turn))
    points = read_lesion(LESION, EXACT, how, draws(direction=math.copysign(1.0, turn)))
    assert (heading(points[:2]) - heading(EXACT[:2])) % 180 == pytest.approx(turn % 180, abs=0.1)
    angle = math.radians(heading(points[:2]) - 25.0)
    wanted = 120.0 * 70.0 / math.hypot(70.0 * math.cos(angle), 120.0 * math.sin(angle))
    assert length(points[:2]) == pytest.approx(wanted, abs=1.0)
    assert abs(heading(points[2:]) - heading(points[:2])) == pytest.approx(90.0, abs=0.1)


def test_the_short_diameter_tilts():
    points = read_lesion(LESION, EXACT, reader(tilt_deg=8.0), draws(tilt=-1.5))
    assert points[:2] == pytest.approx(EXACT[:2], abs=0.6)
    assert abs(heading(points[2:]) - heading(points[:2])) == pytest.approx(90.0 - 12.0, abs=0.1)


def test_diameters_are_moved_and_then_end_at_the_outline():
    """Half-way to an axis' end, an ellipse's chord parallel to the other is 0.866 of that."""
    points = read_lesion(LESION, EXACT, reader(shift=0.25), draws(long=1.0, short=1.0))
    root = math.sqrt(0.75)
    assert length(points[:2]) == pytest.approx(root * 120.0, abs=1.5)
    middle, moved = EXACT[:2].mean(axis=0), points[:2].mean(axis=0)
    assert math.dist(middle, moved) == pytest.approx(0.25 * 70.0, abs=1.0)
    # a quarter of the moved long diameter's length away from its middle
    aside = 0.25 * root * 120.0
    wanted = 70.0 * math.sqrt(1 - (aside / 60.0) ** 2)
    assert length(points[2:]) == pytest.approx(wanted, abs=1.5)


def test_ends_stay_inside():
    points = read_lesion(
        LESION, EXACT, reader(inset=0.05), draws(inset_a=-1.0, inset_b=2.0, inset_c=1.0)
    )
    assert length(points[:2]) == pytest.approx((1 - 0.05 - 0.1) * length(EXACT[:2]), abs=1.0)
    assert math.dist(points[0], EXACT[0]) == pytest.approx(0.05 * length(EXACT[:2]), abs=0.7)
    assert length(points[2:]) == pytest.approx(0.95 * length(EXACT[2:]), abs=1.0)
    assert points[3] == pytest.approx(EXACT[3], abs=0.7)


def test_the_longer_diameter_comes_first():
    disc = draw_ellipse(Ellipse(80.0, 80.0, 60.0, 58.0, 0.0), SHAPE).astype(bool)
    exact = recist_from_mask(disc)
    points = read_lesion(disc, exact, reader(inset=0.2), draws(inset_a=1.0, inset_b=1.0))
    assert length(points[:2]) > length(points[2:])
    assert abs(heading(points[:2]) - heading(exact[2:])) == pytest.approx(0.0, abs=0.1)


def test_a_draw_that_leads_outside_is_halved():
    points = read_lesion(LESION, EXACT, reader(shift=0.3), draws(long=4.0))
    # 1.2 and 0.6 short diameters away is outside, 0.3 is not
    moved = math.dist(EXACT[:2].mean(axis=0), points[:2].mean(axis=0))
    assert moved == pytest.approx(0.3 * length(EXACT[2:]), abs=1.0)


def test_marks_of_a_lesion_with_a_notch_and_at_the_border_end_within_it():
    lesion = LESION.copy()
    lesion[:, 98:104] &= np.arange(SHAPE[0])[:, None] > 75
    lesion = np.roll(lesion, -60, axis=1)
    lesion[:, 150:] = False
    mark = recist_from_mask(lesion)
    rng, how = (
        np.random.default_rng(2),
        reader(direction_deg=20, tilt_deg=10, shift=0.1, inset=0.02),
    )
    for _ in range(50):
        points = read_lesion(lesion, mark, how, rng.normal(size=NUM_DRAWS))
        x, y = np.floor(points + 0.5).astype(int).T
        assert lesion[y, x].all()
        for start, end in points.reshape(2, 2, 2):  # and are not drawn across the notch
            x, y = np.floor(start + np.linspace(0, 1, 200)[:, None] * (end - start) + 0.5).T
            assert lesion[y.astype(int), x.astype(int)].all()


def test_readers_with_the_default_settings_differ_as_radiologists_do(root):
    """About 6 % of one reading; Yoon et al. 2016: 8.6 % between readers, 6.1 % within one."""
    how = Reader(**read_yaml(root / "config.yaml")["readers"]["reader"])
    rng = np.random.default_rng(3)
    lengths = []
    for _ in range(300):
        axes = sorted(rng.uniform(30, 120, size=2))
        mask = draw_ellipse(Ellipse(100, 80, axes[1], axes[0], rng.uniform(0, 180)), SHAPE)
        mark = recist_from_mask(mask)
        pair = [read_lesion(mask > 0, mark, how, rng.normal(size=NUM_DRAWS)) for _ in range(2)]
        lengths.append([length(points[:2]) / length(mark[:2]) for points in pair])
    first, second = np.array(lengths).T
    of_one_reading = np.std(2 * (first - second) / (first + second)) / math.sqrt(2)
    assert 0.05 < of_one_reading < 0.075
    assert (first < 1.01).all()  # no reader finds more than the longest extent
    assert 0.05 < 1 - np.mean(lengths) < 0.15


def simulate(folder, how=None):
    simulate_readers(
        reference_npy=folder / "reference.npy",
        reference_ids_csv=folder / "samples.csv",
        ellipses_csv=folder / "ellipses.csv",
        reader=how or {"direction_deg": 12, "tilt_deg": 6, "shift": 0.06, "inset": 0.03},
        center="midpoint",
        ends_exponent=1.8,
        perturbed_csv=folder / "read.csv",
        ellipse_npy=folder / "ellipse.npy",
        ends_npy=folder / "ends.npy",
    )
    return read_ends(folder / "read.csv", 1.8)


def test_marks_masks_and_targets_are_joined_by_id(tmp_path):
    masks = {
        f"s{number}": draw_ellipse(
            Ellipse(90 + number, 80, 60 + 9 * number, 50, 20 * number), SHAPE
        )
        for number in range(4)
    }
    np.save(tmp_path / "reference.npy", np.stack(list(masks.values())).astype(np.uint8))
    pd.DataFrame({"id": list(masks)}).to_csv(tmp_path / "samples.csv", index=False)
    marks = {name: recist_from_mask(mask) for name, mask in masks.items()}
    found = {}
    for order in (list(marks), list(marks)[::-1]):
        rows = [(name, ellipse_from_recist(marks[name]), marks[name]) for name in order]
        write_marks(tmp_path / "ellipses.csv", rows)
        read = simulate(tmp_path)
        assert list(read) == order
        ellipses = read_ellipses(tmp_path / "read.csv")
        for number, (name, mark) in enumerate(read.items()):
            assert (read_array(tmp_path / "ends.npy")[number] == mark.drawn(SHAPE)).all()
            drawn = draw_ellipse(ellipses[name], SHAPE)
            assert (read_array(tmp_path / "ellipse.npy")[number] == drawn).all()
            # nearer to its own lesion than to any other
            overlap = {of: (mark.drawn(SHAPE) & (mask > 0)).sum() for of, mask in masks.items()}
            assert overlap[name] >= 0.8 * masks[name].sum()
        found[order[0]] = {name: mark.points for name, mark in read.items()}
    one, other = found.values()
    for name in marks:
        assert one[name] == pytest.approx(other[name])
        assert one[name] != pytest.approx(marks[name], abs=0.5)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="inset"):
        reader(inset=-0.1)


def test_readers_of_real_lesions_differ_as_the_documentation_says(root):
    """On every twentieth of HAM10000's masks, at 200x150 px."""
    archive = real("ham10000") / "HAM10000_segmentations_lesion_tschandl.zip"
    how = Reader(**read_yaml(root / "config.yaml")["readers"]["reader"])
    rng = np.random.default_rng(1)
    lengths = []
    with zipfile.ZipFile(archive) as masks:
        names = [n for n in masks.namelist() if n.endswith(".png") and "__MACOSX" not in n]
        for name in sorted(names)[::20]:
            grey = Image.open(io.BytesIO(masks.read(name))).convert("L")
            mask = np.asarray(grey.resize((200, 150), Image.Resampling.BILINEAR)) > 127
            mark = recist_from_mask(mask)
            pair = [read_lesion(mask, mark, how, rng.normal(size=NUM_DRAWS)) for _ in range(2)]
            lengths.append([length(points[:2]) / length(mark[:2]) for points in pair])
    assert len(lengths) == 501
    first, second = np.array(lengths).T
    spread = np.std(2 * (first - second) / (first + second)) / math.sqrt(2)
    page = " ".join((root / "docs/explanation/prompted.md").read_text().split())
    assert f"{100 * spread:.1f} % on 501" in page
    assert 1 - np.mean(lengths) == pytest.approx(0.1, abs=0.02)
