"""A folder's own files are written over; nobody else's is."""

import subprocess
from contextlib import suppress

import pytest

from weaklesion.errors import DataError
from weaklesion.support.own_files import LIST, OwnFiles


def write(folder, name, text):
    with OwnFiles(folder).writing(name) as temporary:
        temporary.write_text(text)


def test_own_files_are_written_over_and_a_users_are_not(tmp_path):
    write(tmp_path, "a.csv", "1")
    write(tmp_path, "a.csv", "2")
    assert (tmp_path / "a.csv").read_text() == "2"
    (tmp_path / "a.csv").write_text("corrected by hand")
    (tmp_path / "b.csv").write_text("mine")
    for name in ("a.csv", "b.csv"):
        with pytest.raises(DataError, match=rf"has {name}, which this command did not write, or"):
            write(tmp_path, name, "3")
    assert (tmp_path / "a.csv").read_text() == "corrected by hand"
    assert (tmp_path / "b.csv").read_text() == "mine"


def test_a_file_of_a_killed_call_is_known(tmp_path):
    with suppress(KeyboardInterrupt), OwnFiles(tmp_path).writing("a.csv") as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt
    assert not (tmp_path / "a.csv").exists()
    (tmp_path / "a.csv").write_text("renamed, but not noted any more")
    write(tmp_path, "a.csv", "whole")
    assert (tmp_path / "a.csv").read_text() == "whole"


def test_others_are_removed_only_if_they_are_own_and_unchanged(tmp_path):
    for name in ("kept.dcm", "old.dcm", "changed.dcm"):
        write(tmp_path, name, name)
    (tmp_path / "changed.dcm").write_text("corrected")
    (tmp_path / "mine.dcm").write_text("mine")
    OwnFiles(tmp_path).remove_others(["kept.dcm"])
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"kept.dcm", "changed.dcm", "mine.dcm", LIST}
    subprocess.run(["sha256sum", "--check", "--strict", LIST], cwd=tmp_path, check=True)


@pytest.mark.parametrize("name", ["../mine.txt", "{folder}/mine.txt"])
def test_a_list_that_names_files_elsewhere_removes_none(tmp_path, name):
    mine, folder = tmp_path / "mine.txt", tmp_path / "out"
    mine.write_text("mine")
    folder.mkdir()
    (folder / LIST).write_text(f"{'0' * 64}  {name.format(folder=tmp_path)}\n")
    OwnFiles(folder).remove_others([])
    assert mine.read_text() == "mine"


def test_links_are_nobodys_own(tmp_path):
    elsewhere, folder = tmp_path / "elsewhere.csv", tmp_path / "out"
    write(folder, "a.csv", "1")
    (folder / "a.csv").rename(elsewhere)
    (folder / "a.csv").symlink_to(elsewhere)
    with pytest.raises(DataError, match=r"a\.csv"):
        write(folder, "a.csv", "2")
    (folder / LIST).unlink()
    (folder / LIST).symlink_to(elsewhere)
    with pytest.raises(DataError, match=LIST):
        write(folder, "b.csv", "2")
    assert elsewhere.read_text() == "1"
