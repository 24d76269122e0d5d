"""`index.html`, all overlays, least agreement first; which marks have nothing under them."""

import json
import math
import re

import numpy as np
import pytest
from segmenting import run

from weaklesion.ellipse import Ellipse, fit_ellipse
from weaklesion.recist import RECIST_COLUMNS, recist_from_ellipse
from weaklesion.segment import sheet
from weaklesion.segment.visibility import is_visible, trained_contrast

COLOURS = np.arange(27, dtype=np.uint8).reshape(3, 3, 3)
GREY = np.zeros((3, 3, 3), np.uint8)


def wrong_mark(mask):
    true = fit_ellipse(mask)
    wrong = Ellipse(true.cx, true.cy, true.width / 3, true.height / 6, true.angle_deg + 45)
    return dict(zip(RECIST_COLUMNS, recist_from_ellipse(wrong).ravel(), strict=True))


def page_of(tmp_path):
    return (tmp_path / "out/index.html").read_text("utf-8")


def test_the_marks_that_agree_least_come_first_with_their_reasons(model, tmp_path, images):
    masks, rows = images
    table = [*rows, rows[0] | {"id": "wrong"} | wrong_mark(masks["m0"]), rows[0] | {"id": "m0"}]
    table[0] |= {"spacing_x": 0.5, "spacing_y": 0.5}
    result, measured = run(model, tmp_path, table)
    assert f"Open {tmp_path / 'out' / 'index.html'}." in result.output
    page = page_of(tmp_path)
    order = re.findall(r"<h3>(.*?)</h3>", page)
    assert order[0] == "wrong"
    assert order == list(measured.sort_values("agreement").index)
    assert "because the network's mask does not fit the mark: agreement" in page.replace(
        "&#39;", "'"
    )
    assert "below 0.80." in page
    row = measured.loc["m0"]
    assert f"{row['long_px']:.1f} x {row['short_px']:.1f} px, {row['long_mm']:.1f} x" in page
    assert f"<dd>{row['contrast']:.2f}</dd>" in page
    assert "the id m0 is also that of line 2" in page.split("Refused marks")[1]


def test_the_page_is_one_file_that_a_screen_reader_can_read(model, tmp_path, images):
    _, rows = images
    run(model, tmp_path, [*rows, rows[0]])
    page = page_of(tmp_path)
    assert page.count("data:image/jpeg;base64,") == 4
    assert not re.findall(r"(?:src|href)=[\"'](?:https?:)?//", page)
    for picture in re.findall(r"<img [^>]*>", page):
        told = "the mark, the shape that the network was shown and the mask"
        assert re.search(rf'alt="m\d: {told}', picture)
    for table in re.findall(r"<table.*?</table>", page, re.S):
        assert "<caption>" in table
        assert re.findall(r"<th(?![^>]*scope)[ >]", table) == []
    assert "prefers-color-scheme: dark" in page


def test_its_size_is_bounded(model, tmp_path, images, monkeypatch):
    masks, rows = images
    monkeypatch.setattr(sheet, "MOST_SHOWN", 2)
    run(model, tmp_path, [*rows, rows[0] | {"id": "wrong"} | wrong_mark(masks["m0"])])
    page = page_of(tmp_path)
    assert page.count("data:image/jpeg;base64,") == 2
    assert "The 2 marks that agree least are shown. The other 3 are in" in page


def test_names_are_escaped_and_links_work(model, tmp_path, images):
    _, rows = images
    run(model, tmp_path, [rows[0] | {"id": "a & #1 50%"}])
    page = page_of(tmp_path)
    assert "<h3>a &amp; #1 50%</h3>" in page
    assert 'href="overlays/a%20%26%20%231%2050%25.png"' in page


def test_a_lost_overlay_and_an_empty_table_are_no_errors(model, tmp_path, images):
    _, rows = images
    run(model, tmp_path, [rows[0] | {"image": "nowhere.png"}])
    assert "Masks of 0 marks" in page_of(tmp_path)
    assert sheet._thumbnail(tmp_path / "nowhere.png") is None


