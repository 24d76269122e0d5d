"""Exported networks answer as the run does, and carry their papers."""

import json
import re
import subprocess
import sys
from collections import Counter

import nibabel
import numpy as np
import onnxruntime
import pandas as pd
import pytest
import torch
from conftest import ROOT
from PIL import ExifTags, Image
from safetensors import safe_open
from safetensors.torch import save_file
from segmenting import colored, describe, lobed
from typer.testing import CliRunner

from weaklesion.cli import app
from weaklesion.diameters import recist_from_mask
from weaklesion.errors import DataError
from weaklesion.exporting import bundle_inference, export
from weaklesion.exporting.bundle_inference import arms_of_ellipse, arms_of_ends, read_levels
from weaklesion.exporting.export import export_run
from weaklesion.exporting.onnx_form import ONNX_INPUTS
from weaklesion.exporting.terms import terms_of_use
from weaklesion.exporting.whole_network import solved_by_cofactors
from weaklesion.four_ends import FourEnds
from weaklesion.marks.images import read_picture
from weaklesion.marks.table import (
    LONGEST_ID,
    UNSAFE,
    BadMarkError,
    Mark,
    mark_ellipse,
    read_marks,
)
from weaklesion.models import build_model
from weaklesion.prediction.network import load_network
from weaklesion.prediction.tasks.prompted import predict_prompted
from weaklesion.recist import RECIST_COLUMNS, ellipse_from_recist
from weaklesion.study import arms
from weaklesion.study.trained_on import TrainedOn
from weaklesion.support.yaml_files import read_yaml
from weaklesion.training.prompts import mark_rows

