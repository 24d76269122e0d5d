"""The contact sheet of `weaklesion segment`: `index.html`, all overlays on one page.

The marks that agree least with the network's masks come first. The page is one file, and of bounded
size: at most `MOST_SHOWN` marks have a picture, of about 8 kB each.
"""

import base64
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import cv2

from weaklesion.report.pages import number, write_page
from weaklesion.segment.visibility import not_visible

MOST_SHOWN, MOST_REFUSED = 500, 200
THUMB_PX, QUALITY = 224, 82
ANSWERS = {
    "network": "mask of the network",
    "ellipse": "the mark's ellipse instead of the network's mask",
    "ends": "the shape through the mark's four ends instead of the network's mask",
    "empty": "no lesion found: empty mask",
}


def write_sheet(
    out: Path, rows: Sequence[dict[str, Any]], refused: Sequence[tuple[int, str, str]], gate: float
) -> None:
    """Write `index.html`.

    Args:
        out: folder with `overlays/`; the page is written to it.
        rows: rows of `measurements.csv`.
        refused: line, id and cause of each mark that was refused.
        gate: least agreement of mask and mark.
    """
    rows = sorted(rows, key=lambda row: (row["agreement"], _or_last(row["contrast"])))
    write_page(
        out / "index.html",
        "segment.html",
        num_marks=len(rows),
        counts=[
            (text, sum(row["answer"] == answer for row in rows)) for answer, text in ANSWERS.items()
        ],
        num_disagreeing=sum(not row["agrees"] for row in rows),
        num_not_visible=len(not_visible(rows)),
        cards=[_card(out, row, gate) for row in rows[:MOST_SHOWN]],
        refused=sorted(refused)[:MOST_REFUSED],
        num_refused=len(refused),
    )


def _or_last(value: float) -> float:
    return math.inf if math.isnan(value) else value


def _card(out: Path, row: dict[str, Any], gate: float) -> dict[str, Any]:
    """Return what the page shows of one mark."""
    notes = []
    if row["answer"] in ("ellipse", "ends"):
        notes.append(
            "The mark's own shape is returned, because the network's mask does not fit the mark:"
            f" agreement {number(row['agreement'])} is below {number(gate)}."
        )
    if row["answer"] == "empty":
        notes.append("The network found no lesion.")
    if row["answer"] == "network" and not row["agrees"]:
        notes.append("The network's mask is returned, but does not fit the mark.")
    if row["visible"] is False:
        notes.append("Less contrast than is usual: is it a mark of this image?")
    if row["outside_training"]:
        notes.append(f"Outside what the network was trained on: {row['outside_training']}.")
    if row["touches"]:
        notes.append(f"Its mask touches that of {row['touches']}.")
    place = Path(row["image"]).name
    return {
        "id": row["id"],
        "line": row["line"],
        "place": place if row["slice"] is None else f"{place}, slice {row['slice']}",
        "overlay": quote(row["overlay"]),
        "thumbnail": _thumbnail(out / row["overlay"]),
        "answer": ANSWERS[row["answer"]],
        "agreement": row["agreement"],
        "contrast": row["contrast"],
        "given": _diameters(row, "given_"),
        "measured": _diameters(row, ""),
        "notes": notes,
        "agrees": row["agrees"],
    }


def _diameters(row: dict[str, Any], prefix: str) -> str:
    """Return both diameters in px, and in mm where they are known.

    >>> _diameters({"long_px": 40.0, "short_px": 30.26, "long_mm": 20, "short_mm": 15.1}, "")
    '40.0 x 30.3 px, 20.0 x 15.1 mm'
    """
    texts = []
    for unit in ("px", "mm"):
        pair = [row.get(f"{prefix}{which}_{unit}") for which in ("long", "short")]
        known = [number(value, "%.1f") for value in pair if value is not None]
        if known:
            texts.append(" x ".join(known) + f" {unit}")
    return ", ".join(texts) or "none"


def _thumbnail(overlay: Path) -> str | None:
    """Return a small JPEG of an overlay in base 64; None if the file cannot be read."""
    image = cv2.imread(str(overlay))
    if image is None:
        return None
    scale = min(1.0, THUMB_PX / max(image.shape[:2]))
    size = max(1, round(scale * image.shape[1])), max(1, round(scale * image.shape[0]))
    image = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])[1]
    return base64.b64encode(jpeg.tobytes()).decode()
