"""Segment the marks of a table with an exported network. Needs nothing of WeakLesion."""

import math
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import torch
from PIL import Image

ENDS = [f"{end}_{axis}" for end in ("long_a", "long_b", "short_a", "short_b") for axis in "xy"]
LEAST_ARM = 0.02  # of a diameter, where one ends at the other


def segment(
    model: str,
    marks: str,
    output_dir: str,
    *,
    shape: str,
    channels: str,
    window_hu: tuple[float, float],
) -> list[str]:
    """Write the mask of each mark as a PNG of 0 and 255.

    Args:
        model: file of `torch.export`.
        marks: CSV with `id`, `image`, for volumes `slice`, and the ends of both diameters in px.
        output_dir: folder of the masks.
        shape: what the network is shown of a mark, `ellipse` or `ends`.
        channels: order of the colours that the network takes, `rgb` or `bgr`; or `grey`.
        window_hu: values of NIfTI that become levels 0 and 255.

    Returns:
        The files that were written.

    Raises:
        ValueError: if an image is of another kind than the network takes.
    """
    network = torch.export.load(model).module()
    table = pd.read_csv(marks, dtype={"id": str})
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for row in table.to_dict("records"):
        levels = read_levels(Path(marks).parent / row["image"], row.get("slice"), window_hu)
        if bool((levels == levels[..., :1]).all()) != (channels == "grey"):
            raise ValueError(f"{row['image']}: the network takes {channels}, not such images")
        points = np.array([row[name] for name in ENDS], dtype=float).reshape(4, 2)
        logits = logits_of(
            network, levels[..., ::-1] if channels == "bgr" else levels, points, shape
        )
        path = folder / f"{row['id']}.png"
        Image.fromarray(((logits >= 0) * 255).astype(np.uint8)).save(path)
        written.append(str(path))
    return written


def read_levels(path: Path, number: float | None, window_hu: tuple[float, float]) -> np.ndarray:
    """Return an image, or a slice of a volume, as levels, (H, W, 3) uint8."""
    if not path.name.endswith((".nii", ".nii.gz")):
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    volume = np.asanyarray(nibabel.load(path).dataobj)  # type: ignore[attr-defined]
    while volume.ndim > 3 and volume.shape[-1] == 1:
        volume = volume[..., 0]
    single = number is None or math.isnan(number)
    if single and volume.ndim == 3 and volume.shape[2] > 1:
        raise ValueError(f"{path.name}: has {volume.shape[2]} slices, and the row names none")
    values = (volume[..., 0 if single else int(number or 0)] if volume.ndim == 3 else volume).T
    low, high = window_hu
    grey = (np.clip((values - low) / (high - low), 0, 1) * 255).round().astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def logits_of(
    network: torch.nn.Module, levels: np.ndarray, points: np.ndarray, shape: str
) -> np.ndarray:
    """Return the logits of a mark, (H, W) float32.

    Args:
        network: of the exported file.
        levels: (H, W, 3) uint8 in the network's order of channels.
        points: (4, 2) ends of the long and of the short diameter, px.
        shape: `ellipse` or `ends`.
    """
    arms = arms_of_ellipse(points) if shape == "ellipse" else arms_of_ends(points)
    mark = torch.from_numpy(arms.astype(np.float32))[None]
    height, width = levels.shape[:2]
    image = torch.from_numpy(np.ascontiguousarray(levels.transpose(2, 0, 1)))[None]
    with torch.inference_mode():
        logits = network(image, mark, mark.clone(), torch.arange(float(height)),
                         torch.arange(float(width)))  # fmt: skip
    return np.asarray(logits[0])


def arms_of_ends(points: np.ndarray) -> np.ndarray:
    """Return where the diameters cross, and the vectors to their ends, (5, 2) px."""
    long, short = points[1] - points[0], points[3] - points[2]
    cross = long[0] * short[1] - long[1] * short[0]
    between = points[2] - points[0]
    along = (between[0] * short[1] - between[1] * short[0]) / cross
    crossing = points[0] + along * long
    arms = points - crossing
    for pair in (arms[:2], arms[2:]):
        diameter = math.dist(*pair)
        for number in (0, 1):
            if math.hypot(*pair[number]) < LEAST_ARM * diameter:
                pair[number] = -LEAST_ARM * pair[1 - number]
    return np.vstack([crossing, arms])


def arms_of_ellipse(points: np.ndarray) -> np.ndarray:
    """Return the centre of the least-squares ellipse, and the vectors to its axes' ends, (5, 2)."""
    double = np.zeros(2)
    for (x, y), sign in ((points[1] - points[0], 1), (points[3] - points[2], -1)):
        double += sign * np.array([x * x - y * y, 2 * x * y])
    theta = math.atan2(double[1], double[0]) / 2
    along = np.array([math.cos(theta), math.sin(theta)])
    across = np.array([-along[1], along[0]])
    axes = [
        abs(float((end - start) @ direction)) / 2 * direction
        for start, end, direction in ((*points[:2], along), (*points[2:], across))
    ]
    major, minor = axes if math.hypot(*axes[0]) >= math.hypot(*axes[1]) else axes[::-1]
    return np.vstack([points.mean(axis=0), -major, major, -minor, minor])
