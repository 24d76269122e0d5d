"""WeakLesion in 3D Slicer: masks of the loaded volume from its line markups, without a server.

One file for Slicer (docs/how-to/slicer.md). It writes the volume and the lines to a folder, runs
the command `weaklesion segment` of another Python there, and loads the masks as one segmentation.
"""

import csv
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ctk
import numpy as np
import qt
import slicer
import vtk
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleLogic,
    ScriptedLoadableModuleWidget,
)

ENDS = tuple(f"{line}_{end}_{axis}" for line in ("long", "short") for end in "ab" for axis in "xy")
VOLUME = "volume.nii.gz"
IN_ONE_SLICE = 0.5  # slices by which a line may lie off its slice
PAIR_REACH = 0.5  # distance of the middles of two diameters, in lengths of the longer


@dataclass(frozen=True)
class Mark:
    """Two diameters of a lesion.

    Attributes:
        name: name of the line with the long diameter.
        slice: index of the slice, from 0.
        ends: (4, 2) x and y of the long diameter's ends, then of the short one's, voxels.
    """

    name: str
    slice: int
    ends: np.ndarray


def to_voxels(points_ras: np.ndarray, ras_to_ijk: np.ndarray) -> np.ndarray:
    """Return (N, 3) voxel indices of (N, 3) positions in mm, by a (4, 4) matrix."""
    return points_ras @ ras_to_ijk[:3, :3].T + ras_to_ijk[:3, 3]


def slice_of(name: str, ends_ijk: np.ndarray) -> int:
    """Return the slice in which a line lies.

    Args:
        name: name of the line, for the message.
        ends_ijk: (2, 3) its ends, voxels.

    Raises:
        ValueError: if the line does not lie in one slice of the volume.
    """
    number = round(float(ends_ijk[:, 2].mean()))
    if np.abs(ends_ijk[:, 2] - number).max() > IN_ONE_SLICE:
        raise ValueError(
            f"{name}: goes through slices {ends_ijk[0, 2]:.1f} to {ends_ijk[1, 2]:.1f}. Draw it in"
            " one slice of the volume as it was acquired (View: the axis of its slices)."
        )
    return number


def pair_lines(lines: Mapping[str, np.ndarray], lengths_mm: Mapping[str, float]) -> list[Mark]:
    """Return the marks that lines form: two lines across each other in one slice.

    Args:
        lines: name of each line to its (2, 3) ends, voxels.
        lengths_mm: name of each line to its length.

    Raises:
        ValueError: if there is no line, a line does not lie in one slice, has no length, or has no
            partner.
    """
    if not lines:
        raise ValueError("There is no line. Draw the two diameters of each lesion as line markups.")
    slices = {name: slice_of(name, ends) for name, ends in lines.items()}
    without_length = [name for name in lines if not lengths_mm[name] > 0]
    if without_length:
        raise ValueError(f"{without_length[0]}: has no length. Draw it again.")
    names = list(lines)
    near = []
    for number, one in enumerate(names):
        for other in names[number + 1 :]:
            if slices[one] == slices[other]:
                pair = (lines[one][:, :2], lines[other][:, :2])
                apart = float(np.linalg.norm(pair[0].mean(axis=0) - pair[1].mean(axis=0)))
                distance = apart / max(float(np.linalg.norm(ends[1] - ends[0])) for ends in pair)
                if distance <= PAIR_REACH:
                    near.append((distance, one, other))
    marks, used = [], set()
    for _, one, other in sorted(near):
        if not used & {one, other}:
            used |= {one, other}
            long, short = sorted((one, other), key=lambda name: -lengths_mm[name])
            ends = np.concatenate([lines[long][:, :2], lines[short][:, :2]])
            marks.append(Mark(long, slices[long], ends))
    alone = [name for name in names if name not in used]
    if alone:
        raise ValueError(
            f"{', '.join(alone)}: no second line across it in the same slice. Draw both diameters"
            " of a lesion, or hide lines that are not diameters."
        )
    return sorted(marks, key=lambda mark: names.index(mark.name))


