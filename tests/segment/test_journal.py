"""`weaklesion segment` goes on where it was, and writes over nothing."""

import errno
import json
import os
import resource

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from segmenting import run

from weaklesion.errors import DataError
from weaklesion.segment.journal import _digest
from weaklesion.segment.lock import locked_folder
from weaklesion.segment.outputs import read_mask, write_mask
from weaklesion.segment.run import segment_marks
from weaklesion.support.files import file_digest


@pytest.mark.workflow
def test_a_call_that_was_stopped_goes_on(model, tmp_path, images):
    _, rows = images
    run(model, tmp_path, rows[:2])
    out = tmp_path / "out"
    first = {path.name: path.stat().st_mtime_ns for path in (out / "masks").iterdir()}
    with (out / "journal.jsonl").open("a") as journal:
        journal.write('{"key": "cut o')  # killed while writing
    (out / "measurements.csv").unlink()
    _, measured = run(model, tmp_path, rows)
    assert list(measured.index) == ["m0", "m1", "m2", "m3"]
    for name, time in first.items():
        assert (out / "masks" / name).stat().st_mtime_ns == time
    fresh = tmp_path / "fresh"
    fresh.mkdir()
    for path in tmp_path.glob("[0-9].*"):
        (fresh / path.name).write_bytes(path.read_bytes())
    _, straight = run(model, fresh, rows)
    columns = [name for name in measured if name != "image"]
    pd.testing.assert_frame_equal(measured[columns], straight[columns])
    # lines of the table are those of this call; threads change nothing; other marks' masks are left
    _, measured = run(model, tmp_path, rows[::-1][:3], "--threads", "1")
    assert measured["line"].to_dict() == {"m3": 2, "m2": 3, "m1": 4}
    assert (out / "masks" / "m1.png").stat().st_mtime_ns == first["m1.png"]
    assert (out / "masks" / "m0.png").stat().st_mtime_ns == first["m0.png"]
    # another mark, or a mask that is gone, is done again
    (out / "masks" / "m1.png").unlink()
    moved = [rows[0] | {"long_a_x": rows[0]["long_a_x"] + 2}, *rows[1:]]
    run(model, tmp_path, moved)
    assert (out / "masks" / "m1.png").is_file()
    assert (out / "masks" / "m0.png").stat().st_mtime_ns > first["m0.png"]
    # what is done is kept, too, where the journal has earlier answers under the same id
    done = {path: path.stat().st_mtime_ns for path in (out / "masks").iterdir()}
    run(model, tmp_path, moved)
    assert {path: path.stat().st_mtime_ns for path in (out / "masks").iterdir()} == done
    run(model, tmp_path, moved, "--gate", "0.5")
    assert all(path.stat().st_mtime_ns > time for path, time in done.items())


def test_images_that_were_moved_keep_their_results(model, tmp_path, images):
    _, rows = images
    run(model, tmp_path, rows)
    masks = tmp_path / "out/masks"
    done = {path: path.stat().st_mtime_ns for path in masks.iterdir()}
    assert done
    (tmp_path / "moved").mkdir()
    for name in {row["image"] for row in rows}:
        (tmp_path / name).rename(tmp_path / "moved" / name)
    moved = [row | {"image": f"moved/{row['image']}"} for row in rows]
    result, measured = run(model, tmp_path, moved)
    assert result.exit_code == 0, result.output
    assert {path: path.stat().st_mtime_ns for path in masks.iterdir()} == done
    assert measured["image"].str.contains("moved").all()


def test_a_second_table_does_not_write_over_the_first_ones_answers(model, tmp_path, images):
    """Marks without ids are numbered, so that two tables have the same ones."""
    _, rows = images
    nameless = [{key: row[key] for key in row if key != "id"} for row in rows]
    run(model, tmp_path, nameless[:1])
    mask = (tmp_path / "out/masks/mark-00001.png").read_bytes()
    before = (tmp_path / "out/measurements.csv").read_bytes()
    result, _ = run(model, tmp_path, nameless[2:3])
    assert result.exit_code == 1
    assert "already has a result with the id mark-00001, for" in result.output
    assert (tmp_path / "out/masks/mark-00001.png").read_bytes() == mask
    assert (tmp_path / "out/measurements.csv").read_bytes() == before


