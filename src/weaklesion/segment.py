"""Segment marks on images of any kind with a trained network that sees the mark.

What is written: `masks/` in each input's own geometry, `overlays/`, `measurements.csv`, a row a
mark, and `refused.csv`. `journal.jsonl` notes every mark that is done, so that a call that was
stopped goes on where it was.
"""

import hashlib
import json
import logging
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import torch

from weaklesion.ellipse import Ellipse
from weaklesion.errors import DataError
from weaklesion.files import file_digest, written_whole
from weaklesion.gate import answer
from weaklesion.inference import crop_logits, load_network
from weaklesion.mark_files import MEASURED, measure, surroundings, write_mask, write_overlay
from weaklesion.marks import BadMarkError, Mark, mark_ellipse, read_marks
from weaklesion.pictures import Picture, read_picture
from weaklesion.progress import progress
from weaklesion.prompts import PromptSettings, ellipse_rows, plain_inputs, to_source_logits
from weaklesion.training_settings import TrainingSettings

logger = logging.getLogger(__name__)

MARKS_A_BATCH = 16
MOST_PER_INPUT = 4  # px of an image for one of the network's; what has more is shrunk first


@dataclass(frozen=True, kw_only=True)
class SegmentSettings:
    """How marks are segmented.

    Attributes:
        gate: see `weaklesion.gate.answer`.
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
        marks_csv: see `weaklesion.marks`.
        out_dir: where everything is written; what is done there already is kept.
        settings: see `SegmentSettings`.

    Returns:
        How many marks were segmented by the network, left to their ellipse, and refused.

    Raises:
        DataError: if model or table cannot be used. A single bad mark is refused, and named.
    """
    marks, refused = read_marks(marks_csv)
    torch.set_num_threads(settings.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
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
    for name in ("masks", "overlays"):
        (out / name).mkdir(parents=True, exist_ok=True)
    of_all = [file_digest(folder / name) for name in ("model.safetensors", "run.json")]
    of_all += [repr((settings.gate, settings.consistent, settings.window_hu))]
    keys = {mark.id: _key(mark, of_all) for mark in marks}
    done = _read_journal(out, keys)
    for mark in marks:
        if mark.id in done:  # what else stands in the table may have changed
            done[mark.id] |= {"line": mark.row, "image": str(mark.image)}
    todo = [mark for mark in marks if mark.id not in done]
    if done:
        logger.info("%d of %d marks are done already", len(done), len(marks))
    with (out / "journal.jsonl").open("a", encoding="utf-8") as journal:
        if journal.tell():
            journal.write("\n")  # ends a line that was cut off; an empty one is passed over
        batches = [todo[i : i + MARKS_A_BATCH] for i in range(0, len(todo), MARKS_A_BATCH)]
        for batch in progress(batches, total=len(batches), what="batches of marks"):
            opened, causes = _open_all(batch, settings)
            refused += causes
            for mark, row in _segment_batch(opened, model, trained, settings, out, device):
                done[mark.id] = row
                journal.write(json.dumps({"key": keys[mark.id], "row": row}) + "\n")
            journal.flush()
    rows = [done[mark.id] for mark in marks if mark.id in done]
    with written_whole(out / "measurements.csv") as beside:
        pd.DataFrame(rows, columns=list(MEASURED)).to_csv(beside, index=False, float_format="%.6g")
    with written_whole(out / "refused.csv") as beside:
        pd.DataFrame(sorted(refused), columns=["line", "id", "cause"]).to_csv(beside, index=False)
    answers = Counter(row["answer"] for row in rows)
    return {
        "network": answers["network"],
        "ellipse": answers["ellipse"],
        "refused": len(refused),
    }


def _key(mark: Mark, of_all: Sequence[str]) -> str:
    """Return a digest of all that a mark's results depend on."""
    try:
        stat = mark.image.stat()
        image = [str(mark.image.resolve()), stat.st_size, stat.st_mtime_ns]
    except OSError:
        image = [str(mark.image)]
    given = [mark.points.tolist(), mark.slice, mark.spacing, image, *of_all]
    return hashlib.sha256(json.dumps(given).encode()).hexdigest()


def _read_journal(out: Path, keys: dict[str, str]) -> dict[str, dict[str, Any]]:
    """Return the rows of marks that are done, by id.

    Of several lines about a mark the last one holds; one that was cut off is passed over. Files of
    another model's or another mark's answer under the same id are removed; those of ids that the
    table does not have are left.
    """
    path = out / "journal.jsonl"
    latest: dict[str, dict[str, Any]] = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        latest[entry["row"]["id"]] = entry
    done = {}
    for name, entry in latest.items():
        files = [out / entry["row"][key] for key in ("mask", "overlay")]
        if name not in keys:
            continue
        if keys[name] == entry["key"] and all(file.is_file() for file in files):
            done[name] = entry["row"]
        else:
            for file in files:
                file.unlink(missing_ok=True)
    others = len(latest.keys() - keys.keys())
    if others:
        logger.warning(
            "%s has masks of %d marks that this table does not have: they are left, and are not in"
            " measurements.csv",
            out,
            others,
        )
    return done


def _open_all(
    batch: Sequence[Mark], settings: SegmentSettings
) -> tuple[list[tuple[Mark, Picture, Ellipse]], list[tuple[int, str, str]]]:
    opened, refused = [], []
    for mark in batch:
        try:
            picture = read_picture(mark, settings.window_hu)
            ellipse = mark_ellipse(mark.points, picture.levels.shape[:2])
            _check_contrast(picture.levels, ellipse, settings.window_hu)
        except BadMarkError as error:
            logger.warning("line %d, %s: refused: %s", mark.row, mark.id, error)
            refused.append((mark.row, mark.id, str(error)))
            continue
        opened.append((mark, picture, ellipse))
    return opened, refused


def _check_contrast(levels: np.ndarray, ellipse: Ellipse, window_hu: tuple[float, float]) -> None:
    """Refuse what is one level about the mark: there is nothing to be seen."""
    part = levels[surroundings(ellipse, 1.0)]
    if (part == part[0, 0]).all():
        raise BadMarkError(
            "the image is one level about the mark: nothing is to be seen (Hounsfield units"
            f" outside of the window {window_hu[0]:g} to {window_hu[1]:g}?)"
        )


def _segment_batch(
    opened: Sequence[tuple[Mark, Picture, Ellipse]],
    model: torch.nn.Module,
    trained: TrainingSettings,
    settings: SegmentSettings,
    out: Path,
    device: torch.device,
) -> Iterator[tuple[Mark, dict[str, Any]]]:
    """Segment a few marks in one pass of the network, write their files, and yield their rows."""
    if not opened:
        return
    crops = [cut_out(picture.levels, ellipse, trained) for _, picture, ellipse in opened]
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
    for (mark, picture, ellipse), crop, score in zip(opened, crops, scores, strict=True):
        found = answer(
            score.numpy(), crop.ellipse, gate=settings.gate, consistent=settings.consistent
        )
        mask = np.zeros(picture.levels.shape[:2], dtype=np.uint8)
        mask[crop.y0 : crop.y0 + crop.shape_hw[0], crop.x0 : crop.x0 + crop.shape_hw[1]] = (
            found.mask
        )
        files = {
            "mask": f"masks/{mark.id}{'.png' if picture.volume is None else '.nii.gz'}",
            "overlay": f"overlays/{mark.id}.png",
        }
        write_mask(out / files["mask"], mask, mark, picture)
        write_overlay(out / files["overlay"], picture.levels, mask, mark, ellipse)
        yield mark, measure(mark, picture, mask, found, settings.gate) | files


@dataclass(frozen=True)
class Crop:
    """What of an image is read for a mark.

    Attributes:
        image: (1, 3, h, w) uint8, shrunk where the image has far more px than the network.
        shrunk: the mark's ellipse, px of `image`.
        x0: column of the image where it begins.
        y0: row of the image where it begins.
        shape_hw: its height and width in the image, px.
        ellipse: the mark's ellipse, px of the image from there.
    """

    image: torch.Tensor
    shrunk: Ellipse
    x0: int
    y0: int
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
        image=torch.from_numpy(np.ascontiguousarray(part)).permute(2, 0, 1)[None],
        shrunk=here.resized(shape_hw, (part.shape[0], part.shape[1])),
        x0=x0,
        y0=y0,
        shape_hw=shape_hw,
        ellipse=here,
    )
