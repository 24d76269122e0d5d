"""Arms that are given the marks of a simulated reader: what the configuration allows."""

import pytest

from weaklesion.errors import DataError
from weaklesion.study.checks import check_config
from weaklesion.study.protocols import merge
from weaklesion.support.yaml_files import read_yaml

READ = {"label": "Read", "base": "ellipse", "marks": "reader"}


@pytest.fixture
def config(root):
    return read_yaml(root / "config.yaml")


def with_reader(config, dataset, arm=READ):
    item = {"datasets": [dataset], "arms": ["ellipse_read", "a1"], "baseline": "a1"}
    return merge(config, {"arms": {"ellipse_read": arm}, "experiments": {"table1": item}})


def test_a_dataset_with_dense_masks_can_be_read(config):
    chosen = with_reader(config, "ham10k")
    chosen["select"] = {"items": ["table1"], "datasets": None, "protocols": None}
    chosen["figures"]["ranked_by"] = "a1"
    check_config(chosen)


def test_a_dataset_without_dense_masks_is_refused(config):
    chosen = with_reader(config, "deeplesion")
    chosen["select"] = {"items": ["table1"], "datasets": None, "protocols": None}
    chosen["figures"]["ranked_by"] = "a1"
    with pytest.raises(DataError, match=r"ellipse_read gets .* deeplesion has none.*mark_noise"):
        check_config(chosen)


def test_an_unknown_reader_is_refused(config):
    with pytest.raises(DataError, match=r"arms.ellipse_read.marks.*noise3.*reader"):
        check_config(with_reader(config, "ham10k", READ | {"marks": "readr"}))


def test_marks_whose_file_another_rule_makes_are_refused(config):
    """`ellipse_soft.npy` has soft edges."""
    config["mark_noise"]["soft"] = 0.05
    with pytest.raises(DataError, match=r"soft: `ellipse_soft\.npy` is another target"):
        check_config(config)


def test_a_name_for_two_kinds_of_marks_is_refused(config):
    config["readers"]["noise3"] = config["readers"]["reader"]
    with pytest.raises(DataError, match=r"readers.noise3: is also a name in `mark_noise`"):
        check_config(config)
