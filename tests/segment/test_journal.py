"""`weaklesion segment` goes on where it was, and writes over nothing."""

import pandas as pd
import pytest
from PIL import Image
from segmenting import run


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
        patched.setattr("weaklesion.segment.run.write_mask", killed)
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
    monkeypatch.setattr("weaklesion.segment.outputs.cv2.imwrite", lambda *_: False)
    result, measured = run(model, tmp_path, rows)
    assert result.exit_code == 1
    assert "cannot be written. Check permissions and space; run it again." in result.output
    assert measured is None
