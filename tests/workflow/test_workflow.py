"""The tiny study: what it makes, what a change makes again, and what bad input stops."""

import json
import re
import shutil

import pandas as pd
import pytest
import yaml
from conftest import ROOT
from documented_columns import assert_documented
from running import RUNS, TINY, overlay, planned, snakemake

from weaklesion.report.tables.scores import TABLE1_COLUMNS
from weaklesion.support.yaml_files import read_yaml


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
            "scatter",
            "examples",
            "supervision",
            "clusters",
            "k_sweep",
            "angles",
        )
        for suffix in ("svg", "png")
        if figure not in ("contours", "examples", "supervision", "clusters") or suffix == "png"
    }
    page = (finished / "results/tiny/tables/samples.html").read_text()
    for dataset in ("DeepLesion", "LiTS", "HAM10000"):
        assert f"<td>{dataset} phantom</td>" in page
    for reason in ("volume without tumour", "fewer than five vertices", "neighbour slices missing"):
        assert reason in page


def test_every_job_leaves_a_log_that_says_something(finished):
    logs = list((finished / "results/tiny/logs").rglob("*.log"))
    benchmarks = list((finished / "results/tiny/benchmarks").rglob("*.tsv"))
    assert len(logs) == len(benchmarks) > 80
    for path in logs:
        assert path.read_text().strip(), path
    assert not list(finished.rglob("*.part")) + list(finished.rglob(".part*"))


def test_every_column_is_documented(finished):
    assert len(assert_documented(finished / "results/tiny")) > 8


def test_second_run_has_nothing_to_do(finished):
    assert planned(finished, *TINY) == {}


def test_seeds_give_different_networks(finished):
    seeds = [
        (finished / RUNS / f"a1/seed-{seed}/model.safetensors").read_bytes() for seed in (1, 2)
    ]
    assert seeds[0] != seeds[1]


STATISTICS = {
    "tabulate_scores": 1,
    "tabulate_definitions": 1,
    "tabulate_verdicts": 1,
    "write_front_page": 1,
    "write_overview": 1,
    "all": 1,
}
PAPERS = {"write_model_card": 1, "write_checklist": 1}
AGGREGATES = {**STATISTICS, "plot_contours": 1, "plot_scatter": 1}
RETRAINED = {
    "train_arm": 2,
    "predict_arm": 2,
    "score_predictions": 2,
    "plot_training_curves": 1,
    **AGGREGATES,
    **PAPERS,
}
THREE_DATASETS = {
    "train_arm": 6,
    "predict_arm": 6,
    "score_predictions": 6,
    "plot_training_curves": 3,
    "plot_contours": 3,
    "plot_scatter": 3,
    **STATISTICS,
    **PAPERS,
}
ANOTHER_DATASET = {
    "loader": "ham10k",
    "like": "ham10k",
    "source": "another",
    "phantom": {"num_images": 60, "seed": 1, "width_px": 80, "height_px": 60},
    "num_clusters": 3,
    "k_sweep": [2, 3],
    "limit": {},
    "reference": "dense",
}


@pytest.mark.parametrize(
    ("change", "jobs"),
    [
        ({"arms": {"a1l": {"training": {"weight_decay": 0.001}}}}, THREE_DATASETS),
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
        (
            {"experiments": {"table1": {"baseline": "ellipse"}}},
            {
                "tabulate_scores": 1,
                "write_front_page": 1,
                "write_overview": 1,
                "write_checklist": 1,
                "all": 1,
            },
        ),
        (
            {"figures": {"contour_images": 3}},
            {"plot_contours": 3, "write_front_page": 1, "write_checklist": 1, "all": 1},
        ),
        ({"tensorboard": True}, {}),
        ({"datasets": {"another": ANOTHER_DATASET}}, {}),
    ],
    ids=[
        "weight decay",
        "new seed",
        "K",
        "K of the sweep",
        "baseline",
        "figure",
        "curves",
        "a dataset of no item",
    ],
)
def test_a_change_re_runs_only_what_depends_on_it(finished, tmp_path, change, jobs):
    assert planned(finished, *overlay(tmp_path, change)) == jobs


def test_an_arm_more_trains_that_arm_only(finished, tmp_path):
    arms = ["ellipse", "a1", "a1l", "a1l_shuffled"]
    jobs = planned(finished, *overlay(tmp_path, {"experiments": {"table1": {"arms": arms}}}))
    # no claim is about shuffled classes: the verdicts stay
    expected = {"shuffle_clusters": 3, "write_data_sheet": 1, **THREE_DATASETS}
    del expected["tabulate_verdicts"]
    assert jobs == expected


