"""The file for 3D Slicer, outside Slicer: its functions, with stand-ins for Slicer's modules."""

# ruff: noqa: N802, because stand-ins have the names of Slicer's functions

import importlib.util
import json
import subprocess
import sys
import tempfile
from types import ModuleType, SimpleNamespace

import nibabel
import numpy as np
import pandas as pd
import pytest
from conftest import ROOT
from segmenting import lobed, mark_of
from typer.testing import CliRunner

from weaklesion.cli import app
from weaklesion.metrics import dice
from weaklesion.recist import RECIST_COLUMNS

FILE = ROOT / "viewers/slicer/WeakLesion.py"
# Voxels of 0.75 x 0.75 x 3 mm, turned by 20 degrees, the first axis to the left.
TURN = np.radians(20)
AFFINE = np.eye(4)
AFFINE[:3, :3] = np.array(
    [[np.cos(TURN), -np.sin(TURN), 0], [np.sin(TURN), np.cos(TURN), 0], [0, 0, 1]]
) @ np.diag([-0.75, 0.75, 3.0])
AFFINE[:3, 3] = (40, -25, 120)


class Matrix:
    def GetElement(self, row, column):
        return self.values[row, column]


class Node:
    """A node of Slicer's scene: a volume, a line, a labelmap or a segmentation."""

    def __init__(self, name, ends_ras=None, image=None):
        self.name, self.ends, self.image = name, ends_ras, image
        self.visible, self.transform, self.segments = True, None, []
        self.file = "loaded.nii.gz"

    def GetName(self):
        return self.name

    def SetName(self, name):
        self.name = name

    def GetID(self):
        return f"id-{id(self)}"

    # of lines
    def GetDisplayVisibility(self):
        return self.visible

    def GetNumberOfControlPoints(self):
        return len(self.ends)

    def GetNthControlPointPositionWorld(self, number, position):
        position[:] = self.ends[number]

    # of volumes
    def GetParentTransformNode(self):
        return self.transform

    def GetRASToIJKMatrix(self, matrix):
        matrix.values = np.linalg.inv(self.image.affine)

    # of segmentations
    def CreateDefaultDisplayNodes(self):
        pass

    def SetReferenceImageGeometryParameterFromVolumeNode(self, volume):
        self.geometry = volume

    def GetSegmentation(self):
        return SimpleNamespace(
            GetNumberOfSegments=lambda: len(self.segments),
            GetNthSegment=lambda number: self.segments[number],
        )


class Scene(list):
    def AddNewNodeByClass(self, _kind):
        self.append(Node("new"))
        return self[-1]

    def RemoveNode(self, node):
        node.removed = True


def save_node(node, path):
    """As in Slicer: the file becomes the node's own in the scene."""
    nibabel.save(node.image, path)
    node.file = path


def in_memory(image):
    """As in Slicer: a loaded image needs its file no more."""
    return nibabel.Nifti1Image(np.asarray(image.dataobj), image.affine)


def import_labelmap(label, segmentation):
    """As in Slicer: a labelmap without any voxel makes no segment."""
    voxels = np.asarray(label.image.dataobj)
    if voxels.any():
        segmentation.segments.append(Node("", image=label.image))


@pytest.fixture
def slicer(monkeypatch):
    """Stand-ins for Slicer's modules; NIfTI files are read and written by nibabel."""
    base = ModuleType("slicer.ScriptedLoadableModule")
    for name in ("ScriptedLoadableModule", "ScriptedLoadableModuleLogic"):
        setattr(base, name, type(name, (), {"__init__": lambda self, parent=None: None}))
    base.ScriptedLoadableModuleWidget = type("ScriptedLoadableModuleWidget", (), {})
    slicer = ModuleType("slicer")
    slicer.mrmlScene = Scene()
    logic = SimpleNamespace(ImportLabelmapToSegmentationNode=import_labelmap)
    slicer.modules = SimpleNamespace(segmentations=SimpleNamespace(logic=lambda: logic))
    slicer.util = SimpleNamespace(
        getNodesByClass=lambda kind: [node for node in slicer.mrmlScene if node.ends is not None],
        saveNode=save_node,
        exportNode=lambda node, path: nibabel.save(node.image, path),
        loadLabelVolume=lambda path: Node(path, image=in_memory(nibabel.load(path))),
        startupEnvironment=lambda: {"PATH": "/usr/bin"},
    )
    slicer.ScriptedLoadableModule = base
    modules = {"slicer": slicer, "slicer.ScriptedLoadableModule": base, "vtk": ModuleType("vtk")}
    modules["vtk"].vtkMatrix4x4 = Matrix
    for name in ("qt", "ctk"):
        modules[name] = ModuleType(name)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return slicer


