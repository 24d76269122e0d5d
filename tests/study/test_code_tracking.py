from pathlib import Path

import pytest

from weaklesion.study import code_tracking as sources
from weaklesion.study.code_tracking import PACKAGE, module_files, path_from_here


def names(*modules):
    return {str(Path(path).resolve().relative_to(PACKAGE)) for path in module_files(*modules)}


def test_a_stage_depends_on_what_it_imports_however_far():
    read = {"data/patches.py", "ellipse.py", "splits.py", "support/parallel.py"}
    assert read <= names("data.loaders.ham10k")


def test_loaders_do_not_depend_on_each_other():
    others = {f"data/loaders/{name}.py" for name in ("ham10k", "lits", "deeplesion", "custom")}
    for name in ("ham10k", "lits", "deeplesion", "custom"):
        assert names(f"data.loaders.{name}") & others == {f"data/loaders/{name}.py"}


def test_stages_do_not_depend_on_each_others_code():
    tasks = (f"training.tasks.{name}" for name in ("segmentation", "pairs", "prompted"))
    training = names("training.train", *tasks)
    assert "models.py" in training
    other_stages = ("metrics/", "report/", "scoring/", "prediction/", "clusters.py")
    assert not [name for name in training if name.startswith(other_stages)]
    later = names("scoring.score") | names("report.figures.arms") | names("report.tables.scores")
    assert not [name for name in later if name.startswith("training/")]


def test_what_no_training_reads_retrains_nothing():
    for task in ("segmentation", "pairs", "prompted"):
        assert "supervision/perturbed.py" not in names("training.train", f"training.tasks.{task}")


def test_what_marks_are_shown_as_retrains_no_network_that_sees_none():
    of_marks = {"four_ends.py", "mark_shapes.py", "training/prompts.py", "training/warp_refit.py"}
    assert of_marks <= names("training.train", "training.tasks.prompted")
    for task in ("segmentation", "pairs"):
        assert not names("training.train", f"training.tasks.{task}") & of_marks


def test_a_task_retrains_no_network_of_another():
    tasks = {f"training/tasks/{name}.py" for name in ("segmentation", "pairs", "prompted")}
    for stage in ("training.train", "prediction.predict"):
        assert not names(stage) & tasks
    for name in ("segmentation", "pairs", "prompted"):
        for stage in ("training.train", "prediction.predict"):
            package = f"{stage.partition('.')[0]}.tasks.{name}"
            assert names(stage, package) & tasks == {f"training/tasks/{name}.py"}


def test_a_new_network_retrains_no_other():
    assert "networks/names.py" not in names("training.train") | names("prediction.predict")
    assert "networks/unet.py" not in names("training.train")


def test_words_about_metrics_score_nothing_again():
    assert "metrics/pair.py" in names("scoring.score")
    assert "scoring/catalogue.py" not in names("scoring.score")
    assert "metrics/pair.py" not in names("scoring.statistics")


def test_checks_of_the_configuration_make_no_page_again():
    for page in ("mark_agreement_page", "scores", "front_page"):
        assert not {"study/study.py", "study/checks.py"} & names(f"report.tables.{page}")


def test_messages_and_bookkeeping_re_run_nothing():
    bookkeeping = {"errors.py", *(f"support/{name}.py" for name in ("files", "progress"))}
    assert not names("training.train") & (bookkeeping | {"support/provenance.py"})


def test_unknown_module():
    with pytest.raises(ValueError, match=r"no weaklesion\.nothing"):
        module_files("nothing")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package in which a stage imports from another package, `metrics`; and a way to write it."""
    folder = tmp_path / "src/weaklesion"

    def write(name, text=""):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    monkeypatch.setattr(sources, "PACKAGE", folder)
    monkeypatch.chdir(tmp_path.parent.parent)
    sources._imports.cache_clear()
    write("__init__.py", "__version__ = '1'")
    write("metrics/__init__.py", "from weaklesion.metrics.overlap import dice")
    write("metrics/overlap.py", "def dice(): ...")
    write("metrics/distance.py")
    yield write
    sources._imports.cache_clear()


def of_stage(package, text):
    package("stage.py", text)
    files = module_files("stage")
    return {path.split("/src/weaklesion/")[1] for path in files} - {"stage.py"}


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("from weaklesion.metrics import dice", {"metrics/__init__.py", "metrics/overlap.py"}),
        ("from weaklesion import metrics", {"metrics/__init__.py", "metrics/overlap.py"}),
        ("import weaklesion.metrics", {"metrics/__init__.py", "metrics/overlap.py"}),
        ("from weaklesion.metrics import distance", {"metrics/distance.py"}),
        ("from weaklesion.metrics.distance import x", {"metrics/distance.py"}),
        ("from .metrics import distance", {"metrics/distance.py"}),
        ("from weaklesion import __version__", set()),
        ("import numpy", set()),
    ],
)
def test_a_package_counts_where_its_own_names_are_imported(package, text, files):
    assert of_stage(package, text) == files


@pytest.mark.parametrize(
    "text", ["import weaklesion.gone", "from weaklesion.gone import x", "from .gone import x"]
)
def test_an_import_of_what_is_not_there(package, text):
    package("stage.py", text)
    with pytest.raises(ValueError, match=r"stage.py: imports weaklesion\.gone, which does not"):
        module_files("stage")


@pytest.mark.parametrize(
    ("here", "path"),
    [
        ("a/clone", "src/x.py"),
        ("a/clone/sub", "../src/x.py"),
        ("a/beside", "../clone/src/x.py"),
        ("a", "clone/src/x.py"),
        ("elsewhere", None),
        (".", None),
    ],
)
def test_code_that_can_be_moved_with_the_working_directory_is_relative(
    tmp_path, monkeypatch, here, path
):
    for folder in ("a/clone/src", "a/clone/sub", "a/beside", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / here)
    code = tmp_path / "a/clone/src/x.py"
    assert path_from_here(code, tmp_path / "a/clone") == (path or str(code))