def test_a_call_that_is_killed_leaves_no_table_of_the_call_before(
    model, tmp_path, images, monkeypatch
):
    _, rows = images
    run(model, tmp_path, rows)

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("weaklesion.segment.batches.write_mask", killed)
        run(model, tmp_path, rows, "--gate", "0.5")
    assert not (tmp_path / "out/measurements.csv").exists()
    assert not (tmp_path / "out/refused.csv").exists()
    _, measured = run(model, tmp_path, rows, "--gate", "0.5")
    assert len(measured) == 4


def test_a_mask_that_a_crash_spoilt_is_made_again(model, tmp_path, images):
    _, rows = images
    run(model, tmp_path, rows[:2])
    path = tmp_path / "out/masks/m0.png"
    whole, other = path.read_bytes(), (tmp_path / "out/masks/m1.png").stat().st_mtime_ns
    path.write_bytes(b"\0" * len(whole))
    run(model, tmp_path, rows[:2])
    assert path.read_bytes() == whole
    assert (tmp_path / "out/masks/m1.png").stat().st_mtime_ns == other


def test_what_was_refused_and_forgotten_keeps_no_id(model, tmp_path, images):
    _, rows = images
    run(model, tmp_path, rows[:2])
    run(model, tmp_path, [rows[0], rows[1] | {"short_b_y": ""}])
    assert not (tmp_path / "out/masks/m1.png").exists()
    _, measured = run(model, tmp_path, [rows[0], rows[2] | {"id": "m1"}])
    assert list(measured.index) == ["m0", "m1"]


