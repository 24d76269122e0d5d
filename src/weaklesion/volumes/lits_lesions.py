"""The volumes that the marks of LiTS's test lesions give, against their masks.

Training-free methods answer, so nothing is learned from any volume. A lesion is a connected part of
tumour in three dimensions. Its mark is simulated, as the marks of patches are, on the slice in
which its diameter is longest.
"""

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from scipy import ndimage

from weaklesion.data.loaders.lits import TUMOUR
from weaklesion.data.loaders.lits_files import find_volumes, read_labels
from weaklesion.data.samples import read_samples
from weaklesion.data.simulated_marks import MarkDefinition, simulate_mark
from weaklesion.errors import DataError
from weaklesion.marks.table import BadMarkError
from weaklesion.marks.volumes import Volume, open_volume, spacing_of
from weaklesion.support.progress import progress
from weaklesion.support.tables import write_rows
from weaklesion.volumes.answer import answer_mark
from weaklesion.volumes.frame import frame_of
from weaklesion.volumes.lesion_scores import diameters_mm, longest_mark, training_free_rows

logger = logging.getLogger(__name__)

LEAST_SHORT_MM = 5.0  # of a mark that is measured; smaller lesions are a few voxels
TOUCHING = np.ones((3, 3, 3), dtype=bool)  # voxels that share a corner are one lesion, as in slices
COLUMNS = ["volume", "lesion", "slice", "long_mm", "short_mm", "method", "dice", "nsd_2mm",
           "asd_mm", "hd95_mm", "volume_error_percent", "volume_mm3", "reference_mm3", "low_mm3",
           "high_mm3", "undecided"]  # fmt: skip


def measure_volumes(
    *,
    folders: Sequence[str | Path],
    samples_csv: str | Path,
    simulated_marks: MarkDefinition,
    lesions_csv: str | Path,
    left_out_csv: str | Path,
) -> None:
    """Measure the volumes of all lesions of the test volumes, one volume at a time.

    Args:
        folders: LiTS's unpacked archives.
        samples_csv: samples of the patches; volumes with a test sample are test volumes.
        simulated_marks: how a mark is simulated.
        lesions_csv: written: one row per lesion and method, `ellipsoid` and `levels`: `volume`, the
            group of its samples; `lesion`; `slice`, `long_mm` and `short_mm` of its mark; and the
            columns of `weaklesion.volumes.lesion_scores.training_free_rows`.
        left_out_csv: written: one row per volume and reason: `volume, reason, lesions`, the number
            of its lesions that are left out.

    Raises:
        DataError: if a volume or segmentation cannot be read.
    """
    samples = read_samples(samples_csv)
    tested = set(samples.loc[samples["split"] == "test", "group"])
    pairs = [pair for pair in find_volumes(folders) if f"volume-{pair[0]}" in tested]
    rows: list[dict[str, Any]] = []
    left_out: list[dict[str, Any]] = []
    for number, volume_path, segmentation_path in progress(
        pairs, total=len(pairs), what="test volumes"
    ):
        name, reasons = f"volume-{number}", Counter[str]()
        for found in _measured(volume_path, segmentation_path, name, simulated_marks):
            if isinstance(found, str):
                reasons[found] += 1
            else:
                rows += [{"volume": name} | row for row in found]
        left_out += [
            {"volume": name, "reason": reason, "lesions": lesions}
            for reason, lesions in reasons.items()
        ]
    write_rows(lesions_csv, COLUMNS, rows, "%.6g")
    write_rows(left_out_csv, ["volume", "reason", "lesions"], left_out)
    logger.info(
        "%d lesions of %d test volumes; %d lesions left out",
        len({row["lesion"] for row in rows}),
        len(pairs),
        sum(row["lesions"] for row in left_out),
    )


def _measured(
    volume_path: str, segmentation_path: str, name: str, definition: MarkDefinition
) -> Iterator[list[dict[str, Any]] | str]:
    """Yield the rows of each lesion of a volume, or why it is left out."""
    lesions = lesions_of(read_labels(segmentation_path, name) == TUMOUR)
    volume = _opened(volume_path)
    try:
        frame = frame_of(volume.image)
    except BadMarkError as error:
        unknown = spacing_of(volume.image) is None
        yield from ["volume without a spacing" if unknown else str(error)] * len(lesions)
        return
    for count, (box, part) in enumerate(lesions, start=1):
        # labels of one lesion alone: the others are background to its scores
        reference = np.zeros(volume.image.shape, dtype=bool, order="F")
        reference[box] = part
        found = measure_lesion(volume.voxels, reference, frame, definition)
        if isinstance(found, str):
            yield found
        else:
            yield [{"lesion": f"{name.removeprefix('volume-')}_{count}"} | row for row in found]


def _opened(path: str) -> Volume:
    file = Path(path)
    stat = file.stat()
    try:
        return open_volume(file, (stat.st_mtime_ns, stat.st_size))
    except BadMarkError as error:
        raise DataError(f"{path}: {error}. Unpack it again.") from error


def lesions_of(tumour: np.ndarray) -> list[tuple[tuple[slice, ...], np.ndarray]]:
    """Return the connected parts of a mask, each as its box and its own voxels in it.

    Args:
        tumour: (x, y, z) bool.
    """
    whole = ndimage.find_objects(tumour.view(np.uint8))
    if not whole:
        return []
    labels, _ = ndimage.label(tumour[whole[0]], TOUCHING)
    starts = [part.start for part in whole[0]]
    return [
        (
            tuple(
                slice(start + part.start, start + part.stop)
                for start, part in zip(starts, box, strict=True)
            ),
            labels[box] == label,
        )
        for label, box in enumerate(ndimage.find_objects(labels), start=1)
    ]


def measure_lesion(
    voxels: Any, reference: np.ndarray, frame: np.ndarray, definition: MarkDefinition
) -> list[dict[str, Any]] | str:
    """Answer the simulated mark of a lesion, and score the answers.

    Args:
        voxels: the volume, sliceable; only the region about the mark is read.
        reference: (x, y, z) bool, the lesion.
        frame: (3, 3) mm per voxel (`weaklesion.volumes.frame`).
        definition: how the mark is simulated.

    Returns:
        A row per method, see `measure_volumes`; or the reason for which the lesion is left out.
    """
    try:
        points, index = longest_mark(reference, frame, lambda plane: _mark_of(plane, definition))
    except ValueError:
        return "no slice with a mark: each hull has fewer than five vertices"
    short_mm, long_mm = sorted(diameters_mm(points, frame))
    if short_mm < LEAST_SHORT_MM:
        return f"short diameter below {LEAST_SHORT_MM:g} mm"
    answer = answer_mark(voxels, reference.shape, frame, points, index)
    about = {"slice": index, "long_mm": long_mm, "short_mm": short_mm}
    rows = training_free_rows(reference, answer.masks, answer.interval_mm3, frame)
    return [about | row for row in rows]


def _mark_of(plane: np.ndarray, definition: MarkDefinition) -> np.ndarray:
    """Return the mark of a slice's largest part, whose outline is that of a sample."""
    _, labels, boxes, _ = cv2.connectedComponentsWithStats(plane.astype(np.uint8), connectivity=8)
    largest = 1 + int(boxes[1:, cv2.CC_STAT_AREA].argmax())
    return simulate_mark(labels == largest, definition).points(plane.shape, plane.shape)
