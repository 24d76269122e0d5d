"""Every item and every arm on tiny phantoms, each rule in its own environment, and the report."""

import json
import os
import re
import sys
from pathlib import Path

import cv2
import nibabel
import numpy as np
import pandas as pd
import pytest
import yaml
from conftest import ROOT
from documented_columns import assert_documented
from running import TINY, snakemake
from typer.testing import CliRunner

from weaklesion.cli import app
from weaklesion.ellipse import fit_ellipse
from weaklesion.metrics import dice
from weaklesion.recist import RECIST_COLUMNS, recist_from_ellipse
from weaklesion.support.files import file_digest

pytestmark = pytest.mark.slow

# Besides every item, an arm of every kind on one dataset: network, target, classes.
ARMS = ["fixed_ellipse", "ellipse", "a1", "a1l", "acoseg", "acoseg_released", "unetl", "a1_grabcut",
        "a1_dense", "a1_ends", "a1l_shuffled", "a1l_periodic", "a1_long"]  # fmt: skip
PROMPTED = ["ellipse", "shrunken", "prompted", "prompted_refined", "prompted_refined_gated",
            "prompted_ends", "prompted_ends_levels_sized", "ends_noise6"]  # fmt: skip
EVERY_ARM = {
    "experiments": {
        "controls": {"datasets": ["ham10k"], "arms": ARMS},
        "prompted": {"datasets": ["lits", "ham10k"], "arms": PROMPTED},
    }
}
# rules that no item of the paper needs: test_other_papers.py
OF_OTHER_PAPERS = {
    "cluster_embeddings",
    "embed_lesions",
    "label_presence",
    "tabulate_answers",
    "tabulate_policies",
}
# rules of marks without dense masks: test_mark_agreement.py
OF_OWN_MARKS = {"tabulate_mark_agreement", "plot_mark_agreement", "write_mark_agreement"}
# a rule of the target `release`: test_release.py
OF_RELEASE = {"gather_release"}
# rules of nnU-Net, which has an environment of its own: test_nnunet_workflow.py
OF_NNUNET = {"prepare_nnunet", "train_nnunet", "predict_nnunet"}
# rules that run the script of another one
INHERITED = {"choose_prior_weight_of_ends", "draw_refined_ends", "test_in_folds"}
TABLES = [f"table{number}" for number in range(1, 9)]
CATEGORIES = ["Data", "Overview", "Papers", "Predictions", "Supervision", "Tables", "Training"]


@pytest.fixture(scope="module")
def every_item(tmp_path_factory):
    """Folder in which every item of the paper and of ours has run, with its report.

    In CI every rule runs in an environment of its own, made from the pins of `envs/` alone.
    """
    folder = tmp_path_factory.mktemp("items")
    (folder / "arms.yaml").write_text(yaml.safe_dump(EVERY_ARM))
    study = (*TINY, ROOT / "tests/every_item.yaml", folder / "arms.yaml")
    options, variables = [], {}
    if os.environ.get("CI"):
        options = ["--sdm", "conda", "--conda-prefix", folder / "environments"]
        programs = (ROOT / "tests/conda/bin", Path(sys.executable).parent, os.environ["PATH"])
        variables |= {"PATH": ":".join(map(str, programs)), "PRELOADED_PYTHON": "1"}
    output = snakemake(folder, *study, *options, **variables)
    if options:
        made = list((folder / "environments").glob("*.env_setup_done"))
        assert len(made) == 3, output
    snakemake(folder, *study, "--report", folder / "report.html")
    return folder


def test_every_rule_has_run(every_item):
    scripts = {path.stem for path in (ROOT / "workflow/scripts").glob("*.py")}
    scripts -= {"job"} | OF_OTHER_PAPERS | OF_OWN_MARKS | OF_RELEASE | OF_NNUNET
    logs = every_item / "results/items/logs"
    ran = {path.relative_to(logs).parts[0].removesuffix(".log") for path in logs.rglob("*.log")}
    assert len(scripts) == 59
    assert ran == scripts | INHERITED


