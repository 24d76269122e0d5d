"""The front page of a study."""

import io
import json
import re
from base64 import b64decode
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from weaklesion.report.forest import forest, forest_svg, score_lines
from weaklesion.report.images import embedded
from weaklesion.report.pages import render
from weaklesion.report.tables.front_page import (
    differences,
    score_blocks,
    verdict_counts,
    write_front_page,
)
from weaklesion.report.tables.verdicts import untestable

LABELS = {
    "datasets": {"ham10k": "HAM10000"},
    "arms": {"ellipse": "RECIST ellipse", "a1": "A1", "a1l": "A1+L"},
}
COLUMNS = {"corrected": {"Dice": "dice", "CenterError": "center_error"}}
WITH_AVD = {"corrected": {"Dice": "dice", "AVD": "center_error"}}  # under a name of its own
NAN = float("nan")


def row(arm, metric, mean, *, published=NAN, gain=NAN, low=NAN, high=NAN, seeds=3):
    return {
        "dataset": "ham10k", "protocol": "corrected", "arm": arm, "metric": metric, "mean": mean,
        "std": 0.5, "ci_low": mean - 1, "ci_high": mean + 1, "unknown": None, "n_seeds": seeds,
        "n_samples": 100, "n_groups": 80, "published_mean": published, "published_std": NAN,
        "baseline": "a1", "gain": gain, "gain_ci_low": low, "gain_ci_high": high, "p_holm": 0.01,
        "gain_unknown": None, "unit": "sample", "network": "DeepLabV3+", "reference": "dense",
    }  # fmt: skip


@pytest.fixture
def table():
    return pd.DataFrame(
        [
            row("ellipse", "dice", 93.0, gain=3.0),
            row("ellipse", "center_error", 1.0),
            row("a1", "dice", 90.0, published=90.01),
            row("a1", "center_error", 2.0, published=3.1),
            row("a1l", "dice", 91.0, published=91.85, gain=1.0, low=0.4, high=1.6),
            row("a1l", "center_error", 1.5, published=2.9),
        ]
    )


@pytest.fixture
def verdicts():
    about = {"dataset": "ham10k", "protocol": "corrected", "arm": "a1l", "baseline": "a1"}
    rows = [
        about | {"metric": "dice", "claimed_percent": 2.0, "verdict": "not reproduced", "why": ""},
        about | {"metric": "iou", "claimed_percent": 3.0, "verdict": "undecided", "why": ""},
        about
        | {"metric": None, "claimed_percent": NAN, "verdict": "not testable here"}
        | {"why": "an arm is missing"},
    ]
    return pd.DataFrame(rows)


def test_ours_stand_above_the_papers_and_the_best_of_each_is_marked(table):
    (block,) = score_blocks(table, COLUMNS, LABELS)
    assert block["dataset"] == "HAM10000"
    assert [measure.label for measure in block["measures"]] == ["Dice", "Centre error"]
    assert block["papers_names"] == {}
    assert [row["label"] for row in block["ours"]] == ["RECIST ellipse", "A1", "A1+L"]
    assert [row["label"] for row in block["paper"]] == ["A1", "A1+L"]
    best = [[cell["is_best"] for cell in row["cells"]] for row in block["ours"]]
    assert best == [[True, True], [False, False], [False, False]]  # high Dice, low error
    assert [[cell["is_best"] for cell in row["cells"]] for row in block["paper"]] == [
        [False, False],
        [True, True],
    ]


def test_a_column_has_our_name_and_the_papers_stands_below(table):
    (block,) = score_blocks(table, WITH_AVD, LABELS)
    assert [measure.label for measure in block["measures"]] == ["Dice", "Centre error"]
    assert block["papers_names"] == {"Centre error": "AVD"}


def test_claims_are_in_points_of_the_baseline(table, verdicts):
    lines = list(differences(table, verdicts, LABELS))
    assert [(line["name"], line["middle"]) for line in lines] == [
        ("RECIST ellipse − A1, HAM10000", 3.0),
        ("A1+L − A1, HAM10000", 1.0),
    ]
    assert lines[0]["claimed"] == []
    assert lines[1]["claimed"] == pytest.approx([1.8])  # 2 % of 90