def results(folder):
    """Return the bytes of all masks and overlays, and when they were written."""
    files = [*(folder / "out/masks").iterdir(), *(folder / "out/overlays").iterdir()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


@pytest.mark.parametrize("damage", ["gone", "cut short", "gone, and the row has a mistake"])
def test_results_on_an_image_that_is_not_there_are_kept(model, tmp_path, images, damage):
    """Its disk may not be mounted, or may fail: what was made of it cannot be made again now."""
    _, rows = images
    run(model, tmp_path, rows)
    before = results(tmp_path)
    path = tmp_path / "0.png"
    content = path.read_bytes()
    path.unlink()
    if damage == "cut short":
        path.write_bytes(content[:1000])
    mistake = {"short_b_y": ""} if "mistake" in damage else {}
    result, measured = run(model, tmp_path, [rows[0] | mistake, *rows[1:]])
    assert result.exit_code == 0, result.output
    assert list(measured.index) == ["m1", "m2", "m3"]
    assert results(tmp_path) == before
    refused = pd.read_csv(tmp_path / "out/refused.csv").set_index("id")
    assert refused.loc["m0", "cause"].endswith("; its earlier mask is kept unchanged")
    path.write_bytes(content)
    _, measured = run(model, tmp_path, rows)
    assert list(measured.index) == ["m0", "m1", "m2", "m3"]
    assert results(tmp_path) == before


def test_without_any_image_a_folder_with_results_stays_as_it_is(model, tmp_path, images):
    _, rows = images
    images = [tmp_path / row["image"] for row in rows]
    run(model, tmp_path, rows)
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    (tmp_path / "elsewhere").mkdir()
    for path in images:
        path.rename(tmp_path / "elsewhere" / path.name)
    result, _ = run(model, tmp_path, rows)
    assert result.exit_code == 1
    assert "none of the 4 images of this table can be found or opened, as in line 2" in (
        result.output
    )
    assert "Check that the disk of the images is mounted" in result.output
    after = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert after == before
    # a new folder has nothing to lose: all marks are refused there, each with its cause
    pd.DataFrame(rows).to_csv(tmp_path / "marks.csv", index=False)
    counts = segment_marks(
        model_dir=model, marks_csv=tmp_path / "marks.csv", out_dir=tmp_path / "new"
    )
    assert counts["refused"] == 4


def test_a_picture_that_was_replaced_is_read_again(model, tmp_path, images):
    """In one process, too: what was read of it is kept for the next mark on it."""
    _, rows = images
    good = (tmp_path / "0.png").read_bytes()
    Image.new("RGB", (160, 120)).save(tmp_path / "0.png")
    _, measured = run(model, tmp_path, rows[:1])
    assert len(measured) == 0
    (tmp_path / "0.png").write_bytes(good)
    _, measured = run(model, tmp_path, rows[:1])
    assert list(measured.index) == ["m0"]


def test_a_full_disk_stops_the_call(model, tmp_path, images, monkeypatch):
    _, rows = images

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("weaklesion.support.png.Path.write_bytes", full)
    result, measured = run(model, tmp_path, rows)
    assert result.exit_code == 1
    assert "No space left on device" in result.output
    assert f"{tmp_path / 'out/masks/m0.png'}" in result.output
    assert "Check permissions and space; run it again." in result.output
    assert measured is None


def test_a_mask_that_the_disk_cuts_short_is_not_written(tmp_path):
    """The limit of a file's size fails as a full disk does: in the last write, at the end."""
    path = tmp_path / "mask.png"
    mask = np.random.default_rng(0).integers(0, 2, (60, 80), dtype=np.uint8)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    try:
        with pytest.raises(OSError, match=r"mask\.png"):
            write_mask(path, mask, None, None)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert not list(tmp_path.iterdir())
    write_mask(path, mask, None, None)
    assert np.array_equal(read_mask(path, None), mask)


@pytest.mark.parametrize("own", ["masks/m0.png", "overlays/m1.png", "measurements.csv"])
def test_files_that_segment_did_not_make_are_not_written_over(model, tmp_path, images, own):
    _, rows = images
    path = tmp_path / "out" / own
    path.parent.mkdir(parents=True)
    path.write_bytes(b"id\nmine")
    pd.DataFrame(rows).to_csv(tmp_path / "marks.csv", index=False)
    with pytest.raises(DataError, match="which this command did not write"):
        segment_marks(model_dir=model, marks_csv=tmp_path / "marks.csv", out_dir=tmp_path / "out")
    assert path.read_bytes() == b"id\nmine"
    assert not (tmp_path / "out/journal.jsonl").exists()


@pytest.mark.parametrize("name", ["masks", "overlays", "volumes"])
@pytest.mark.parametrize("link", [False, True], ids=["file", "broken link"])
def test_what_is_no_folder_is_named(model, tmp_path, images, name, link):
    _, rows = images
    path = tmp_path / "out" / name
    path.parent.mkdir()
    if link:
        path.symlink_to(tmp_path / "absent")
    else:
        path.write_bytes(b"mine")
    result, _ = run(model, tmp_path, rows, "--volume")
    assert result.exit_code == 1
    assert f"{path}: is not a folder. Move it away, or give another --out" in result.output
    assert "Check permissions" not in result.output
    assert not (tmp_path / "out/journal.jsonl").exists()


def test_a_mask_that_its_user_changed_is_kept(model, tmp_path, images):
    _, rows = images
    run(model, tmp_path, rows[:1])
    mask = tmp_path / "out/masks/m0.png"
    Image.new("L", (160, 120)).save(mask)
    mine = mask.read_bytes()
    result, _ = run(model, tmp_path, rows[:1])
    assert result.exit_code == 1
    assert mask.read_bytes() == mine


@pytest.mark.parametrize("damage", [b"\xff\n", b"[]\n", b'{"version": 5}\n', b"[" * 9999 + b"\n"])
def test_damaged_lines_of_a_journal_are_passed_over(model, tmp_path, images, damage):
    _, rows = images
    _, first = run(model, tmp_path, rows[:1])
    path = tmp_path / "out/journal.jsonl"
    path.write_bytes(damage + path.read_bytes().replace(b'"area_px": ', b'"area_px": 9'))
    _, again = run(model, tmp_path, rows[:1])
    assert again.loc["m0", "area_px"] == first.loc["m0", "area_px"]


def test_an_image_that_changed_with_its_size_and_time_kept_is_read_again(model, tmp_path, images):
    _, rows = images
    path = tmp_path / "0.bmp"
    with Image.open(tmp_path / "0.png") as image:
        image.save(path)
    run(model, tmp_path, [rows[0] | {"image": "0.bmp"}])
    before, stat = (tmp_path / "out/overlays/m0.png").read_bytes(), path.stat()
    content = path.read_bytes()
    path.write_bytes(content[:54] + bytes(255 - level for level in content[54:]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    run(model, tmp_path, [rows[0] | {"image": "0.bmp"}])
    assert (tmp_path / "out/overlays/m0.png").read_bytes() != before


def test_one_call_at_a_time_writes_to_a_folder(model, tmp_path, images):
    _, rows = images
    with locked_folder(tmp_path / "out"):
        result, _ = run(model, tmp_path, rows)
    assert result.exit_code == 1
    assert "another call of `weaklesion segment` is writing to this folder" in result.output


@pytest.mark.parametrize("error", [errno.ENOLCK, errno.EBADF])
def test_a_folder_without_locks_is_used_and_named(tmp_path, monkeypatch, caplog, error):
    def flock(*_):
        raise OSError(error, "refused")

    monkeypatch.setattr("fcntl.flock", flock)
    with locked_folder(tmp_path / "out"):
        assert (tmp_path / "out").is_dir()
    expected = "out: no locks on this file system (refused): do not start a second call on it"
    assert expected in caplog.text


def test_a_folder_whose_lock_fails_is_refused(tmp_path, monkeypatch):
    def flock(*_):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr("fcntl.flock", flock)
    with (
        pytest.raises(DataError, match=r"out: cannot be locked \(broken\)\. Use"),
        locked_folder(tmp_path / "out"),
    ):
        pass
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["x" * 300, "/proc/x"])
def test_a_folder_that_cannot_be_made_is_refused(tmp_path, name):
    with (
        pytest.raises(DataError, match=r"x: cannot be made or opened \([\w ]+\)\. Give another"),
        locked_folder(tmp_path / name),
    ):
        pass


def test_a_folder_that_cannot_be_written_to_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with (
        pytest.raises(
            DataError, match=r"cannot be written to \(.* a read-only disk\)\. Give another"
        ),
        locked_folder(tmp_path),
    ):
        pass


def test_cells_that_a_spreadsheet_computes_begin_with_an_apostrophe(model, tmp_path, images):
    _, rows = images
    _, measured = run(model, tmp_path, [rows[0] | {"id": "=1+1"}])
    assert list(measured.index) == ["'=1+1"]
    assert (tmp_path / "out/masks/=1+1.png").is_file()


@pytest.mark.parametrize("place", ["../precious.png", "{folder}/precious.png", "masks/../../x.png"])
def test_a_journal_names_no_files_but_a_marks_own(model, tmp_path, images, place):
    """A line that looks right in all else, of a mark that is refused now."""
    _, rows = images
    run(model, tmp_path, rows[:2])
    victims = [tmp_path / "precious.png", tmp_path / "x.png"]
    for victim in victims:
        victim.write_bytes(b"precious")
    path = tmp_path / "out/journal.jsonl"
    entries = [json.loads(line) for line in path.read_text().splitlines() if line]
    entry = next(entry for entry in entries if entry.get("row", {}).get("id") == "m0")
    file = place.format(folder=tmp_path)
    entry |= {"row": entry["row"] | {"mask": file}}
    entry["files"] = {file: file_digest(victims[0]), entry["row"]["overlay"]: None}
    del entry["sha256"]
    with path.open("a") as journal:
        journal.write("\n" + json.dumps(entry | {"sha256": _digest(entry)}) + "\n")
    result, measured = run(model, tmp_path, [rows[0] | {"short_b_y": ""}, rows[1]])
    assert result.exit_code == 0, result.output
    assert list(measured.index) == ["m1"]
    assert [victim.read_bytes() for victim in victims] == [b"precious"] * 2
