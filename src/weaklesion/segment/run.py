"""Segment marks on images of any kind with a trained network that sees the mark.

What is written: `masks/` in each input's own geometry, `overlays/`, `measurements.csv`, a row a
mark, and `refused.csv`. `journal.jsonl` notes every mark that is done, so that a call that was
stopped goes on where it was.
"""

import logging
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch

from weaklesion.data.crops import surroundings
from weaklesion.ellipse import Ellipse
from weaklesion.errors import DataError
from weaklesion.marks.images import check_contrast, read_picture
from weaklesion.marks.table import BadMarkError, Mark, mark_ellipse, read_marks
from weaklesion.prediction.gate import gated_mask
from weaklesion.prediction.network import load_network
from weaklesion.prediction.tasks.prompted import crop_logits
from weaklesion.segment.journal import Journal
from weaklesion.segment.outputs import MEASURED, measure, write_mask, write_overlay
from weaklesion.study.settings import TrainingSettings
from weaklesion.support.files import file_digest, written_whole
from weaklesion.support.progress import progress
from weaklesion.training.device import compute_device
from weaklesion.training.prompts import PromptSettings, ellipse_rows, plain_inputs, to_source_logits

logger = logging.getLogger(__name__)

MARKS_A_BATCH = 16
MOST_PER_INPUT = 4  # px of an image for one of the network's; what has more is shrunk first


@dataclass(frozen=True, kw_only=True)
class SegmentSettings:
    """How marks are segmented.

    Attributes:
        gate: see `weaklesion.prediction.gate.gated_mask`.
        consistent: likewise.
        window_hu: Hounsfield units that become 0 and 255, of NIfTI and 16-bit PNG.
        threads: CPU threads.
    """

    gate: float
    consistent: bool
    window_hu: tuple[float, float]
    threads: int

    def __post_init__(self) -> None:
        if not 0 <= self.gate <= 1:
            raise DataError(f"gate: 0 to 1 is needed, not {self.gate}.")
        if not self.window_hu[0] < self.window_hu[1]:
            raise DataError(f"window: two numbers, the lower first, not {self.window_hu}.")


def segment(
    *,
    model_dir: str | Path,
    marks_csv: str | Path,
    out_dir: str | Path,
    settings: SegmentSettings,
) -> dict[str, int]:
    """Segment every mark of a table.

    Args:
        model_dir: folder of a trained run: `model.safetensors` and `run.json`.
        marks_csv: see `weaklesion.marks.table`.
        out_dir: where everything is written; what is done there already is kept.
        settings: see `SegmentSettings`.

    Returns:
        How many marks were segmented by the network (`network`), left to their ellipse
        (`ellipse`), given an empty mask, which only a gate of 0 lets through (`empty`), and
        refused (`refused`).

    Raises:
        DataError: if model or table cannot be used, or the folder is another table's. A single bad
            mark is refused, and named.
    """
    marks, refused = read_marks(marks_csv)
    torch.set_num_threads(settings.threads)
    device = compute_device()
    folder = Path(model_dir)
    for name in ("model.safetensors", "run.json"):
        if not (folder / name).is_file():
            raise DataError(f"{folder}: has no {name}. Give the folder of a trained run.")
    model, trained = load_network(folder / "model.safetensors", folder / "run.json", device)
    if trained.prompt is None:
        raise DataError(
            f"{folder}: {trained.model} sees no marks. Give a run of an arm such as"
            " prompted_refined."
        )
    out = Path(out_dir)
    of_all = [file_digest(folder / name) for name in ("model.safetensors", "run.json")]
    of_all += [repr((settings.gate, settings.consistent, settings.window_hu))]
    journal = Journal(out, marks, of_all)
    for name in ("masks", "overlays"):
        (out / name).mkdir(parents=True, exist_ok=True)
    for name in ("measurements.csv", "refused.csv"):  # of an earlier call: they come last
        (out / name).unlink(missing_ok=True)
    done = journal.done()
    for mark in marks:
        if mark.id in done:  # what else stands in the table may have changed
            done[mark.id] |= {"line": mark.row, "image": str(mark.image)}
    if done:
        logger.info("%d of %d marks are done already", len(done), len(marks))
    todo = [mark for mark in marks if mark.id not in done]
    batches = [todo[i : i + MARKS_A_BATCH] for i in range(0, len(todo), MARKS_A_BATCH)]
    for batch in progress(batches, total=len(batches), what="batches of marks"):
        opened: list[Opened] = []
        for mark in batch:
            try:
                opened.append(open_mark(mark, trained, settings.window_hu))
            except BadMarkError as error:
                refused.append((mark.row, mark.id, str(error)))
        rows = _segment_batch(opened, model, trained, settings, out, device)
        journal.note(rows)
        done |= {row["id"]: row for row in rows}
    journal.forget({name for _, name, _ in refused} - done.keys())
    rows = [done[mark.id] for mark in marks if mark.id in done]
    with written_whole(out / "measurements.csv") as beside:
        pd.DataFrame(rows, columns=list(MEASURED)).to_csv(beside, index=False, float_format="%.8g")
    refused.sort()
    for line, name, cause in refused:
        logger.warning("line %d, %s: refused: %s", line, name, cause)
    with written_whole(out / "refused.csv") as beside:
        pd.DataFrame(refused, columns=["line", "id", "cause"]).to_csv(beside, index=False)
    answers = Counter(row["answer"] for row in rows)
    kinds = ("network", "ellipse", "empty")
    return {kind: answers[kind] for kind in kinds} | {"refused": len(refused)}