def test_every_kind_of_arm_from_patches_to_table(every_item):
    table = pd.read_csv(every_item / "results/items/tables/controls.csv")
    assert list(table["arm"].unique()) == ARMS
    assert table["mean"].notna().all()
    runs = every_item / "results/items/phantom_ham10k/demo/runs"
    run = {path.parts[-3]: json.loads(path.read_text()) for path in runs.rglob("run.json")}
    assert set(ARMS) - {"ellipse", "fixed_ellipse"} <= set(run)
    targets = {"a1": "targets/ellipse_soft", "a1_grabcut": "targets/grabcut_trimap",
               "a1_dense": "patches/reference", "a1_ends": "targets/ends"}  # fmt: skip
    for arm, target in targets.items():
        digest = file_digest(runs.parent / f"{target}.npy")
        assert run[arm]["inputs_sha256"]["target"] == digest, arm
    classes = [
        run[arm]["inputs_sha256"]["clusters"] for arm in ("a1l", "a1l_shuffled", "a1l_periodic")
    ]
    assert len(set(classes)) == 3
    assert run["a1_long"]["epochs_run"] == run["a1l"]["epochs_run"]
    partners = pd.read_csv(runs / "acoseg/seed-1/predictions.csv")
    assert list(partners) == ["id", "partner", "partner_cluster"]


def test_every_item_is_made_and_none_is_empty(every_item):
    results = every_item / "results/items"
    for item in [*TABLES, "controls", "attribution", "definitions", "volumes"]:
        assert len(pd.read_csv(results / f"tables/{item}.csv")) > 0, item
        assert "<td>" in (results / f"tables/{item}.html").read_text(), item
    for item in ("figure2", "figure5"):
        assert len(pd.read_csv(results / f"tables/{item}.csv")) == 2
        for suffix in ("svg", "png"):
            assert (results / f"figures/{item}.{suffix}").stat().st_size > 5000
    assert set(pd.read_csv(results / "tables/attribution.csv")["switch"]) == {"S1"}
    assert set(pd.read_csv(results / "tables/volumes.csv")["method"]) == {"ellipsoid", "levels"}
    # one seed, and phantoms: nothing can be said about the paper
    verdicts = pd.read_csv(results / "tables/verdicts.csv")["verdict"]
    assert set(verdicts) == {"not testable here"}
    page = (results / "tables/verdicts.html").read_text()
    assert f"{len(verdicts)} claims cannot be tested by this study" in page
    assert "<td>" not in page
    assert "Study items" in (results / "overview.html").read_text()
    front_page = (results / "index.html").read_text()
    assert "All images of this study are <strong>phantoms" in front_page
    assert "A1+L − A1, HAM10000 phantom" in front_page
    assert (every_item / "report.html").stat().st_size < 25e6


def test_a_cross_validation_tests_every_sample_once(every_item):
    folder = every_item / "results/items/phantom_lits"
    samples = pd.read_csv(folder / "crossed/patches/samples.csv", dtype=str)
    scores = pd.read_csv(folder / "crossed/runs/a1l/seed-1/scores.csv", dtype=str)
    assert sorted(scores.loc[scores["metric"] == "dice", "id"]) == sorted(samples["id"])
    whole = np.load(folder / "crossed/runs/a1l/seed-1/predictions.npy")
    for fold in (1, 2, 3):
        run = folder / f"crossed@{fold}/runs/a1l/seed-1"
        ids = pd.read_csv(run / "predictions.csv", dtype=str)["id"]
        rows = samples["id"].isin(ids)
        split = pd.read_csv(folder / f"crossed@{fold}/patches/samples.csv", dtype=str)
        assert set(ids) == set(split.loc[split["split"] == "test", "id"])
        order = pd.Index(ids).get_indexer(samples.loc[rows, "id"])
        assert (np.load(run / "predictions.npy")[order] == whole[rows]).all()
    table = pd.read_csv(every_item / "results/items/tables/crossed.csv")
    dice = table[table["metric"] == "dice"]
    assert set(dice["n_groups"]) == set(dice["n_samples"]) == {samples["group"].nunique()}
    accuracy = pd.read_csv(every_item / "results/items/tables/crossed_accuracy.csv")
    tested = accuracy.set_index("split").loc["test", "num_samples"]
    assert tested == len(samples)


def test_every_column_is_documented(every_item):
    assert len(assert_documented(every_item / "results/items")) > 20