def test_lines_of_several_protocols_name_theirs_and_no_name_is_cut_off(table, verdicts):
    both = pd.concat([table, table.assign(protocol="released")])
    lines = list(differences(both, verdicts, LABELS))
    names = [line["name"] for line in lines]
    assert names[1] == f"A1+L − A1, HAM10000, {table['protocol'].iloc[0]}"
    assert names[3] == "A1+L − A1, HAM10000, released"
    lines[0]["name"] = "Given the four ends, on pseudo-masks, gated − RECIST ellipse, HAM10000"
    per_letter = 6.0  # px, about the mean of a system font at 12.5 px
    assert forest(lines)["left"] - 12 > per_letter * len(lines[0]["name"])


@pytest.mark.parametrize(
    "name", ["ARM WITH CAPITALS, MOMENTUM", "病変の楕円から作られた擬似マスク、四端"]
)
def test_wide_letters_are_not_cut_off(name):
    line = {"name": name, "low": NAN, "middle": 1.0, "high": NAN, "claimed": [], "unknown": ""}
    per_letter = {"A": 9.5, "病": 12.5}[name[0]]  # px, means of a wide system font at 12.5 px
    assert forest([line], numbers=True)["left"] - 12 > per_letter * len(name)


def test_a_long_heading_is_not_cut_off(table):
    long = table.assign(dataset="lesions_of_a_hospital", protocol="with_" + "five_folds_" * 6)
    root = ElementTree.fromstring(forest_svg(long.assign(difference=0.0), "Differences"))
    texts = root.iter("{http://www.w3.org/2000/svg}text")
    (heading,) = [text.text for text in texts if text.get("class") == "heading"]
    assert float(root.get("width")) > 7.5 * len(heading)  # px, the mean of a bold system font


def test_places_of_the_drawing_keep_order_and_scale(table, verdicts):
    drawn = forest(list(differences(table, verdicts, LABELS)))
    ellipse, a1l = drawn["rows"]
    assert ellipse["low"] is ellipse["high"] is None  # no interval is known
    assert drawn["zero"] < a1l["low"] < a1l["middle"] < a1l["high"] < ellipse["middle"]
    per_point = (ellipse["middle"] - drawn["zero"]) / 3
    assert a1l["middle"] - drawn["zero"] == pytest.approx(per_point, abs=0.2)
    assert a1l["claimed"] == pytest.approx([drawn["zero"] + 1.8 * per_point], abs=0.2)
    assert all(drawn["left"] <= tick["x"] <= drawn["width"] for tick in drawn["ticks"])
    assert 0 in [round(tick["value"], 9) for tick in drawn["ticks"]]
    assert len(drawn["ticks"]) <= 8


def test_a_line_far_out_is_an_arrow_where_numbers_stand_beside_it(table):
    far = pd.concat(
        [table, pd.DataFrame([row("fixed", "dice", 60.0, gain=-30, low=-31, high=-29)])]
    )
    lines = list(score_lines(far.assign(difference=0.0), LABELS["arms"]))
    assert [line["name"] for line in lines] == ["RECIST ellipse", "A1+L", "fixed"]
    assert lines[1]["claimed"] == pytest.approx([1.84])  # 91.85 - 90.01
    assert lines[2]["claimed"] == []
    drawn = forest(lines, numbers=True)
    assert [place["outside"] for place in drawn["rows"]] == [0, 0, -1]
    assert drawn["rows"][2]["middle"] == drawn["rows"][2]["low"] == drawn["left"]
    assert drawn["rows"][2]["figures"] == "-30.00 [-31.00, -29.00]"
    assert drawn["rows"][0]["figures"] == "+3.00 no interval"
    assert [place["outside"] for place in forest(lines)["rows"]] == [0, 0, 0]
    per_point = (drawn["rows"][0]["middle"] - drawn["zero"]) / 3
    assert drawn["rows"][1]["middle"] - drawn["zero"] == pytest.approx(per_point, abs=0.2)