def write_marks(path: Path, marks: Sequence[Mark]) -> dict[str, str]:
    """Write the table of marks that `weaklesion segment` reads; return the name of each id."""
    names = {}
    with open(path, "w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["id", "image", "slice", *ENDS])
        for number, mark in enumerate(marks, start=1):
            names[f"lesion-{number}"] = mark.name
            ends = (f"{value:.4f}" for value in mark.ends.ravel())
            writer.writerow([f"lesion-{number}", VOLUME, mark.slice, *ends])
    return names


def command_of(
    program: str, model: str, folder: Path, window_hu: tuple[float, float] | None
) -> list[str]:
    """Return the command that makes the masks in `folder/out`."""
    command = [program, "segment", "--model", model, "--marks", str(folder / "marks.csv")]
    command += ["--out", str(folder / "out")]
    if window_hu is not None:
        command += ["--window", *(f"{level:g}" for level in window_hu)]
    return command


def read_rows(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file; none if there is no such file."""
    if not path.is_file():
        return []
    with open(path, newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def summary_of(
    measured: Sequence[Mapping[str, str]],
    refused: Sequence[Mapping[str, str]],
    names: Mapping[str, str],
) -> str:
    """Say which masks to look at: those that do not fit their mark, and marks without a mask."""
    lines = [f"{len(measured)} of {len(measured) + len(refused)} marks have a mask."]
    for row in measured:
        name = names[row["id"]]
        if row["answer"] != "network":
            lines.append(f"{name}: the mask is the mark's own shape; the network's did not fit it.")
        elif row["agrees"] != "True":
            lines.append(f"{name}: the mask fits the mark badly (agreement {row['agreement']}).")
        if row.get("visible") == "False":
            lines.append(f"{name}: less contrast in its image than is usual.")
    lines += [f"{names.get(row['id'], row['id'])}: refused, {row['cause']}" for row in refused]
    return "\n".join(lines)


class WeakLesion(ScriptedLoadableModule):
    """The module's entry in Slicer's list."""

    def __init__(self, parent: Any) -> None:
        ScriptedLoadableModule.__init__(self, parent)
        parent.title = "WeakLesion"
        parent.categories = ["Segmentation"]
        parent.dependencies = []
        parent.contributors = ["The WeakLesion authors"]
        parent.helpText = "Masks of lesions from their RECIST diameters. For research only."
        parent.acknowledgementText = "Apache-2.0."


class WeakLesionLogic(ScriptedLoadableModuleLogic):
    """From lines to a segmentation."""

    def lines_of_scene(self) -> list[Any]:
        """Return the visible line markups with two ends."""
        nodes = slicer.util.getNodesByClass("vtkMRMLMarkupsLineNode")
        return [
            node
            for node in nodes
            if node.GetDisplayVisibility() and node.GetNumberOfControlPoints() == 2
        ]

    def marks_of(self, volume: Any, lines: Sequence[Any]) -> list[Mark]:
        """Return the marks that lines form on a volume.

        Raises:
            ValueError: if the volume is moved by a transform, or lines form no marks.
        """
        if volume.GetParentTransformNode() is not None:
            raise ValueError("The volume is moved by a transform. Harden it first (Transforms).")
        matrix = vtk.vtkMatrix4x4()
        volume.GetRASToIJKMatrix(matrix)
        ras_to_ijk = np.array([[matrix.GetElement(i, j) for j in range(4)] for i in range(4)])
        points: dict[str, np.ndarray] = {}
        for line in lines:
            ends = []
            for number in range(2):
                position = [0.0, 0.0, 0.0]
                line.GetNthControlPointPositionWorld(number, position)
                ends.append(position)
            name = line.GetName()
            points[name if name not in points else line.GetID()] = np.array(ends)
        lengths = {name: float(np.linalg.norm(ends[0] - ends[1])) for name, ends in points.items()}
        voxels = {name: to_voxels(ends, ras_to_ijk) for name, ends in points.items()}
        return pair_lines(voxels, lengths)

    def segment(
        self,
        volume: Any,
        lines: Sequence[Any],
        program: str,
        model: str,
        window_hu: tuple[float, float] | None = None,
        folder: Path | None = None,
    ) -> tuple[Any, str]:
        """Make the masks of lines; return the segmentation and what to look at.

        Args:
            volume: the volume's node.
            lines: nodes of line markups, two per lesion.
            program: the command `weaklesion` of the Python in which it is installed.
            model: folder of a trained run.
            window_hu: levels that become black and white; None for those of the command.
            folder: where files are written and left; by default a temporary one, which is removed
                in any case, because it has the patient's images.

        Raises:
            ValueError: if the lines form no marks.
            RuntimeError: if the command fails; the message is its own.
        """
        if folder is None:
            with tempfile.TemporaryDirectory(prefix="weaklesion-") as temporary:
                return self.segment(volume, lines, program, model, window_hu, Path(temporary))
        names = write_marks(folder / "marks.csv", self.marks_of(volume, lines))
        # not saveNode, after which the volume's own file in the scene would be this one
        slicer.util.exportNode(volume, str(folder / VOLUME))
        done = subprocess.run(
            command_of(program, model, folder, window_hu),
            env=slicer.util.startupEnvironment(),  # without Slicer's own Python
            capture_output=True,
            text=True,
            check=False,
        )
        measured = read_rows(folder / "out/measurements.csv")
        if done.returncode and not measured:
            raise RuntimeError(f"{program} failed.\n{done.stdout}{done.stderr}".strip())
        segmentation = self.load_masks(volume, folder / "out", measured, names)
        refused = read_rows(folder / "out/refused.csv")
        return segmentation, summary_of(measured, refused, names)

    def load_masks(
        self,
        volume: Any,
        out: Path,
        measured: Sequence[Mapping[str, str]],
        names: Mapping[str, str],
    ) -> Any:
        """Load the masks as segments of one segmentation, each called after its line."""
        segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode")
        segmentation.SetName(f"{volume.GetName()} lesions")
        segmentation.CreateDefaultDisplayNodes()
        segmentation.SetReferenceImageGeometryParameterFromVolumeNode(volume)
        segments = slicer.modules.segmentations.logic()
        for row in measured:
            label = slicer.util.loadLabelVolume(str(out / row["mask"]))
            before = segmentation.GetSegmentation().GetNumberOfSegments()
            segments.ImportLabelmapToSegmentationNode(label, segmentation)
            slicer.mrmlScene.RemoveNode(label)
            if segmentation.GetSegmentation().GetNumberOfSegments() > before:  # not if it is empty
                segmentation.GetSegmentation().GetNthSegment(before).SetName(names[row["id"]])
        return segmentation


class WeakLesionWidget(ScriptedLoadableModuleWidget):
    """The module's panel."""

    def setup(self) -> None:
        """Build the panel; the paths are kept in Slicer's settings."""
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = WeakLesionLogic()
        form = qt.QFormLayout()
        self.layout.addLayout(form)
        self.volume = slicer.qMRMLNodeComboBox()
        self.volume.nodeTypes = ["vtkMRMLScalarVolumeNode"]
        self.volume.addEnabled = self.volume.removeEnabled = False
        self.volume.setMRMLScene(slicer.mrmlScene)
        form.addRow("Volume:", self.volume)
        self.program = ctk.ctkPathLineEdit()
        self.program.settingKey = "WeakLesion/program"
        form.addRow("Command weaklesion:", self.program)
        self.model = ctk.ctkPathLineEdit()
        self.model.filters = ctk.ctkPathLineEdit.Dirs
        self.model.settingKey = "WeakLesion/model"
        form.addRow("Folder of the run:", self.model)
        self.has_window = qt.QCheckBox("Set the window")
        self.low, self.high = (self._level(value) for value in (-160.0, 240.0))
        for text, field in (("", self.has_window), ("Black:", self.low), ("White:", self.high)):
            form.addRow(text, field)
        button = qt.QPushButton("Segment the lesions at all visible lines")
        button.connect("clicked(bool)", self.on_segment)
        form.addRow(button)
        self.said = qt.QLabel("For research only: look at every mask.")
        self.said.wordWrap = True
        form.addRow(self.said)
        self.layout.addStretch(1)

    def _level(self, value: float) -> Any:
        field = qt.QDoubleSpinBox()
        field.setRange(-100000.0, 100000.0)
        field.value = value
        return field

    def on_segment(self, _: bool = False) -> None:
        """Segment, and show what to look at, or the error."""
        volume = self.volume.currentNode()
        if volume is None:
            slicer.util.errorDisplay("Choose a volume.")
            return
        with slicer.util.tryWithErrorDisplay("No masks were made.", waitCursor=True):
            self.program.addCurrentPathToHistory()
            self.model.addCurrentPathToHistory()
            window = (self.low.value, self.high.value) if self.has_window.checked else None
            lines = self.logic.lines_of_scene()
            program, model = self.program.currentPath, self.model.currentPath
            _, said = self.logic.segment(volume, lines, program, model, window)
            self.said.text = said
