"""The whole Snakefile, run as a user runs it, on tiny phantoms."""

import json
import os
import re
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import yaml
from conftest import ROOT
from playwright.sync_api import sync_playwright

from weaklesion.files import file_digest
from weaklesion.tables import TABLE1_COLUMNS

TINY = ("--configfile", ROOT / "workflow/studies/demo.yaml", ROOT / "tests/tiny.yaml")
RUNS = "results/tiny/phantom_ham10k/demo/runs"


def snakemake(folder, *arguments, expect=0):
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        ROOT / "Snakefile",
        "--directory",
        folder,
        "--cores",
        "2",
        *arguments,
    ]
    environment = {**os.environ, "XDG_CACHE_HOME": str(folder / "cache")}
    done = subprocess.run(
        [str(word) for word in command],
        capture_output=True,
        text=True,
        env=environment,
        cwd=folder,
        timeout=540,
        check=False,
    )
    output = done.stdout + done.stderr
    assert done.returncode == expect, output[-6000:]
    return output


def planned(folder, *arguments):
    """Number of jobs by rule that a run would have."""
    output = snakemake(folder, "-n", *arguments)
    if "Nothing to be done" in output:
        return {}
    table = output[output.index("Job stats:") :].split("total")[0]
    return {name: int(count) for name, count in re.findall(r"^(\w+) +(\d+)$", table, re.MULTILINE)}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Folder in which the tiny study has run; tests must not change it."""
    folder = tmp_path_factory.mktemp("finished")
    snakemake(folder, *TINY)
    return folder


@pytest.fixture
def copied(finished, tmp_path):
    """A copy of that folder, with its times, to change things in."""
    return shutil.copytree(finished, tmp_path / "copy")


def test_table_and_figures_are_made(finished):
    table = pd.read_csv(finished / "results/tiny/tables/table1.csv")
    assert list(table) == TABLE1_COLUMNS
    assert set(table["arm"]) == {"ellipse", "a1", "a1l"}
    assert table[table["arm"] == "a1"]["n_seeds"].eq(2).all()
    assert table["mean"].notna().all()
    ellipse = table[(table["arm"] == "ellipse") & (table["metric"] == "dice")]
    assert ellipse["mean"].between(70, 98).all()
    assert len(ellipse) == 3
    assert set(table["reference"]) == {"dense", "grabcut"}
    datasets = ("phantom_deeplesion", "phantom_lits", "phantom_ham10k")
    figures = {path.name for path in (finished / "results/tiny/figures").iterdir()}
    assert figures == {
        f"{figure}.{dataset}.demo.{suffix}"
        for dataset in datasets
        for figure in (
            "training_curves",
            "contours",
            "supervision",
            "clusters",
            "k_sweep",
            "angles",
        )
        for suffix in ("svg", "png")
        if (figure, suffix) != ("contours", "svg")
    }
    page = (finished / "results/tiny/tables/samples.html").read_text()
    for dataset in datasets:
        assert f"<td>{dataset}</td>" in page
    for reason in ("volume without tumour", "fewer than five vertices", "neighbour slices missing"):
        assert reason in page


def test_every_job_leaves_a_log_that_says_something(finished):
    logs = list((finished / "results/tiny/logs").rglob("*.log"))
    benchmarks = list((finished / "results/tiny/benchmarks").rglob("*.tsv"))
    assert len(logs) == len(benchmarks) > 80
    for path in logs:
        assert path.read_text().strip(), path
    assert not list(finished.rglob("*.part")) + list(finished.rglob(".part*"))


def test_second_run_has_nothing_to_do(finished):
    assert planned(finished, *TINY) == {}


def test_same_seed_gives_the_same_bytes_of_scores(finished, tmp_path):
    one = {"select": {"datasets": ["phantom_ham10k"]}}
    snakemake(tmp_path, *overlay(tmp_path, one), "--until", "score_predictions")
    scores = sorted((finished / RUNS).rglob("scores.csv"))
    assert len(scores) == 5
    for path in scores:
        assert path.read_bytes() == (tmp_path / path.relative_to(finished)).read_bytes()
    seeds = [
        (finished / RUNS / f"a1/seed-{seed}/model.safetensors").read_bytes() for seed in (1, 2)
    ]
    assert seeds[0] != seeds[1]


STATISTICS = {
    "tabulate_scores": 1,
    "tabulate_definitions": 1,
    "tabulate_verdicts": 1,
    "write_overview": 1,
    "all": 1,
}
AGGREGATES = {**STATISTICS, "plot_contours": 1}
RETRAINED = {
    "train_arm": 2,
    "predict_arm": 2,
    "score_predictions": 2,
    "plot_training_curves": 1,
    **AGGREGATES,
}
THREE_DATASETS = {
    "train_arm": 6,
    "predict_arm": 6,
    "score_predictions": 6,
    "plot_training_curves": 3,
    "plot_contours": 3,
    **STATISTICS,
}


def overlay(folder, content):
    """One more configuration file, with what a test changes."""
    (folder / "change.yaml").write_text(yaml.safe_dump(content))
    return (*TINY, folder / "change.yaml")


@pytest.mark.parametrize(
    ("change", "jobs"),
    [
        ({"arms": {"a1l": {"training": {"learning_rate": 0.002}}}}, THREE_DATASETS),
        (
            {"seeds": [1, 2, 3]},
            {name: count for name, count in THREE_DATASETS.items() if name != "plot_contours"},
        ),
        (
            {"datasets": {"phantom_ham10k": {"num_clusters": 5}}},
            {"cluster_lesions": 1, "plot_clusters": 1, "plot_k_sweep": 1, **RETRAINED},
        ),
        (
            {"datasets": {"phantom_lits": {"k_sweep": [2, 3, 4]}}},
            {"cluster_lesions": 1, "plot_k_sweep": 1, "all": 1},
        ),
        ({"statistics": {"seed": 1}}, STATISTICS),
        ({"figures": {"contour_images": 3}}, {"plot_contours": 3, "all": 1}),
    ],
    ids=["learning rate", "new seed", "K", "K of the sweep", "bootstrap seed", "figure"],
)
def test_a_change_re_runs_only_what_depends_on_it(finished, tmp_path, change, jobs):
    assert planned(finished, *overlay(tmp_path, change)) == jobs


def test_an_arm_more_trains_that_arm_only(finished, tmp_path):
    arms = ["ellipse", "a1", "a1l", "a1l_shuffled"]
    jobs = planned(finished, *overlay(tmp_path, {"experiments": {"table1": {"arms": arms}}}))
    assert jobs == {"shuffle_clusters": 3, **THREE_DATASETS}


def test_plan_of_the_full_reproduction(tmp_path):
    """Jobs by rule of the whole paper; no rule asks for what none makes."""
    jobs = planned(tmp_path)
    assert jobs == {
        "download_file": 7,
        "extract_archive": 4,
        "fetch_slices": 56,
        "make_patches": 57,  # 9 blocks, and those of which a switch changes the patches
        "draw_ellipses": 57,
        "draw_soft_ellipses": 9,
        "draw_fixed_ellipse": 9,
        "draw_grabcut": 34,
        "measure_agreement": 6,
        "cluster_lesions": 137,
        "shuffle_clusters": 6,
        "train_arm": 940,
        "predict_arm": 940,
        "predict_target": 18,
        "score_predictions": 958,
        "measure_accuracy": 30,
        "tabulate_samples": 1,
        "tabulate_scores": 7,
        "tabulate_definitions": 1,
        "tabulate_cost": 1,
        "tabulate_accuracy": 1,
        "tabulate_sweep": 2,
        "tabulate_attribution": 1,
        "tabulate_agreement": 1,
        "tabulate_verdicts": 1,
        "write_overview": 1,
        "plot_training_curves": 9,
        "plot_contours": 9,
        "plot_supervision": 9,
        "plot_clusters": 9,
        "plot_k_sweep": 9,
        "plot_angles": 9,
        "plot_sweep": 2,
        "all": 1,
    }


def test_one_item_alone(finished, tmp_path):
    jobs = planned(finished, *overlay(tmp_path, {"select": {"items": ["table7"]}}))
    assert jobs == {"train_arm": 2, "predict_arm": 2, "score_predictions": 2,
                    "tabulate_scores": 1, "all": 1}  # fmt: skip


EVERY_ARM = {
    "study": "arms",
    "seeds": [1],
    "protocols": {"demo": {"training": {"epochs": 2}}},
    "select": {"datasets": ["phantom_deeplesion"]},
    "experiments": {
        "table1": {
            "arms": list(yaml.safe_load((ROOT / "config.yaml").read_text())["arms"]),
        }
    },
}


def test_every_arm_from_patches_to_table(finished, tmp_path):
    (tmp_path / "resources").symlink_to(finished / "resources")
    snakemake(tmp_path, "table1", *overlay(tmp_path, EVERY_ARM))
    table = pd.read_csv(tmp_path / "results/arms/tables/table1.csv")
    assert list(table["arm"].unique()) == EVERY_ARM["experiments"]["table1"]["arms"]
    assert table["mean"].notna().all()
    runs = tmp_path / "results/arms/phantom_deeplesion/demo/runs"
    run = {path.parts[-3]: json.loads(path.read_text()) for path in runs.rglob("run.json")}
    assert set(run) == set(table["arm"]) - {"ellipse", "fixed_ellipse"}
    targets = runs.parent / "targets"
    for arm, target in (("a1", "ellipse"), ("a1_grabcut", "grabcut_trimap")):
        assert run[arm]["inputs_sha256"]["target"] == file_digest(targets / f"{target}.npy")
    # without dense masks, the reference is GrabCut's
    assert (
        run["a1_dense"]["inputs_sha256"]["target"] == run["a1_grabcut"]["inputs_sha256"]["target"]
    )
    clusters = {run[arm]["inputs_sha256"]["clusters"] for arm in run if arm.startswith("a1l_")}
    assert len(clusters) == 3  # shuffled, periodic, and those of the other two
    assert run["a1_long"]["epochs_run"] == run["a1l"]["epochs_run"]
    partners = pd.read_csv(runs / "acoseg/seed-1/predictions.csv")
    assert list(partners) == ["id", "partner", "partner_cluster"]


def test_a_changed_module_re_runs_what_imports_it(copied, tmp_path):
    # the same workflow with another copy of its code
    code = tmp_path / "code"
    code.mkdir()
    for name in ("Snakefile", "config.yaml", "workflow", "src", "envs"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy)(ROOT / name, code / name)
    for caption in (code / "workflow/report").glob("*.rst"):
        caption.write_text(caption.read_text() + "\nchanged\n")
    metrics = code / "src/weaklesion/metrics.py"
    metrics.write_text(metrics.read_text() + "\n# changed\n")
    errors = code / "src/weaklesion/errors.py"
    errors.write_text(errors.read_text() + "\n# changed\n")
    snakefile = ("--snakefile", code / "Snakefile")
    # paths of code differ between the copies, so that only their content is compared here
    triggers = ("--rerun-triggers", "mtime", "params", "code")
    jobs = planned(copied, *snakefile, *TINY, *triggers)
    # a caption re-runs nothing, the metrics' code the scores and all that is made of them
    assert jobs == {"score_predictions": 15, "measure_agreement": 2, "tabulate_agreement": 1,
                    "plot_contours": 3, **STATISTICS}  # fmt: skip


EVERY_ITEM = {
    "study": "items",
    "seeds": [1],
    "protocols": {"demo": {"training": {"epochs": 1}}},
    "select": {"items": None},
}
TABLES = [f"table{number}" for number in range(1, 9)]
CATEGORIES = ["Data", "Overview", "Predictions", "Supervision", "Tables", "Training"]


@pytest.fixture(scope="module")
def every_item(finished, tmp_path_factory):
    """Folder in which every item of the paper and of ours has run, with its report."""
    folder = tmp_path_factory.mktemp("items")
    (folder / "resources").symlink_to(finished / "resources")
    study = overlay(folder, EVERY_ITEM)
    snakemake(folder, *study)
    snakemake(folder, *study, "--report", folder / "report.html")
    return folder


def test_every_item_is_made_and_none_is_empty(every_item):
    results = every_item / "results/items"
    for item in [*TABLES, "controls", "attribution", "definitions", "verdicts"]:
        assert len(pd.read_csv(results / f"tables/{item}.csv")) > 0, item
        assert "<td>" in (results / f"tables/{item}.html").read_text(), item
    for item in ("figure2", "figure5"):
        assert len(pd.read_csv(results / f"tables/{item}.csv")) == 2
        for suffix in ("svg", "png"):
            assert (results / f"figures/{item}.{suffix}").stat().st_size > 5000
    assert set(pd.read_csv(results / "tables/attribution.csv")["switch"]) == {"S1"}
    # one seed, and phantoms: nothing can be said about the paper
    verdicts = pd.read_csv(results / "tables/verdicts.csv")["verdict"]
    assert set(verdicts) == {"not testable here"}
    assert "Study items" in (results / "overview.html").read_text()
    assert (every_item / "report.html").stat().st_size < 25e6


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium, which CI must have."""
    program = shutil.which("chromium")
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("chromium is missing; CI installs it")
        pytest.skip("chromium is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


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
    for name in ("overview.html", *(f"tables/{table}.html" for table in tables)):
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


def test_learning_rate_change_leaves_other_arms_bytes(copied, tmp_path):
    files = {path: path.stat().st_mtime_ns for path in (copied / RUNS / "a1").rglob("*.*")}
    change = {"arms": {"a1l": {"training": {"learning_rate": 0.002}}}}
    snakemake(copied, *overlay(tmp_path, change), "--until", "train_arm")
    assert files == {path: path.stat().st_mtime_ns for path in files}
    run = json.loads((copied / RUNS / "a1l/seed-1/run.json").read_text())
    assert run["settings"]["learning_rate"] == 0.002


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"statistcs": {"seed": 1}}, "statistcs"),
        ({"training": {"learning_rat": 0.1}}, "learning_rat"),
        ({"training": {"epochs": 0}}, "0 is less than the minimum of 1"),
        ({"study": "a; rm -rf b"}, "does not match"),
        ({"experiments": {"table1": {"arms": ["a9"]}}}, "experiments.table1.arms is 'a9'"),
    ],
)
def test_bad_configuration_stops_before_any_job(tmp_path, change, message):
    output = snakemake(tmp_path, "-n", *overlay(tmp_path, change), expect=1)
    assert message in output
    assert not (tmp_path / "results").exists()


