import shutil

import numpy as np
import pytest

from weaklesion.errors import DataError
from weaklesion.support.files import read_array, write_array
from weaklesion.support.scratch import node_local


@pytest.fixture
def array(tmp_path):
    write_array(tmp_path / "a.npy", np.arange(9))
    return tmp_path / "a.npy"


def test_a_copy_on_the_node_is_used_and_removed(array, tmp_path):
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    with node_local(array, scratch) as copy:
        assert scratch in copy.parents
        assert read_array(copy).tolist() == list(range(9))
    assert list(scratch.iterdir()) == []
    assert array.exists()


def test_without_scratch_or_without_space_the_array_is_read_where_it_is(
    array, tmp_path, monkeypatch, caplog
):
    with node_local(array, None) as path:
        assert path == array

    def full(source, destination):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with node_local(array, tmp_path) as path:
        assert path == array
    assert "No space left on device" in caplog.text


def test_a_spoilt_array_is_not_copied(array, tmp_path):
    array.write_bytes(array.read_bytes()[:-8] + bytes(8))
    with (
        pytest.raises(DataError, match="differ from those that were written"),
        node_local(array, tmp_path),
    ):
        pass