@pytest.fixture
def module(slicer):
    spec = importlib.util.spec_from_file_location("WeakLesionInSlicer", FILE)
    loaded = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = loaded  # dataclasses look their module up
    spec.loader.exec_module(loaded)
    yield loaded
    del sys.modules[spec.name]


def to_ras(ends_xy, number):
    """Positions in mm of (N, 2) voxels of a slice."""
    ijk = np.column_stack([ends_xy, np.full(len(ends_xy), float(number))])
    return ijk @ AFFINE[:3, :3].T + AFFINE[:3, 3]


def lines_of(mask, number, names=("L", "S")):
    """Nodes of both diameters of a mask in a slice."""
    ends = np.array([mark_of(mask)[name] for name in RECIST_COLUMNS]).reshape(4, 2)
    return [
        Node(name, to_ras(ends[first : first + 2], number))
        for name, first in zip(names, (0, 2), strict=True)
    ]


@pytest.fixture
def scan():
    """A volume of three slices with a lesion in the second, and the lesion's mask."""
    mask = lobed(np.random.default_rng(7))
    levels = np.zeros((*mask.T.shape, 3), np.float32)
    levels[..., 1] = np.where(mask, 100.0, 0.0).T
    return Node("CT", image=nibabel.Nifti1Image(levels, AFFINE)), mask


@pytest.fixture
def ct_model(model):
    """The network's run, which says that it was trained on CT."""
    data = {"licence": "CC0-1.0", "modality": "CT", "channels": "grey", "marks": "drawn"}
    (model / "run.json").write_text(json.dumps({"data": data}))
    return model


def in_process(monkeypatch, module, calls):
    """Run the command in this process, because its network is a stand-in as well."""

    def run(command, env, **_):
        calls.append((command, env))
        done = CliRunner().invoke(app, command[1:])
        return subprocess.CompletedProcess(command, done.exit_code, done.output, "")

    monkeypatch.setattr(module.subprocess, "run", run)


# --- geometry


def test_positions_become_voxels(module):
    ras_to_ijk = np.linalg.inv(AFFINE)
    expected = np.array([[3.0, 4.0, 2.0], [10.0, 0.0, 1.0]])
    points = expected @ AFFINE[:3, :3].T + AFFINE[:3, 3]
    np.testing.assert_allclose(module.to_voxels(points, ras_to_ijk), expected, atol=1e-9)


def ends(x0, y0, x1, y1, number=5.0, other=None):
    return np.array([[x0, y0, number], [x1, y1, number if other is None else other]])


def test_lines_across_each_other_are_a_mark(module):
    lines = {
        "b": ends(20, 8, 20, 12),  # across a
        "a": ends(10, 10, 30, 10),
        "d": ends(50, 50, 58, 50, 6.3),  # another lesion, in the next slice
        "c": ends(54, 45, 54, 55, 5.7),
    }
    lengths = {"a": 20.0, "b": 4.0, "c": 10.0, "d": 8.0}
    first, second = module.pair_lines(lines, lengths)
    assert (first.name, first.slice, second.name, second.slice) == ("a", 5, "c", 6)
    np.testing.assert_array_equal(first.ends, [[10, 10], [30, 10], [20, 8], [20, 12]])


