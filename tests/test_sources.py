import pytest

from weaklesion.sources import PACKAGE, module_files


def names(module):
    return {path.removeprefix(f"{PACKAGE}/") for path in module_files(module)}


def test_a_stage_depends_on_what_it_imports_however_far():
    assert {"patches.py", "samples.py", "ellipse.py", "splits.py"} <= names("datasets.ham10k")


def test_loaders_do_not_depend_on_each_other():
    assert not names("datasets.ham10k") & {"datasets/lits.py", "datasets/deeplesion.py"}
    assert not names("datasets.lits") & {"datasets/ham10k.py", "datasets/deeplesion.py"}


def test_stages_do_not_depend_on_each_others_code():
    training = names("training")
    assert "models.py" in training
    assert not training & {"metrics.py", "tables.py", "figures.py", "patches.py", "clusters.py"}
    assert "training.py" not in names("scoring") | names("figures") | names("tables")


def test_messages_and_bookkeeping_re_run_nothing():
    assert not names("training") & {"errors.py", "progress.py", "provenance.py", "files.py"}


def test_unknown_module():
    with pytest.raises(ValueError, match=r"no weaklesion\.nothing"):
        module_files("nothing")