@pytest.fixture
def own_archives(finished, tmp_path):
    """A study on archives of one's own: those of the phantom, in another place."""
    source = finished / "resources/phantom_ham10k/tiny/phantom"
    archives = shutil.copytree(source, tmp_path / "archives")
    content = {
        "study": "own",
        "datasets": {
            "own": {
                "loader": "ham10k",
                "source": "mine",
                "manifest": str(archives / "manifest.csv"),
                "num_clusters": 3,
                "k_sweep": [3],
                "limit": {},
                "reference": "dense",
            }
        },
        "select": {"datasets": ["own"]},
        "experiments": {"table1": {"datasets": ["own"]}},
    }
    (tmp_path / "own.yaml").write_text(yaml.safe_dump(content))
    return archives, (*TINY, tmp_path / "own.yaml")


PATCHES = "results/own/own/demo/patches/patches.json"


def test_archives_of_ones_own(own_archives, tmp_path):
    _, study = own_archives
    snakemake(tmp_path, *study, "--until", "make_patches")
    assert json.loads((tmp_path / PATCHES).read_text())["found"] == 60


def test_missing_archive_names_file_cause_and_cure(own_archives, tmp_path):
    archives, study = own_archives
    (archives / "HAM10000_images_part_2.zip").unlink()
    output = snakemake(tmp_path, *study, "--until", "make_patches", expect=1)
    assert re.search(r"HAM10000_images_part_2\.zip from \S+: does not exist\. Run again", output)
    assert "Traceback" not in output