def test_the_longer_line_in_mm_is_the_long_diameter(module):
    """Voxels need not be square."""
    lines = {"x": ends(10, 10, 22, 10), "y": ends(16, 5, 16, 15)}
    assert module.pair_lines(lines, {"x": 6.0, "y": 10.0})[0].name == "y"
    assert module.pair_lines(lines, {"x": 12.0, "y": 10.0})[0].name == "x"


def test_the_nearest_lines_are_partners(module):
    lines = {"a": ends(0, 0, 20, 0), "b": ends(10, -5, 10, 5), "c": ends(0, 8, 20, 8)}
    lines["d"] = ends(11, 3, 11, 13)
    lengths = dict.fromkeys(lines, 20.0) | {"b": 10.0, "d": 10.0}
    assert [mark.name for mark in module.pair_lines(lines, lengths)] == ["a", "c"]


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        ({}, "There is no line"),
        ({"a": ends(0, 0, 9, 0)}, "a: no second line across it"),
        ({"a": ends(0, 0, 9, 0), "b": ends(4, -3, 4, 3, 6.0)}, "a, b: no second line"),
        ({"a": ends(0, 0, 9, 0), "b": ends(40, -3, 40, 3)}, "a, b: no second line"),
        ({"a": ends(0, 0, 9, 0, 5, 8)}, "a: goes through slices 5.0 to 8.0"),
        ({"a": ends(3, 3, 3, 3)}, "a: has no length"),
    ],
)
def test_lines_that_are_no_marks_are_named(module, lines, problem):
    lengths = {name: float(np.linalg.norm(line[0] - line[1])) for name, line in lines.items()}
    with pytest.raises(ValueError, match=problem):
        module.pair_lines(lines, lengths)


def test_a_volume_that_a_transform_moves_is_refused(module, scan):
    volume, mask = scan
    volume.transform = object()
    with pytest.raises(ValueError, match="Harden it first"):
        module.WeakLesionLogic().marks_of(volume, lines_of(mask, 1))


def test_lines_of_the_scene_are_the_visible_whole_ones(module, slicer):
    hidden, unfinished = Node("hidden", np.zeros((2, 3))), Node("one end", np.zeros((1, 3)))
    hidden.visible = False
    whole = Node("whole", np.zeros((2, 3)))
    slicer.mrmlScene += [hidden, unfinished, whole]
    assert module.WeakLesionLogic().lines_of_scene() == [whole]


# --- from lines to a segmentation, with the real command


def test_the_table_has_the_marks_in_voxels(module, scan, tmp_path):
    volume, mask = scan
    marks = module.WeakLesionLogic().marks_of(volume, lines_of(mask, 1))
    names = module.write_marks(tmp_path / "marks.csv", marks)
    (row,) = pd.read_csv(tmp_path / "marks.csv").to_dict("records")
    assert names == {"lesion-1": "L"}
    assert (row["id"], row["image"], row["slice"]) == ("lesion-1", "volume.nii.gz", 1)
    assert {name: row[name] for name in RECIST_COLUMNS} == pytest.approx(mark_of(mask), abs=1e-3)


def test_masks_lie_on_the_lesion_in_mm(module, slicer, scan, ct_model, tmp_path, monkeypatch):
    volume, mask = scan
    calls = []
    in_process(monkeypatch, module, calls)
    segmentation, said = module.WeakLesionLogic().segment(
        volume, lines_of(mask, 1), "weaklesion", str(ct_model), (-50.0, 150.0), tmp_path
    )
    (segment,) = segmentation.segments
    assert segment.name == "L"
    assert segmentation.geometry is volume
    np.testing.assert_allclose(segment.image.affine, AFFINE, atol=1e-4)
    voxels = np.asarray(segment.image.dataobj)
    assert not voxels[..., [0, 2]].any()
    assert dice(mask, voxels[..., 1].T > 0) > 0.95
    assert said.startswith("1 of 1 marks have a mask.")
    ((command, env),) = calls
    assert command[:2] == ["weaklesion", "segment"]
    assert command[-3:] == ["--window", "-50", "150"]
    assert env == {"PATH": "/usr/bin"}  # not Slicer's own Python