def test_a_mark_beside_its_lesion_has_less_contrast_than_is_usual(model, tmp_path, images, caplog):
    masks, rows = images
    true = fit_ellipse(masks["m0"])
    beside = Ellipse(20.0, 22.0, 24.0, 18.0, true.angle_deg)
    points = dict(zip(RECIST_COLUMNS, recist_from_ellipse(beside).ravel(), strict=True))
    result, measured = run(model, tmp_path, [*rows, rows[0] | {"id": "beside"} | points])
    assert measured["visible"].to_dict() == {f"m{i}": True for i in range(4)} | {"beside": False}
    assert measured.loc["beside", "contrast"] < 0.5 < 2 < measured.loc["m0", "contrast"]
    assert "Less contrast in the image than is usual: 1 of 5 marks" in result.output
    assert "line 6, beside: less contrast in its image than is usual" in caplog.text
    said = "Less contrast in the image than is usual: 1 of 5 marks"
    assert said in page_of(tmp_path)
    # said again when all is done, and the page is made again
    (tmp_path / "out/index.html").unlink()
    result, _ = run(model, tmp_path, None)
    assert "Less contrast in the image than is usual: 1 of 5 marks" in result.output
    assert "beside" in page_of(tmp_path)


def test_what_the_networks_training_marks_have_is_the_least(model, tmp_path, images):
    _, rows = images
    _, measured = run(model, tmp_path, rows)
    middle = float(measured["contrast"].median())
    told = json.loads((model / "run.json").read_text())
    (model / "run.json").write_text(json.dumps(told | {"mark_contrast": {"p5": middle}}))
    result, measured = run(model, tmp_path, rows)
    assert (measured["visible"] == (measured["contrast"] >= middle)).all()
    assert "Less contrast in the image than is usual: 2 of 4 marks" in result.output


@pytest.mark.parametrize(
    ("contrast", "around", "trained", "visible"),
    [
        (0.6, GREY, None, True),
        (0.4, GREY, None, False),
        (0.6, COLOURS, None, False),
        (1.1, COLOURS, None, True),
        (0.2, GREY, 0.1, True),
        (1.1, COLOURS, 1.2, False),
        (math.nan, GREY, None, None),
    ],
)
def test_the_least_contrast(contrast, around, trained, visible):
    assert is_visible(contrast, around, trained) is visible


@pytest.mark.parametrize(
    "recorded", [{}, {"mark_contrast": 3}, {"mark_contrast": {}}]
    + [{"mark_contrast": {"p5": value}} for value in ("1", None, True, math.nan, [1])], ids=str
)  # fmt: skip
def test_a_run_that_records_no_contrast_is_not_believed(tmp_path, recorded):
    (tmp_path / "run.json").write_text(json.dumps(recorded))
    assert trained_contrast(tmp_path / "run.json") is None


def test_the_page_opens_in_a_browser_in_light_and_dark(model, tmp_path, images, browser):
    masks, rows = images
    long = {"id": "an-id-" + 12 * "without-blanks"} | wrong_mark(masks["m0"])
    run(model, tmp_path, [*rows, rows[0] | long, rows[0]])
    backgrounds = set()
    for scheme, width, height in (("light", 1400, 1000), ("dark", 1920, 1080), ("dark", 400, 800)):
        page = browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        problems = []
        page.on("console", lambda message, into=problems: into.append(message.text))
        page.on("pageerror", lambda error, into=problems: into.append(str(error)))
        page.on("requestfailed", lambda request, into=problems: into.append(request.url[:99]))
        page.goto((tmp_path / "out/index.html").as_uri())
        assert problems == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        sizes = page.evaluate(
            "[...document.images].map(i => [i.naturalWidth, i.getBoundingClientRect().width])"
        )
        assert len(sizes) == 5
        assert all(natural > 100 and shown > 100 for natural, shown in sizes)
        cut = "e => e.scrollWidth > e.clientWidth + 1"
        assert (
            page.evaluate(f"[...document.querySelectorAll('dd, h3, td')].filter({cut}).length") == 0
        )
        backgrounds.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        page.close()
    assert len(backgrounds) == 2