def test_arms_that_equal_their_baseline_make_no_arrow_of_another_arm():
    equal = {"name": "equal", "low": 0.0, "middle": 0.0, "high": 0.0, "claimed": []}
    other = equal | {"name": "other", "low": 4.0, "middle": 5.0, "high": 6.0}
    drawn = forest([line | {"unknown": ""} for line in (equal, equal, other)], numbers=True)
    place = drawn["rows"][2]
    assert (place["outside"], place["beyond"]) == (0, [])
    assert drawn["left"] < place["low"] < place["middle"] < place["high"] <= drawn["right"]


def test_ends_and_claims_outside_of_the_axis_are_arrows_too():
    near = {"name": "a1", "low": -0.1, "middle": 0.2, "high": 0.5, "claimed": [0.4]}
    far = {"name": "few", "low": -9.0, "middle": 0.1, "high": 12.0, "claimed": [-0.3, 20.0]}
    lines = [near, near, near, far]
    lines = [line | {"unknown": "", "p_holm": 0.5, "about": line["name"]} for line in lines]
    drawn = forest(lines, numbers=True)
    assert drawn["rows"][0]["beyond"] == drawn["rows"][0]["claimed_beyond"] == []
    outer = drawn["rows"][3]
    assert outer["beyond"] == [(drawn["left"], -1), (drawn["right"], 1)]
    assert len(outer["claimed"]) == 1
    assert outer["claimed"][0] < drawn["zero"]
    assert outer["claimed_beyond"] == [(drawn["right"], 1)]  # no bar at another place than 20
    page = render("forest_file.html", drawing=drawn, lines=lines, what="Differences")
    root = ElementTree.fromstring(page)
    classes = [path.get("class") for path in root.iter("{http://www.w3.org/2000/svg}path")]
    assert (classes.count("interval"), classes.count("claimed")) == (2, 5)
    assert forest(lines)["rows"][3]["beyond"] == []  # without numbers, the axis holds all


def test_the_papers_difference_is_shown_only_where_it_is_comparable(table):
    lines = list(score_lines(table.assign(difference=NAN)))
    assert [(line["name"], line["claimed"]) for line in lines] == [("ellipse", []), ("a1l", [])]


def test_a_drawing_as_a_file(table):
    two = pd.concat([table, table.assign(protocol="released")]).assign(difference=0.0)
    text = forest_svg(two, "Differences <here>")
    root = ElementTree.fromstring(text)
    assert root.get("aria-label") == "Differences <here>"
    words = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    assert words.count("ham10k, corrected: against a1") == 1
    assert words.count("ham10k, released: against a1") == 1
    assert words.count("+1.00 [+0.40, +1.60]") == 2
    caption = "Points of Dice, 95 % intervals; right of 0 is better. Orange: the paper's difference"
    assert words[-1] == caption


@pytest.mark.parametrize("middle", [0.0, -0.003, 84407.0])
def test_a_drawing_of_any_size_has_few_ticks(middle):
    line = {"name": "A1+L", "low": NAN, "middle": middle, "high": NAN, "claimed": []}
    drawn = forest([line])
    assert 2 <= len(drawn["ticks"]) <= 8
    assert drawn["left"] <= drawn["rows"][0]["middle"] <= drawn["width"]


def test_claims_that_cannot_be_tested_are_counted_apart(verdicts):
    (counted,) = verdict_counts(verdicts)
    assert counted["numbers"] == {"reproduced": 0, "not reproduced": 1, "undecided": 1}
    assert counted["total"] == 2
    assert untestable(verdicts) == {"an arm is missing": 1}