def test_a_refused_mark_is_named_after_its_line(module, scan, ct_model, tmp_path, monkeypatch):
    volume, mask = scan
    in_process(monkeypatch, module, [])
    outside = [Node("far", to_ras(np.array([[150, 60], [190, 60]]), 1))]
    outside += [Node("far, short", to_ras(np.array([[170, 50], [170, 70]]), 1))]
    segmentation, said = module.WeakLesionLogic().segment(
        volume, [*lines_of(mask, 1), *outside], "weaklesion", str(ct_model), None, tmp_path
    )
    assert [segment.name for segment in segmentation.segments] == ["L"]
    assert "1 of 2 marks have a mask." in said
    assert "far: refused, " in said


def test_a_command_that_fails_says_why(module, scan, tmp_path, monkeypatch):
    volume, mask = scan
    in_process(monkeypatch, module, [])
    with pytest.raises(RuntimeError, match="no-such-run"):
        module.WeakLesionLogic().segment(
            volume, lines_of(mask, 1), "weaklesion", str(tmp_path / "no-such-run"), None, tmp_path
        )


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """The folder in which the module makes its temporary ones."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_nothing_of_the_patient_is_left_once_the_masks_are_loaded(
    module, scan, ct_model, temporary, monkeypatch
):
    volume, mask = scan
    calls = []
    in_process(monkeypatch, module, calls)
    segmentation, said = module.WeakLesionLogic().segment(
        volume, lines_of(mask, 1), "weaklesion", str(ct_model)
    )
    assert calls[0][0][5].startswith(str(temporary))  # its table was there
    assert [segment.name for segment in segmentation.segments] == ["L"]
    assert said.startswith("1 of 1 marks have a mask.")
    assert not list(temporary.iterdir())
    assert volume.file == "loaded.nii.gz"  # which a saved scene names


def test_nothing_of_the_patient_is_left_if_the_command_fails_or_lines_are_no_marks(
    module, scan, temporary, monkeypatch
):
    volume, mask = scan
    in_process(monkeypatch, module, [])
    lines = lines_of(mask, 1)
    with pytest.raises(RuntimeError, match="no-such-run"):
        module.WeakLesionLogic().segment(volume, lines, "weaklesion", "no-such-run")
    with pytest.raises(ValueError, match="no second line across it"):
        module.WeakLesionLogic().segment(volume, lines[:1], "weaklesion", "no-such-run")
    assert not list(temporary.iterdir())


def test_a_chosen_folder_is_left_as_it_is(module, scan, ct_model, tmp_path, monkeypatch):
    volume, mask = scan
    in_process(monkeypatch, module, [])
    module.WeakLesionLogic().segment(
        volume, lines_of(mask, 1), "weaklesion", str(ct_model), None, tmp_path
    )
    assert {"marks.csv", "volume.nii.gz", "out"} <= {path.name for path in tmp_path.iterdir()}


def test_what_to_look_at_is_said(module):
    names = {"lesion-1": "one", "lesion-2": "two", "lesion-3": "three"}
    measured = [
        {"id": "lesion-1", "answer": "network", "agrees": "True", "visible": "True"},
        {"id": "lesion-2", "answer": "ends", "agrees": "False", "visible": "False"},
        {"id": "lesion-3", "answer": "network", "agrees": "False", "agreement": "0.61"},
    ]
    said = module.summary_of(measured, [], names)
    assert "one" not in said
    assert "two: the mask is the mark's own shape" in said
    assert "two: less contrast in its image than is usual" in said
    assert "three: the mask fits the mark badly (agreement 0.61)" in said


def test_the_file_needs_nothing_that_slicer_lacks():
    """Of this package nothing is imported: Slicer's Python does not have it."""
    text = FILE.read_text()
    assert "import weaklesion" not in text
    assert "from weaklesion" not in text