def test_no_page_and_no_figure_prints_nan(every_item):
    """What is undefined is a dash, or says so in words."""
    pages = [
        *every_item.glob("results/items/**/*.html"),
        *every_item.glob("results/items/**/*.svg"),
    ]
    assert len(pages) > 30
    for page in pages:
        text = re.sub(
            r"<style.*?</style>|<script.*?</script>|<[^>]+>", " ", page.read_text(), flags=re.S
        )
        found = re.search(r".{0,40}(?<![a-z])(nan|inf|None|-0\.00?)(?![a-z0-9]).{0,40}", text)
        assert found is None, (page.name, found)


def segmented(every_item, folder, dataset, row):
    """What `weaklesion segment` says of a mark with a network of the study, and its mask."""
    pd.DataFrame([row]).to_csv(folder / "marks.csv", index=False)
    runs = every_item / f"results/items/phantom_{dataset}/demo_source/runs"
    words = ["segment", "--consistent", "--model", runs / "prompted_refined/seed-1"]
    words += ["--marks", folder / "marks.csv", "--out", folder / "out"]
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert len(pd.read_csv(folder / "out/refused.csv")) == 0
    (measured,) = pd.read_csv(folder / "out/measurements.csv").to_dict("records")
    return measured, folder / "out" / measured["mask"]


def test_a_user_gets_the_mask_that_the_study_predicted(every_item, tmp_path):
    place = every_item / "results/items/phantom_ham10k/demo_source"
    predicted = pd.read_csv(
        place / "runs/prompted_refined_gated/seed-1/predictions.csv", dtype={"id": str}
    )
    masks = np.load(place / "runs/prompted_refined_gated/seed-1/predictions.npy")
    samples = pd.read_csv(place / "patches/samples.csv", dtype=str).set_index("id")
    name = predicted["id"][0]
    (image,) = (every_item / "resources/phantom_ham10k").rglob(f"{name}.jpg")
    row = {"image": image, **samples.loc[name, RECIST_COLUMNS]}
    _, mask = segmented(every_item, tmp_path, "ham10k", row)
    found = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE) > 0
    assert dice(masks[0] > 0, found) > 0.97


def test_a_user_gets_a_mask_of_ct_in_the_volume(every_item, tmp_path):
    segmentation = min((every_item / "resources/phantom_lits").rglob("segmentation-*"))
    tumour = np.asarray(nibabel.load(segmentation).dataobj) == 2
    place = int(tumour.sum(axis=(0, 1)).argmax())
    name = segmentation.name.replace("segmentation", "volume")
    (image,) = (every_item / "resources/phantom_lits").rglob(name)
    ends = recist_from_ellipse(fit_ellipse(tumour[:, :, place].T)).ravel()
    row = {"image": image, "slice": place, **dict(zip(RECIST_COLUMNS, ends, strict=True))}
    measured, mask = segmented(every_item, tmp_path, "lits", row)
    found = np.asarray(nibabel.load(mask).dataobj)
    assert found.shape == tumour.shape
    assert found.sum() == found[..., place].sum() == measured["area_px"]
    # hardly trained, but made to agree with the mark, or left to its ellipse
    assert dice(tumour[..., place], found[..., place] > 0) > 0.6