def test_plan_of_the_full_reproduction(tmp_path):
    """Jobs by rule of the whole paper; no rule asks for what none makes."""
    jobs = planned(tmp_path)
    assert jobs == {
        "download_file": 7,
        "extract_archive": 4,
        "fetch_slices": 56,
        "make_patches": 59,  # 11 blocks, and those of which a switch changes the patches
        "draw_ellipses": 59,
        "draw_soft_ellipses": 9,
        "draw_fixed_ellipse": 9,
        "draw_grabcut": 34,
        "choose_prior_weight": 5,
        "draw_refined": 5,
        "draw_shrunken": 2,
        "perturb_marks": 2,
        "choose_warp": 4,
        "draw_warps": 4,
        "measure_agreement": 6,
        "cluster_lesions": 137,
        "shuffle_clusters": 6,
        "train_arm": 1472,
        "predict_arm": 1497,
        "predict_target": 26,
        "score_predictions": 1523,
        "measure_volumes": 1,
        "tabulate_volumes": 1,
        "measure_accuracy": 30,
        "tabulate_samples": 1,
        "tabulate_scores": 11,
        "tabulate_definitions": 1,
        "tabulate_cost": 1,
        "tabulate_parameters": 1,
        "plot_cost": 1,
        "tabulate_accuracy": 1,
        "tabulate_sweep": 3,
        "tabulate_attribution": 1,
        "describe_samples": 2,
        "tabulate_gap": 1,
        "plot_gap": 1,
        "tabulate_agreement": 1,
        "tabulate_verdicts": 1,
        "write_front_page": 1,
        "write_overview": 1,
        "plot_training_curves": 9,
        "plot_contours": 11,
        "plot_scatter": 9,
        "plot_supervision": 9,
        "plot_clusters": 9,
        "plot_k_sweep": 9,
        "plot_angles": 9,
        "plot_sweep": 3,
        "write_data_sheet": 1,
        **PAPERS,
        "all": 1,
    }


def test_one_item_alone(finished, tmp_path):
    jobs = planned(finished, *overlay(tmp_path, {"select": {"items": ["table7"]}}))
    assert jobs == {"train_arm": 2, "predict_arm": 2, "score_predictions": 2,
                    "tabulate_scores": 1, "tabulate_verdicts": 1, "all": 1}  # fmt: skip


SCORED_AGAIN = {
    "score_predictions": 15,
    "measure_agreement": 2,
    "tabulate_agreement": 1,
    "plot_contours": 3,
    "plot_scatter": 3,
    **STATISTICS,
    **PAPERS,
}
SCORED_BY_SCRIPT = {name: count for name, count in SCORED_AGAIN.items()
                    if name not in ("measure_agreement", "tabulate_agreement")}  # fmt: skip
TRAINED_AGAIN = {name: count * 2 if name.endswith("_arm") else count
                 for name, count in THREE_DATASETS.items()} | {"score_predictions": 12}  # fmt: skip


# Those of the profile that is always loaded, but for `input`: paths of code differ between copies
# of the workflow, so that only their content is compared here.
PROFILE = read_yaml(ROOT / "workflow/profiles/default/config.yaml")
TRIGGERS = ["--rerun-triggers", *(one for one in PROFILE["rerun-triggers"] if one != "input")]


@pytest.mark.parametrize(
    ("changed", "jobs"),
    [
        (["workflow/report/scores.rst", "workflow/report/contours.rst"], {}),
        (["src/weaklesion/errors.py"], {}),
        (["src/weaklesion/metrics/formulas.py"], SCORED_AGAIN),
        (["workflow/scripts/score_predictions.py"], SCORED_BY_SCRIPT),
        (["src/weaklesion/networks/deeplab.py"], TRAINED_AGAIN),  # of a1 and a1l
        (["src/weaklesion/networks/unet.py"], {}),  # which no arm here has
    ],
    ids=["captions", "messages", "metrics", "a script", "a network", "another network"],
)
def test_a_changed_file_re_runs_what_depends_on_it(finished, tmp_path, changed, jobs):
    # the same workflow with another copy of its code
    code = tmp_path / "code"
    code.mkdir()
    for name in ("CITATION.cff", "Snakefile", "config.yaml", "workflow", "src", "envs"):
        (shutil.copytree if (ROOT / name).is_dir() else shutil.copy2)(ROOT / name, code / name)
    for name in changed:
        path = code / name
        path.write_text(path.read_text() + ("\n# changed\n"))
    assert planned(finished, "--snakefile", code / "Snakefile", *TINY, *TRIGGERS) == jobs


def test_a_changed_setting_of_one_arm_leaves_other_arms_bytes(copied, tmp_path):
    files = {path: path.stat().st_mtime_ns for path in (copied / RUNS / "a1").rglob("*.*")}
    change = {"arms": {"a1l": {"training": {"weight_decay": 0.001}}}}
    output = snakemake(copied, *overlay(tmp_path, change), "--until", "train_arm")
    reason = "Params have changed since last execution: weight_decay: 0.0 -> 0.001"
    assert output.count(f"reason: {reason}\n") == 6
    assert files == {path: path.stat().st_mtime_ns for path in files}
    run = json.loads((copied / RUNS / "a1l/seed-1/run.json").read_text())
    assert run["settings"]["weight_decay"] == 0.001


def test_a_fold_is_split_again_when_two_of_its_numbers_change_places(tmp_path):
    """Snakemake compares the values of params without their names: 3 of 3 by 5 is 3 of 5 by 5."""
    target = "results/tiny/phantom_ham10k/demo@3/patches/samples.csv"

    def of(folds):
        protocol = {"folds": folds, "patches": {"ham10k": {"split_seed": 5}}}
        return [target, *overlay(tmp_path, {"protocols": {"demo": protocol}})]

    snakemake(tmp_path, *of(3))
    assert planned(tmp_path, *of(3)) == {}
    assert planned(tmp_path, *of(5)) == {"split_fold": 1}


def test_the_name_of_an_arm_may_have_dots(tmp_path):
    """It stands in a figure's name beside dataset and protocol, which dots separate."""
    target = "results/tiny/figures/warps.phantom_lits.demo_source.v2.prompted_refined.png"
    arms = {"v2.prompted_refined": {"base": "prompted_refined"}}
    assert planned(tmp_path, target, *overlay(tmp_path, {"arms": arms}))["draw_warps"] == 1


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