PAPERS = {"licence", "terms", "data", "settings", "mark_contrast"}
LICENCE = "CC BY-NC-SA 4.0"
FALLBACK = "not for uses that this licence excludes"


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory):
    """A run of `prompted_ends`, whose network answers with about as much lesion as not."""
    folder = tmp_path_factory.mktemp("export") / "run"
    folder.mkdir()
    settings = arms.training_settings(
        read_yaml(ROOT / "config.yaml"), "ham10k", "source", "prompted_ends"
    )
    settings["prompt"] |= {"max_amplitude": 1.0}
    (folder / "run.json").write_text(json.dumps({"settings": settings, "seed": 1}))
    describe(folder, licence=LICENCE)
    torch.manual_seed(0)
    network = build_model("prompted")
    for module in network.modules():  # as after a training, in which they were estimated
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    weights = {name: tensor.contiguous() for name, tensor in network.state_dict().items()}
    save_file(weights, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def exported(run_dir):
    out = run_dir.parent / "exported"
    result = CliRunner().invoke(app, ["export", str(run_dir), "--out", str(out)])
    assert result.exit_code == 0, result.output
    assert "not for commercial use" in result.output
    return out


@pytest.fixture(scope="module")
def lesions():
    """Two images of different sizes, and the ends of their marks; the second is cut off."""
    rng = np.random.default_rng(3)
    masks = [lobed(rng), lobed(rng, (96, 150))[:, 52:]]
    return [(colored(mask, rng), recist_from_mask(mask)) for mask in masks]


def logits_of_run(run_dir, image, points):
    """What the workflow predicts, (H, W), and the rows of the mark."""
    network, settings = load_network(
        run_dir / "model.safetensors", run_dir / "run.json", torch.device("cpu")
    )
    rows = mark_rows([FourEnds(points, settings.prompt["exponent"])])
    return predict_prompted(network, image[None], rows, settings)[0], rows


def inputs_of(image, rows):
    height, width = image.shape[:2]
    return dict(
        zip(
            ONNX_INPUTS,
            (
                torch.from_numpy(image.transpose(2, 0, 1).copy())[None],
                rows,
                rows.clone(),
                torch.arange(float(height)),
                torch.arange(float(width)),
            ),
            strict=True,
        )
    )


def assert_same(found, expected):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-4
    assert ((found >= 0) == (expected >= 0)).all()
    assert 0 < (expected >= 0).mean() < 1  # there is something to compare


@pytest.mark.workflow
def test_torch_export_answers_as_the_run(run_dir, exported, lesions):
    extra = dict.fromkeys(PAPERS, "")
    program = torch.export.load(exported / "model.pt2", extra_files=extra).module()
    for image, points in lesions:
        expected, rows = logits_of_run(run_dir, image, points)
        with torch.inference_mode():
            found = program(*inputs_of(image, rows).values())
        assert_same(found[0].numpy(), expected)
    assert extra["licence"] == LICENCE
    assert "not for commercial use" in extra["terms"]


@pytest.mark.workflow
def test_onnx_answers_as_the_run(run_dir, exported, lesions):
    session = onnxruntime.InferenceSession(
        exported / "model.onnx", providers=["CPUExecutionProvider"]
    )
    for image, points in lesions:
        expected, rows = logits_of_run(run_dir, image, points)
        given = {name: tensor.numpy() for name, tensor in inputs_of(image, rows).items()}
        assert_same(session.run(["logits"], given)[0][0], expected)
    papers = session.get_modelmeta().custom_metadata_map
    assert papers.keys() >= PAPERS
    assert papers["licence"] == LICENCE
    assert "not for commercial use" in papers["terms"]
    assert json.loads(papers["data"])["modality"] == "dermoscopy"


@pytest.mark.workflow
def test_safetensors_are_a_run_again(run_dir, exported, lesions):
    image, points = lesions[0]
    expected, _ = logits_of_run(run_dir, image, points)
    assert (logits_of_run(exported, image, points)[0] == expected).all()
    with safe_open(exported / "model.safetensors", "pt") as weights:
        assert weights.metadata()["licence"] == LICENCE
    told = json.loads((exported / "run.json").read_text())
    assert told["data"]["licence"] == LICENCE
    assert "not for commercial use" in told["terms"]


@pytest.mark.workflow
def test_monai_runs_the_bundle_as_the_run_predicts(run_dir, exported, lesions, tmp_path):
    rows = []
    for number, (image, points) in enumerate(lesions):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
        row = {"id": f"m{number}", "image": f"{number}.png"}
        rows.append(row | dict(zip(RECIST_COLUMNS, points.ravel(), strict=True)))
    pd.DataFrame(rows).to_csv(tmp_path / "marks.csv", index=False)
    command = [sys.executable, "-m", "monai.bundle", "run"]
    command += ["--config_file", "configs/inference.json", "--meta_file", "configs/metadata.json"]
    command += ["--marks", str(tmp_path / "marks.csv"), "--output_dir", str(tmp_path / "masks")]
    bundle = exported / "monai_bundle"
    done = subprocess.run(command, cwd=bundle, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for row, (image, points) in zip(rows, lesions, strict=True):
        expected, _ = logits_of_run(run_dir, image, points)
        found = np.asarray(Image.open(tmp_path / "masks" / f"{row['id']}.png")) > 0
        assert (found == (expected >= 0)).all()
        assert found.any()


@pytest.mark.workflow
def test_a_bundle_has_its_papers_and_the_network_that_it_names(exported):
    from monai.bundle import ConfigParser

    bundle = exported / "monai_bundle"
    files = bundle / "LICENSE", bundle / "docs" / "README.md", bundle / "configs/metadata.json"
    for file in files:
        text = file.read_text()
        assert LICENCE in text, file
        assert "not for commercial use" in text, file
    parser = ConfigParser()
    parser.read_config(bundle / "configs/inference.json")
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(bundle / "models/model.pt", weights_only=True))
    form = json.loads((bundle / "configs/metadata.json").read_text())["network_data_format"]
    shape = form["inputs"]["image"]
    found = network.eval()(torch.zeros(1, shape["num_channels"], *shape["spatial_shape"]))
    assert list(found.shape[2:]) == form["outputs"]["pred"]["spatial_shape"]
    told = (bundle / "docs" / "README.md").read_text()
    assert "The bundle is not a MONAI inference workflow" in told
    assert "parts beside the mark are not removed, holes are not filled" in told


def test_what_cannot_be_exported_is_named(run_dir, tmp_path):
    def refused(*words):
        result = CliRunner().invoke(app, ["export", *map(str, words)])
        assert result.exit_code == 1
        return result.output

    assert "has no model.safetensors" in refused(tmp_path, "--out", tmp_path / "out")
    (tmp_path / "mine.txt").touch()
    assert "is not an empty folder" in refused(run_dir, "--out", tmp_path)
    before = tmp_path / "before"
    before.mkdir()
    (before / "model.safetensors").symlink_to(run_dir / "model.safetensors")
    told = json.loads((run_dir / "run.json").read_text())
    (before / "run.json").write_text(json.dumps({"settings": told["settings"]}))
    assert "weaklesion describe-run" in refused(before, "--out", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("formats", [("onxx",), "onxx", ("pt2", "onxx"), (), "", None, [["pt2"]]])
def test_formats_that_do_not_exist_are_named(run_dir, tmp_path, formats):
    with pytest.raises(DataError, match="needs one or more of safetensors, onnx, pt2, monai, not"):
        export_run(run_dir, tmp_path / "out", formats)
    assert not (tmp_path / "out").exists()


def test_a_format_can_be_given_alone(run_dir, tmp_path):
    written = export_run(run_dir, tmp_path, "safetensors")
    assert written == {"safetensors": tmp_path / "model.safetensors"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model.safetensors", "run.json"]


def test_an_export_that_failed_does_not_stop_the_next_one(run_dir, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(export, "export_program", full)
        with pytest.raises(OSError, match="No space left"):
            export_run(run_dir, tmp_path / "out", ["safetensors", "pt2"])
    assert not list((tmp_path / "out").iterdir())
    (tmp_path / "out" / export.PART).mkdir()  # as one that was killed leaves it
    (tmp_path / "out" / export.PART / "model.pt2").touch()
    export_run(run_dir, tmp_path / "out", ["safetensors"])
    names = [path.name for path in (tmp_path / "out").iterdir()]
    assert sorted(names) == ["model.safetensors", "run.json"]


@pytest.mark.parametrize(
    ("licence", "says", "says_not"),
    [
        ("CC BY-NC 4.0", ["not for commercial use", "name the data's source"], ["changed"]),
        ("CC BY-SA 4.0", ["keeps this licence"], ["commercial", "changed"]),
        ("CC BY-NC-ND 4.0", ["not for commercial use", "no changed versions"], ["keeps"]),
        ("unknown", ["do not pass the network on"], ["commercial"]),
        ("internal use only", [FALLBACK], ["commercial"]),
        ("cc-by-nc-4.0", ["not for commercial use", "name the data's source"], [FALLBACK]),
        (
            "https://creativecommons.org/licenses/by-nc-nd/4.0/",
            ["not for commercial use", "no changed versions", "name the data's source"],
            ["keeps", FALLBACK],
        ),
        (
            "CC BY-SA 4.0 (the images), CC BY-NC-ND 4.0 (the marks)",
            ["not for commercial use", "no changed versions", "keeps", "name the data's", FALLBACK],
            [],
        ),
        ("CC BY 4.0, but do not share", ["name the data's source", FALLBACK], ["commercial"]),
        ("CC0-1.0", [FALLBACK], ["name the data's", "commercial"]),
        ("restricted by data use agreement, internal only", [FALLBACK], ["name the data's"]),
        ("Approved by ethics board; do not share", [FALLBACK], ["name the data's"]),
        ("MIT, sa. LICENSE (nd)", [FALLBACK], ["keeps", "changed"]),
        ("for non-commercial research only", ["not for commercial use", FALLBACK], []),
        (
            "Creative Commons Attribution-NonCommercial 4.0 International",
            ["not for commercial use", FALLBACK],
            [],
        ),
        ("Apache-2.0 (phantoms that WeakLesion makes)", ["of no use on images of patients"], []),
    ],
)
def test_terms_follow_from_the_licence(licence, says, says_not):
    data = TrainedOn(licence=licence, modality="CT", channels="grey", marks="drawn")
    terms = terms_of_use(data)
    assert "\n" not in terms
    assert "Not a medical device" in terms
    assert licence in terms
    assert all(words in terms for words in says)
    assert not any(words in terms for words in says_not)


def test_cofactors_solve_as_lapack_does():
    generator = torch.Generator().manual_seed(0)
    spread = torch.randn(50, 3, 5, generator=generator)
    matrix = spread @ spread.mT + 0.01 * torch.eye(3)
    right = torch.randn(50, 3, 1, generator=generator)
    torch.testing.assert_close(
        solved_by_cofactors(matrix, right), torch.linalg.solve(matrix, right), rtol=1e-3, atol=1e-4
    )


def test_the_bundle_takes_no_slice_by_itself(tmp_path):
    volume = np.arange(24.0).reshape(2, 3, 4)
    path = tmp_path / "volume.nii"
    nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), path)
    with pytest.raises(ValueError, match=r"volume\.nii: has 4 slices, and the row names none"):
        read_levels(path, None, (0.0, 255.0))
    assert np.array_equal(read_levels(path, 2, (0.0, 255.0))[..., 0], volume[..., 2].T)
    for absent in (-1.0, 2.5, 4.0):
        with pytest.raises(ValueError, match=r"has slices 0 to 3, and the row names"):
            read_levels(path, absent, (0.0, 255.0))


@pytest.mark.parametrize(
    "points",
    [
        [[10, 10], [50, 14], [30, 2], [27, 30]],
        [[10, 10], [50, 14], [30, 12], [27, 30]],  # the short diameter begins at the long one
        [[10, 30], [50, 30], [30, 33], [30, 55]],  # it begins 3 px beyond the long one
        [[40, 60], [41, 5], [20, 30], [70, 31]],
        [[30, 2], [27, 30], [10, 10], [50, 14]],  # the "short" one is longer
    ],
)
def test_the_bundle_makes_the_same_shapes_of_marks(points):
    points = np.array(points, dtype=float)
    np.testing.assert_allclose(arms_of_ends(points), np.vstack(FourEnds(points).arms()), atol=1e-9)
    ellipse = np.vstack(ellipse_from_recist(points).arms())
    found = arms_of_ellipse(points)
    np.testing.assert_allclose(found[0], ellipse[0], atol=1e-9)
    for pair in (slice(1, 3), slice(3, 5)):  # an axis has no direction
        turned = ellipse[pair] if np.allclose(found[pair], ellipse[pair]) else ellipse[pair][::-1]
        np.testing.assert_allclose(found[pair], turned, atol=1e-9)


def test_the_bundle_makes_the_same_shapes_of_marks_that_do_not_meet():
    rng = np.random.default_rng(0)
    compared = 0
    while compared < 200:
        long, short = rng.uniform(10, 50, 2)
        angle, turn = rng.uniform(0, 2 * np.pi), rng.uniform(-0.5, 0.5) + np.pi / 2
        along = np.array([np.cos(angle), np.sin(angle)])
        across = np.array([np.cos(angle + turn), np.sin(angle + turn)])
        # one end of each diameter may lie up to half a length before or behind the crossing
        first = rng.uniform(-0.45, 1.45, 2)
        points = rng.uniform(20, 80, 2) + np.concatenate(
            [
                np.array([-first[0], 1 - first[0]])[:, None] * long * along,
                np.array([-first[1], 1 - first[1]])[:, None] * short * across,
            ]
        )
        if (first >= 0).all() and (first <= 1).all():
            continue  # they meet
        expected = np.vstack(FourEnds(points).arms())
        np.testing.assert_allclose(arms_of_ends(points), expected, atol=1e-9)
        compared += 1


@pytest.mark.parametrize("window_hu", [(-160.0, 240.0), (-1000.0, 400.0)])
def test_the_bundle_shows_16_bit_images_as_segment_does(tmp_path, window_hu):
    hounsfield = np.random.default_rng(1).integers(-1200, 600, (40, 50))
    path = tmp_path / "slice.png"
    Image.fromarray((hounsfield + 32768).astype(np.uint16)).save(path)
    mark = Mark(row=2, id="m", image=path, slice=None, points=np.zeros((4, 2)), spacing=None)
    found = read_levels(path, None, window_hu)
    assert np.array_equal(found, read_picture(mark, window_hu).levels)
    assert len(np.unique(found)) > 100
    Image.fromarray((hounsfield + 2000).astype(np.uint16)).save(path)
    with pytest.raises(ValueError, match=r"slice\.png: .* below the window .* units \+ 32768"):
        read_levels(path, None, window_hu)


class _Everything(torch.nn.Module):
    """In the place of an exported network: all is lesion."""

    def forward(self, image, mark, result_mark, rows, columns):
        return torch.ones(1, len(rows), len(columns))

    def module(self):
        return self


@pytest.fixture
def run_bundle(tmp_path, monkeypatch):
    """Return a function that runs the bundle's script on the text of a table, (40, 60) px."""
    monkeypatch.setattr(torch.export, "load", lambda path: _Everything())
    image = np.arange(40 * 60 * 3, dtype=np.uint32).reshape(40, 60, 3).astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "image.png")

    def run(text):
        (tmp_path / "marks.csv").write_text(text)
        bundle_inference.segment(
            "model.pt2", str(tmp_path / "marks.csv"), str(tmp_path / "out" / "masks"),
            shape="ends", channels="rgb", window_hu=(-160.0, 240.0),
        )  # fmt: skip
        return sorted(path.name for path in (tmp_path / "out").rglob("*.png"))

    return run


ENDS_HEADER = ",".join(RECIST_COLUMNS)
ENDS_ROW = "10,20,50,20,30,10,30,30"


@pytest.mark.parametrize(
    "text",
    [
        f"image,{ENDS_HEADER}\nimage.png,{ENDS_ROW}\nimage.png,{ENDS_ROW}\n",
        f"id,image,{ENDS_HEADER}\n,image.png,{ENDS_ROW}\n\n,,,,,,,,,\nb,image.png,{ENDS_ROW}\n"
        f" ,image.png,{ENDS_ROW}\n",
    ],
)
def test_the_bundle_names_masks_as_segment_does(run_bundle, tmp_path, text):
    names = run_bundle(text)
    marks, refused = read_marks(tmp_path / "marks.csv")
    assert not refused
    assert names == sorted(f"{mark.id}.png" for mark in marks)


@pytest.mark.parametrize(
    ("ids", "says"),
    [
        (["x", "X"], r"marks\.csv, line 3: the id X is also that of line 2\. Give"),
        (["../../escaped"], r"line 2: the id '\.\./\.\./escaped' cannot name a file\. Rename"),
        (["x" * (LONGEST_ID + 1)], "cannot name a file"),
    ],
)
def test_the_bundle_refuses_ids_before_it_writes(run_bundle, tmp_path, ids, says):
    rows = [f"{name},image.png,{ENDS_ROW}" for name in ids]
    with pytest.raises(ValueError, match=says):
        run_bundle("\n".join([f"id,image,{ENDS_HEADER}", *rows]))
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "escaped.png").exists()
    assert bundle_inference.UNSAFE == UNSAFE
    assert bundle_inference.LONGEST_ID == LONGEST_ID


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (f"image;{ENDS_HEADER}\n".replace(",", ";"), "marks.csv: lacks the column image.*commas"),
        (f"image,{ENDS_HEADER}\nimage.png,{ENDS_ROW},5\n", "line 2: has more fields"),
        (f"image,{ENDS_HEADER}\nimage.png,a{ENDS_ROW}\n", "long_a_x is 'a10', not a number"),
        (f"image,{ENDS_HEADER}\nimage.png,{ENDS_ROW[:-2]}\n", "short_b_y is '', not a number"),
        (f"image,{ENDS_HEADER}\nimage.png,nan{ENDS_ROW[2:]}\n", "long_a_x is 'nan', not a number"),
        (
            f"image,{ENDS_HEADER}\nimage.png,{ENDS_ROW[:-2]}40\n",
            "mark mark-00001: an end is outside the image of 60x40 px",
        ),
    ],
)
def test_the_bundle_says_what_is_wrong_with_a_table(run_bundle, text, says):
    with pytest.raises(ValueError, match=says):
        run_bundle(text)


