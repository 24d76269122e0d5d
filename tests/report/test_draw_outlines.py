"""`tools/draw_outlines.py`: which images of a study are drawn, and what of them."""

import sys
from unittest import mock

import draw_outlines
import numpy as np
import pandas as pd
import pytest

from weaklesion.ellipse import Ellipse, draw_ellipse
from weaklesion.metrics import dice

NUMBER = 20


def disc(radius):
    return draw_ellipse(Ellipse(30.0, 30.0, 2 * radius, 2 * radius, 0.0), (60, 60))


REFERENCE = disc(16)
ELLIPSE = disc(13)
ARM = [disc(10 + number / 2) for number in range(NUMBER)]  # of the first seed


def ranked(number):
    return f"{number:02d}"


def write_masks(folder, name, masks, ids):
    folder.mkdir(parents=True)
    np.save(folder / f"{name}.npy", np.stack(masks))
    table = "samples.csv" if name == "reference" else f"{name}.csv"
    pd.DataFrame({"id": ids}).to_csv(folder / table, index=False)


@pytest.fixture
def drawn(tmp_path, monkeypatch):
    """The figure of a study whose arm has smaller masks the more an image loses."""
    results, ids = tmp_path / "results", [ranked(number) for number in range(NUMBER)]
    place = results / "study/phantom/by_lesion"
    write_masks(place / "patches", "reference", [REFERENCE] * NUMBER, ids)
    write_masks(place / "runs/ellipse/seed-0", "predictions", [ELLIPSE] * NUMBER, ids)
    write_masks(place / "runs/prompted/seed-2", "predictions", ARM[::-1], ids[::-1])
    write_masks(place / "runs/prompted/seed-10", "predictions", [ELLIPSE] * NUMBER, ids)
    (results / "study/tables").mkdir()
    rows = [
        {"dataset": "phantom", "protocol": "by_lesion", "arm": arm, "against": "ellipse"}
        | {"id": name, "gap": 10.0 - number}
        for arm in ("prompted", "another")
        for number, name in enumerate(ids)
    ]
    table = (
        pd.DataFrame(rows)
        .sample(frac=1, random_state=1)
        .sort_values("arm", ascending=False, kind="stable")
    )
    table.to_csv(results / "study/tables/failures.samples.csv", index=False)
    saved = {}
    monkeypatch.setattr(draw_outlines, "ROOT", tmp_path)
    monkeypatch.setattr(
        draw_outlines, "save", lambda figure, paths: saved.update(figure=figure, paths=paths)
    )
    with mock.patch.object(sys, "argv", ["draw_outlines.py", "study", "failures"]):
        draw_outlines.main()
    assert saved["paths"] == [tmp_path / "docs/results" / "study" / "failures-outlines.png"]
    return saved["figure"]


def test_the_worst_the_middle_and_the_best_images_are_drawn(drawn):
    titles = [axis.get_title().splitlines() for axis in drawn.axes]
    numbers = [*range(5), *range(7, 12), *range(19, 14, -1)]
    assert [first for first, _ in titles] == [ranked(number) for number in numbers]
    before = 100 * dice(REFERENCE, ELLIPSE)
    for number, (_, said) in zip(numbers, titles, strict=True):
        assert said == f"{before:.1f} → {100 * dice(REFERENCE, ARM[number]):.1f} %"


def test_outlines_of_the_first_seed_are_drawn_without_an_image(drawn):
    worst = drawn.axes[0]
    assert not worst.images
    radii = [
        np.ptp(np.concatenate(lines.get_paths()[0].to_polygons())[:, 0]) / 2
        for lines in worst.collections
    ]
    assert radii == pytest.approx([16, 13, 10], abs=0.6)
