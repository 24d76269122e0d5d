"""What `import weaklesion` gives."""

import subprocess
import sys

import numpy as np
import pytest
from typer.testing import CliRunner

import weaklesion as wl
from weaklesion.cli import app


def test_every_public_name_is_there_and_listed():
    for name in wl.__all__:
        assert getattr(wl, name) is not None, name
    assert dir(wl) == sorted(wl.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'segmnet'"):
        wl.segmnet  # noqa: B018


def test_importing_the_package_imports_no_library():
    code = "import sys, weaklesion; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"numpy", "pandas", "torch", "cv2"} & set(done.stdout.split())


def test_a_mark_becomes_a_mask_and_is_scored():
    """A circle of radius 20 px about (40, 30), against itself moved by 4 px."""
    ellipse = wl.ellipse_from_recist(wl.parse_recist("20,30,60,30,40,10,40,50"))
    mask = wl.draw_ellipse(ellipse, (80, 80))
    assert mask.sum() == pytest.approx(np.pi * 20**2, rel=0.05)
    moved = np.roll(mask, 4, axis=1)
    overlap = 2 * (mask & moved).sum() / (mask.sum() + moved.sum())
    assert wl.metrics.dice(mask, moved) == pytest.approx(overlap)


@pytest.mark.parametrize("words", [["weaklesion.cli", "manifest"], ["weaklesion.manifest"]])
def test_a_manifest_is_written_by_both_spellings(tmp_path, words):
    (tmp_path / "a.zip").write_bytes(b"a")
    module, *command = words
    code = f"import runpy, sys; sys.argv = ['x', {str(tmp_path)!r}]; "
    code += (
        f"from weaklesion.cli import app; app({[*command, str(tmp_path)]!r})"
        if command
        else f"runpy.run_module({module!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("manifest.csv: 1 files\n")
    assert (tmp_path / "manifest.csv").read_text().startswith("name,url,bytes,md5,sha256\na.zip,")


def test_a_manifest_of_a_file_is_refused_in_words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.zip").write_bytes(b"a")
    result = CliRunner().invoke(app, ["manifest", "a.zip"])
    assert result.exit_code == 2
    assert "'a.zip' is a file" in result.stderr


def test_the_command_says_its_version():
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.stdout == f"{wl.__version__}\n"


def test_a_manifest_of_an_empty_folder_is_refused_in_a_line(tmp_path):
    code = f"from weaklesion.cli import app; app(['manifest', {str(tmp_path)!r}])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "contains no files" in done.stderr