def saved_rotated(folder, image):
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6
    image.save(folder / "bad.tif", exif=exif)
    return "bad.tif"


def saved_with_two_pages(folder, image):
    image.save(folder / "bad.tif", save_all=True, append_images=[image.rotate(180)])
    return "bad.tif"


def saved_without_finite_values(folder, image):
    values = np.full((*image.size, 2), np.nan, np.float32)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / "bad.nii")
    return "bad.nii"


def saved_with_four_dimensions(folder, image):
    values = np.zeros((*image.size, 2, 2), np.int16)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), folder / "bad.nii")
    return "bad.nii"


def saved_in_part(folder, image):
    image.save(folder / "whole.png")
    whole = (folder / "whole.png").read_bytes()
    (folder / "bad.png").write_bytes(whole[: len(whole) // 2])
    return "bad.png"


@pytest.mark.parametrize(
    ("save", "number", "says"),
    [
        (
            saved_rotated,
            "",
            r"bad\.tif: is stored rotated \(EXIF orientation 6\).* Save it",
        ),
        (saved_with_two_pages, "", r"bad\.tif: contains 2 images\. Save the marked one alone"),
        (saved_without_finite_values, 1, r"bad\.nii: has no finite value in slice 1"),
        (saved_with_four_dimensions, 0, r"bad\.nii: has 4 dimensions\. Save one volume alone"),
        (saved_in_part, "", r"bad\.png cannot be read \(.*\)\. Is it there, and whole"),
        (lambda folder, image: "image.png", 3, "image.png: is not a volume, but the row names"),
        (lambda folder, image: "absent.png", "", r"absent\.png cannot be read \(.*No such file"),
        (lambda folder, image: "", "", "its row names no image"),
    ],
)
def test_the_bundle_refuses_images_before_it_writes(run_bundle, tmp_path, save, number, says):
    name = save(tmp_path, Image.open(tmp_path / "image.png"))
    rows = [f"good,image.png,,{ENDS_ROW}", f"b,{name},{number},{ENDS_ROW}"]
    with pytest.raises(ValueError, match=f"^mark b: .*{says}"):
        run_bundle("\n".join([f"id,image,slice,{ENDS_HEADER}", *rows]))
    assert not (tmp_path / "out").exists()


def test_the_bundle_takes_the_photograph_of_a_phones_picture_with_a_preview(run_bundle, tmp_path):
    photograph = Image.open(tmp_path / "image.png")
    photograph.save(
        tmp_path / "phone.jpg", "MPO", save_all=True, append_images=[photograph.resize((30, 20))]
    )
    assert run_bundle(f"id,image,{ENDS_HEADER}\nm,phone.jpg,{ENDS_ROW}\n") == ["m.png"]


def test_the_bundle_knows_a_volume_by_its_name_in_capitals(tmp_path):
    values = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / "volume.nii.gz")
    (tmp_path / "volume.nii.gz").rename(tmp_path / "VOLUME.NII.GZ")
    found = read_levels(tmp_path / "VOLUME.NII.GZ", 2, (0.0, 255.0))
    assert np.array_equal(found[..., 0], values[..., 2].T)


def test_the_bundle_writes_no_mask_if_a_later_mark_is_bad(run_bundle, tmp_path):
    rows = [f"a,image.png,{ENDS_ROW}", f"b,image.png,{ENDS_ROW[:-2]}40"]
    with pytest.raises(ValueError, match="mark b: an end is outside"):
        run_bundle("\n".join([f"id,image,{ENDS_HEADER}", *rows]))
    assert not (tmp_path / "out").exists()


def test_the_bundle_refuses_the_marks_that_segment_refuses():
    rng = np.random.default_rng(0)
    kinds = Counter()
    for _ in range(2000):
        size, at = rng.uniform(0.2, 30, 2), rng.choice([rng.uniform(0, 1), rng.uniform(-1, 2)])
        angle, apart = rng.uniform(0, np.pi), np.radians(rng.uniform(20, 160))
        long, short = (
            length * np.array([np.cos(turn), np.sin(turn)])
            for length, turn in zip(size, (angle, angle + apart), strict=True)
        )
        ends = [-0.5 * long, 0.5 * long, -at * short, (1 - at) * short]
        points = rng.uniform(10, 50, 2) + np.array(ends)
        cause, expected = bundle_inference.fault_of(points, (60, 60)), ""
        try:
            mark_ellipse(points, (60, 60))
        except BadMarkError as error:
            expected = str(error)
        if "covers no pixel" not in expected:  # a small one between four pixels is drawn there
            assert bool(cause) == bool(expected), (points, cause, expected)
        kinds[re.sub(r"[\d.]+", "", cause)] += 1
    assert len(kinds) == 5
    assert min(kinds.values()) > 20