def test_an_image_in_a_page_is_shrunk_and_has_no_transparency(tmp_path):
    pixels = np.zeros((40, 100, 4), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    image = embedded(tmp_path / "a.png", 50)
    assert (image["width"], image["height"]) == (50, 20)
    content = b64decode(image["src"].removeprefix("data:image/jpeg;base64,"))
    assert np.asarray(Image.open(io.BytesIO(content))).min() > 250  # white, not black


@pytest.mark.parametrize("width", [1280, 1920])
def test_a_table_as_wide_as_the_papers_is_whole_on_a_large_screen(browser, width):
    metrics = {
        "IoU": "iou",
        "Dice": "dice",
        "VS": "volumetric_similarity",
        "CenterError": "center_error",
        "PerimeterError": "perimeter_error_canny_half",
        "AVD": "hausdorff",
    }
    cells = [(arm, metric) for arm in ("ellipse", "a1") for metric in metrics.values()]
    rows = [row(arm, metric, 90.12, published=90.01) for arm, metric in cells]
    labels = {"datasets": {"ham10k": "HAM10000"}, "arms": {"ellipse": "RECIST ellipse", "a1": "A1"}}
    columns = {"corrected": metrics}
    page = browser.new_page(viewport={"width": width, "height": 1000})
    values = {"study": "mine", "num_trainings": 2, "hours": 1, "devices": "a CPU", "commits": []}
    values |= {"lines": [], "verdicts": [], "untestable": {}, "strips": [], "titles": {}}
    blocks = list(score_blocks(pd.DataFrame(rows), columns, labels))
    page.set_content(render("front_page.html", blocks=blocks, drawing={}, **values))
    assert page.locator("td").count() == 24
    scrolls = "[...document.querySelectorAll('.scroll')].some((e) => e.scrollWidth > e.clientWidth)"
    assert not page.evaluate(scrolls)
    names = "The paper's names: PerimeterError for ½ Canny difference, AVD for Hausdorff."
    assert page.get_by_text(names).count() == 1
    heads = page.locator("thead th").all_inner_texts()
    assert [head.split(",")[0] for head in heads[-2:]] == ["½ Canny difference", "Hausdorff"]
    page.close()


def test_the_page_says_what_was_run(table, verdicts, tmp_path):
    table.to_csv(tmp_path / "table1.csv", index=False)
    verdicts.to_csv(tmp_path / "verdicts.csv", index=False)
    settings = {"epochs": 8, "patience": None, "iterations": None}
    run = {
        "wall_s": 7200,
        "device": "cpu",
        "threads": 1,
        "epochs_run": 8,
        "settings": settings,
        "code": {"commit": "0123456789abcdef", "dirty": False},
    }
    (tmp_path / "run.json").write_text(json.dumps(run))
    Image.new("RGB", (60, 40)).save(tmp_path / "contours.png")
    arguments = {
        "study": "mine",
        "titles": {"table1": "Table 1: the effect"},
        "columns": COLUMNS,
        "runs": [
            {"dataset": "ham10k", "protocol": "corrected", "arm": arm, "run": tmp_path / "run.json"}
            for arm in ("a1", "a1l")
        ],
        "strips": [
            {"dataset": "ham10k", "protocol": "corrected", "figure": tmp_path / "contours.png"}
        ],
        "table_csv": tmp_path / "table1.csv",
        "verdicts_csv": tmp_path / "verdicts.csv",
        "page_html": tmp_path / "index.html",
    }
    write_front_page(labels=LABELS, **arguments)
    page = (tmp_path / "index.html").read_text()
    words = " ".join(page.split())
    assert "2 training runs, 4 h in all, on a CPU (1 thread per training)" in words
    assert "0123456789ab" in page
    assert "1 not reproduced" in page
    assert "1 undecided" in page
    assert "1 claim cannot be tested by this study, because an arm was not run." in words
    assert "A1+L − A1, HAM10000" in page
    assert "; the paper +1.80" in page
    assert "Orange bars" in page
    verdicts.assign(claimed_percent=NAN).to_csv(tmp_path / "verdicts.csv", index=False)
    write_front_page(labels=LABELS, **arguments)
    assert "Orange bars" not in (tmp_path / "index.html").read_text()
    assert not re.search(r"\bnan\b", page.split("<script>")[0])
    assert "phantom" not in page
    assert "http" not in page
    write_front_page(labels=LABELS | {"phantoms": ["ham10k"]}, **arguments)
    assert "All images of this study are <strong>phantoms" in (tmp_path / "index.html").read_text()


def test_a_claim_without_a_size_is_not_drawn_at_zero(table, verdicts):
    *_, line = differences(table, verdicts.assign(claimed_percent=0.0), LABELS)
    assert (line["name"], line["claimed"]) == ("A1+L − A1, HAM10000", [])
