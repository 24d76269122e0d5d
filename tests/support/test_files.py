import numpy as np
import pytest

from weaklesion.errors import DataError
from weaklesion.support.files import digest_file, read_array, write_array, written_whole


def test_failed_write_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")

    def fail():
        with written_whole(path) as beside:
            beside.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_leftover_of_a_killed_write_is_replaced(tmp_path):
    (tmp_path / ".part.a.txt").write_text("left by a kill")
    with written_whole(tmp_path / "a.txt") as beside:
        assert not beside.exists()
        beside.write_text("whole")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_truncated_array_of_another_origin_is_refused_and_stays(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.arange(1000))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"a\.npy.*Delete it"):
        read_array(path)
    assert path.exists()


@pytest.mark.parametrize("spoil", [lambda b: b[:-100], lambda b: b[:-100] + bytes(100)])
def test_spoilt_array_is_found_by_its_digest_and_removed(tmp_path, spoil):
    path = tmp_path / "a.npy"
    write_array(path, np.arange(1000))
    assert read_array(path)[-1] == 999
    path.write_bytes(spoil(path.read_bytes()))
    with pytest.raises(DataError, match=r"a\.npy.*removed: run again"):
        read_array(path)
    assert not path.exists()
    write_array(path, np.arange(5))
    assert read_array(path)[-1] == 4


def test_a_kill_between_an_array_and_its_digest_leaves_it_readable(tmp_path):
    path = tmp_path / "a.npy"
    write_array(path, np.arange(3))
    digest_file(path).unlink()
    assert read_array(path)[-1] == 2


def test_pickled_array_is_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError):
        read_array(path)