def test_wrong_checksum_names_file_cause_and_cure(own_archives, tmp_path):
    archives, study = own_archives
    with (archives / "HAM10000_metadata.csv").open("a") as stream:
        stream.write("one more line\n")
    output = snakemake(tmp_path, *study, "--until", "make_patches", expect=1)
    assert re.search(r"HAM10000_metadata\.csv from .*bytes, not .*deleted\. Run again", output)
    assert "Traceback" not in output
    assert not list((tmp_path / "resources").rglob("*metadata*"))


def test_a_change_of_one_row_fetches_one_file(own_archives, tmp_path):
    archives, study = own_archives
    snakemake(tmp_path, *study, "--until", "make_patches")
    manifest, name = archives / "manifest.csv", "HAM10000_metadata.csv"
    original = manifest.read_text()
    # another way to the same file is no change
    manifest.write_text(original.replace(f"{name},{name}", f"{name},../archives/{name}"))
    assert planned(tmp_path, *study, "--until", "make_patches") == {}
    manifest.write_text(original.replace(f"{name},{name}", f"{name},elsewhere/{name}"))
    jobs = planned(tmp_path, *study, "--until", "make_patches")
    assert jobs == {"download_file": 1, "make_patches": 1}


def test_archive_of_deeplesion_is_deleted_once_its_slices_are_kept(finished):
    folder = finished / "resources/phantom_deeplesion/tiny/extracted"
    assert list((folder / "fetching").iterdir()) == []
    assert len(list(folder.rglob("*.png"))) == 29
    assert not list((folder.parent / "archives").glob("*.zip"))