@dataclass(frozen=True)
class Opened:
    """A mark with all that is needed of its image.

    Attributes:
        mark: the mark.
        ellipse: its ellipse, px of the image.
        crop: what the network is shown.
        around: (h, w, 3) uint8, what the overlay shows.
        shape_hw: height and width of the image, px.
        spacing: mm per px of x and y, or None.
        volume: the NIfTI image that it is a slice of, or None.
    """

    mark: Mark
    ellipse: Ellipse
    crop: "Crop"
    around: np.ndarray
    shape_hw: tuple[int, int]
    spacing: tuple[float, float] | None
    volume: Any | None


def open_mark(mark: Mark, trained: TrainingSettings, window_hu: tuple[float, float]) -> Opened:
    """Read the image of a mark, and keep what is needed of it: images may be large.

    Raises:
        BadMarkError: if mark or image cannot be used.
    """
    picture = read_picture(mark, window_hu)
    shape_hw = picture.levels.shape[0], picture.levels.shape[1]
    ellipse = mark_ellipse(mark.points, shape_hw, picture.spacing)
    crop = cut_out(picture.levels, ellipse, trained)
    if picture.unknown is not None and picture.unknown[crop.rows, crop.columns].any():
        raise BadMarkError(f"{mark.image.name} has values that are not finite about the mark")
    around = picture.levels[surroundings(ellipse, 1.0)].copy()
    check_contrast(around, window_hu)
    return Opened(mark, ellipse, crop, around, shape_hw, picture.spacing, picture.volume)


def _segment_batch(
    opened: Sequence[Opened],
    model: torch.nn.Module,
    trained: TrainingSettings,
    settings: SegmentSettings,
    out: Path,
    device: torch.device,
) -> list[dict[str, Any]]:
    """Segment a few marks in one pass of the network, write their files, and return their rows."""
    if not opened:
        return []
    crops = [each.crop for each in opened]
    assert trained.prompt is not None
    margin = PromptSettings(**trained.prompt).margin
    with torch.inference_mode():
        shrunk = [ellipse_rows([crop.shrunk]).to(device) for crop in crops]
        inputs = torch.cat(
            [
                plain_inputs(crop.image.to(device), given, trained.input_px, margin)[0]
                for crop, given in zip(crops, shrunk, strict=True)
            ]
        )
        logits = crop_logits(model, inputs, trained)
        scores = [
            to_source_logits(
                found[None],
                shown[None, 3:4],
                ellipse_rows([crop.ellipse]).to(device),
                margin,
                crop.shape_hw,
            )[0].cpu()
            for found, shown, crop in zip(logits, inputs, crops, strict=True)
        ]
    rows = []
    for each, score in zip(opened, scores, strict=True):
        mark, crop = each.mark, each.crop
        found = gated_mask(
            score.numpy(), crop.ellipse, gate=settings.gate, consistent=settings.consistent
        )
        mask, own = np.zeros((2, *each.shape_hw), dtype=np.uint8)
        mask[crop.rows, crop.columns] = found.mask
        own[crop.rows, crop.columns] = found.own
        files = {
            "mask": f"masks/{mark.id}{'.png' if each.volume is None else '.nii.gz'}",
            "overlay": f"overlays/{mark.id}.png",
        }
        write_mask(out / files["mask"], mask, mark.slice, each.volume)
        write_overlay(out / files["overlay"], each.around, mask, own, mark, each.ellipse)
        rows.append(measure(mark, mask, found, each.spacing) | files)
    return rows


@dataclass(frozen=True)
class Crop:
    """What of an image is read for a mark.

    Attributes:
        image: (1, 3, h, w) uint8, shrunk where the image has far more px than the network.
        shrunk: the mark's ellipse, px of `image`.
        rows: its rows in the image.
        columns: its columns in the image.
        shape_hw: its height and width in the image, px.
        ellipse: the mark's ellipse, px of the image from its first row and column.
    """

    image: torch.Tensor
    shrunk: Ellipse
    rows: slice
    columns: slice
    shape_hw: tuple[int, int]
    ellipse: Ellipse


def cut_out(levels: np.ndarray, ellipse: Ellipse, trained: TrainingSettings) -> Crop:
    """Cut out all that a network is shown of an image.

    Args:
        levels: (H, W, 3) uint8.
        ellipse: the mark's, px.
        trained: settings of the network's training.
    """
    assert trained.prompt is not None
    # half the side of the network's crop; two px are for interpolation
    reach = PromptSettings(**trained.prompt).margin * ellipse.width / 2 + 2
    height, width = levels.shape[:2]
    x0, y0 = max(0, math.floor(ellipse.cx - reach)), max(0, math.floor(ellipse.cy - reach))
    x1, y1 = min(width, math.ceil(ellipse.cx + reach)), min(height, math.ceil(ellipse.cy + reach))
    part = levels[y0:y1, x0:x1]
    here = Ellipse(ellipse.cx - x0, ellipse.cy - y0, ellipse.width, ellipse.height,
                   ellipse.angle_deg)  # fmt: skip
    shape_hw = part.shape[0], part.shape[1]
    side = PromptSettings(**trained.prompt).margin * ellipse.width
    factor = min(1.0, MOST_PER_INPUT * trained.input_px / side)
    shrunk_hw = tuple(max(1, round(factor * length)) for length in shape_hw)
    if factor < 1:
        part = cv2.resize(part, shrunk_hw[::-1], interpolation=cv2.INTER_AREA)
    return Crop(
        image=torch.from_numpy(part.copy()).permute(2, 0, 1)[None],
        shrunk=here.resized(shape_hw, (part.shape[0], part.shape[1])),
        rows=slice(y0, y1),
        columns=slice(x0, x1),
        shape_hw=shape_hw,
        ellipse=here,
    )