def opened(browser, path):
    """A page, and everything that goes wrong on it."""
    page, problems = browser.new_page(viewport={"width": 1280, "height": 900}), []
    page.on("console", lambda message: message.type == "error" and problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("requestfailed", lambda request: problems.append(request.url[:200]))
    page.goto(path.as_uri())
    return page, problems


def test_report_opens_in_a_browser_with_every_category_and_image(every_item, browser):
    page, problems = opened(browser, every_item / "report.html")
    for category in CATEGORIES:
        page.get_by_text(category, exact=True).first.wait_for(timeout=20_000)
    assert problems == []
    text = (every_item / "report.html").read_text()
    images = set(re.findall(r"data:image/(?:png|svg\+xml)[^\"]{100,}", text))
    assert len(images) > 10
    loaded = page.evaluate(
        """async (sources) => Promise.all(sources.map((source) => new Promise((resolve) => {
            const image = new Image();
            image.onload = () => resolve(image.naturalWidth > 0);
            image.onerror = () => resolve(false);
            image.src = source;
        })))""",
        sorted(images),
    )
    assert all(loaded)


def test_pages_of_the_report_sort_and_fit_a_phone(every_item, browser):
    tables = ("table1", "table2", "table8", "attribution", "verdicts", "definitions")
    for name in ("index.html", "overview.html", *(f"tables/{table}.html" for table in tables)):
        page, problems = opened(browser, every_item / "results/items" / name)
        page.set_viewport_size({"width": 390, "height": 800})
        wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert page.evaluate(wider) <= 0, name
        assert problems == [], name
    page, _ = opened(browser, every_item / "results/items/overview.html")
    head = page.locator("table.sortable").first.locator("th").nth(3)
    for order in (1, -1):
        head.click()
        values = page.evaluate(
            """[...document.querySelector("table.sortable").tBodies[0].rows]
                .map((row) => parseFloat(row.cells[3].innerText))"""
        )
        assert values == sorted(values, reverse=order < 0)


SCREENS = ((1920, 1080), (1400, 1000))
# Everything on a page that a reader would see as broken, in words.
BROKEN = """() => {
    const found = [];
    const root = document.documentElement;
    if (root.scrollWidth > root.clientWidth) found.push("the page is wider than the screen");
    for (const cell of document.querySelectorAll("td, th"))
        if (cell.clientWidth && cell.scrollWidth > cell.clientWidth + 1)
            found.push("text overflows its cell: " + cell.innerText.slice(0, 60));
    for (const image of document.images) {
        const box = image.getBoundingClientRect();
        if (!image.complete || !image.naturalWidth || !box.width || !box.height)
            found.push("an image is empty: " + image.alt);
        const shown = box.width / box.height, own = image.naturalWidth / image.naturalHeight;
        if (box.right > root.clientWidth + 1 || Math.abs(shown / own - 1) > 0.02)
            found.push("an image is cut off or stretched: " + image.alt);
    }
    for (const drawing of document.querySelectorAll("svg.forest")) {
        const frame = drawing.getBoundingClientRect();
        for (const text of drawing.querySelectorAll("text")) {
            const box = text.getBoundingClientRect();
            if (box.left < frame.left - 1 || box.right > frame.right + 1)
                found.push("a label is cut off: " + text.textContent);
        }
    }
    const text = document.body.innerText.match(/.{0,30}\\b(nan|NaN)\\b.{0,30}/);
    if (text) found.push("a number is not one: " + text[0]);
    return found;
}"""


def test_every_page_is_whole_on_two_screens(every_item, browser):
    pages = sorted((every_item / "results/items").rglob("*.html"))
    assert len(pages) > 15
    for path in pages:
        page, problems = opened(browser, path)
        page.evaluate("document.querySelectorAll('details').forEach((part) => part.open = true)")
        for width, height in SCREENS:
            page.set_viewport_size({"width": width, "height": height})
            assert page.evaluate(BROKEN) + problems == [], (path.name, width)
        words = page.inner_text("body")
        assert "phantom" in words.lower(), path.name
        page.close()


def test_no_figure_is_empty(every_item):
    figures = sorted((every_item / "results/items/figures").glob("*.png"))
    assert len(figures) > 20
    for path in figures:
        pixels = cv2.imread(str(path))
        assert pixels.std() > 5, path.name
        assert (pixels < 128).mean() > 1e-3, path.name


@pytest.mark.parametrize("screen", SCREENS)
def test_every_category_of_the_report_opens(every_item, browser, screen):
    page, problems = opened(browser, every_item / "report.html")
    page.set_viewport_size(dict(zip(("width", "height"), screen, strict=True)))
    for category in CATEGORIES:
        page.get_by_text(category, exact=True).first.click(timeout=20_000)
        rows = page.locator("nav table tbody tr")
        rows.first.wait_for(timeout=20_000)
        texts = rows.all_inner_texts()
        assert texts, category
        for text in texts:  # labels in words, not names of items and datasets
            assert "phantom_" not in text, text
            assert "table1" not in text.split(), text
        rows.first.locator("a[iconname=eye]").first.click()
        page.wait_for_timeout(300)
        assert problems == [], category
        page.get_by_text("Results", exact=True).first.click()
    page.close()
