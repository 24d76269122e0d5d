"""Segment the marks of a table with an exported network. Needs nothing of WeakLesion."""

import csv
import math
from pathlib import Path

import nibabel
import numpy as np
import torch
from PIL import ExifTags, Image

ENDS = [f"{end}_{axis}" for end in ("long_a", "long_b", "short_a", "short_b") for axis in "xy"]
LEAST_PX = 0.5  # shortest diameter
LEAST_ANGLE_DEG = 45.0  # between the diameters
REACH = 0.5  # part of their length by which diameters may miss each other
ROUNDING_PX = 0.001  # by which an end may be outside its image
LEAST_ARM = 0.02  # of a diameter, where one ends at the other
PNG_OFFSET = 32768  # 16-bit images hold Hounsfield units plus this offset
UNSAFE = {*'/\\:*?"<>|', *map(chr, range(32))}
LONGEST_ID = 200  # bytes: file systems allow 255, with the ending


def segment(
    model: str,
    marks: str,
    output_dir: str,
    *,
    shape: str,
    channels: str,
    window_hu: tuple[float, float],
) -> list[str]:
    """Write the mask of each mark as a PNG of 0 and 255; nothing if one row cannot be used.

    Args:
        model: file of `torch.export`.
        marks: CSV, see `rows_by_id`.
        output_dir: folder of the masks.
        shape: what the network is shown of a mark, `ellipse` or `ends`.
        channels: order of the colours that the network takes, `rgb` or `bgr`; or `grey`.
        window_hu: Hounsfield units, of NIfTI and 16-bit images, that become levels 0 and 255.

    Returns:
        The files that were written.

    Raises:
        ValueError: if the table, a mark or an image cannot be used, or an image is of another kind
            than the network takes.
    """
    rows = rows_by_id(Path(marks))
    for name, row in rows.items():
        image_and_ends(Path(marks).parent, name, row, channels, window_hu)
    network = torch.export.load(model).module()
    folder = Path(output_dir)
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for name, row in rows.items():  # images are read again, because all may not fit in memory
        levels, points = image_and_ends(Path(marks).parent, name, row, channels, window_hu)
        logits = logits_of(network, levels, points, shape)
        path = folder / f"{name}.png"
        Image.fromarray(((logits >= 0) * 255).astype(np.uint8)).save(path)
        written.append(str(path))
    return written


def image_and_ends(
    folder: Path, name: str, row: dict[str, str], channels: str, window_hu: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return the image of the mark `name`, and the ends of its diameters, (4, 2) px.

    The image is (H, W, 3) uint8 in the network's order of channels.

    Args:
        folder: of the table.
        name: id of the mark.
        row: of the table.
        channels: see `segment`.
        window_hu: see `segment`.

    Raises:
        ValueError: if the mark or its image cannot be used.
    """
    number = number_of(row, "slice", name) if row.get("slice") else None
    points = np.array([number_of(row, end, name) for end in ENDS]).reshape(4, 2)
    if not row["image"]:
        raise ValueError(f"mark {name}: its row names no image")
    try:
        levels = read_levels(folder / row["image"], number, window_hu)
    except ValueError as error:
        raise ValueError(f"mark {name}: {error}") from error
    except Exception as error:  # Pillow and nibabel document few of theirs
        raise ValueError(
            f"mark {name}: {row['image']} cannot be read ({error}). Is it there, and whole?"
        ) from error
    if bool((levels == levels[..., :1]).all()) != (channels == "grey"):
        raise ValueError(
            f"mark {name}: {row['image']}: the network takes {channels}, not such images"
        )
    if cause := fault_of(points, levels.shape[:2]):
        raise ValueError(f"mark {name}: {cause}")
    return levels[..., ::-1] if channels == "bgr" else levels, points


def rows_by_id(path: Path) -> dict[str, dict[str, str]]:
    """Return the rows of a table of marks by id; a row without an id is named after its line.

    Args:
        path: CSV with `image`, the ends of both diameters in px, for volumes `slice`, and `id`,
            which may be left out.

    Raises:
        ValueError: if a column is missing, a row has more fields than the header, or an id occurs
            twice or cannot name a file.
    """
    rows: dict[str, dict[str, str]] = {}
    line_of: dict[str, int] = {}
    with path.open(encoding="utf-8-sig", newline="") as stream:
        table = csv.DictReader(stream, skipinitialspace=True, restkey="more", restval="")
        table.fieldnames = [name.strip() for name in table.fieldnames or []]
        missing = [name for name in ("image", *ENDS) if name not in table.fieldnames]
        if missing:
            raise ValueError(
                f"{path}: lacks the column {', '.join(missing)}. Separate columns by commas, and"
                " name them as the README of the bundle does"
            )
        for fields in table:
            line = table.line_num
            row = {key: fields[key].strip() for key in table.fieldnames}
            if any(fields.get("more", [])):
                raise ValueError(
                    f"{path}, line {line}: has more fields than the header. Write decimal points"
                )
            if not any(row.values()):
                continue
            name = row.get("id") or f"mark-{line - 1:05d}"
            if UNSAFE & set(name) or name.startswith(".") or len(name.encode()) > LONGEST_ID:
                raise ValueError(
                    f"{path}, line {line}: the id {name!r} cannot name a file. Rename it, or leave"
                    " it empty"
                )
            if name.casefold() in line_of:  # some file systems treat A and a as equal
                raise ValueError(
                    f"{path}, line {line}: the id {name} is also that of line"
                    f" {line_of[name.casefold()]}. Give each mark its own id"
                )
            line_of[name.casefold()] = line
            rows[name] = row
    return rows


def number_of(row: dict[str, str], column: str, name: str) -> float:
    """Return the number in a column of the row of the mark `name`."""
    try:
        number = float(row[column])
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"mark {name}: {column} is {row[column]!r}, not a number")
    return number


def fault_of(points: np.ndarray, shape_hw: tuple[int, ...]) -> str:
    """Return why no lesion has these diameters, "" if one may have.

    Args:
        points: (4, 2) ends of the long and of the short diameter, px.
        shape_hw: height and width of the image, px.
    """
    height, width = shape_hw
    last = np.array([width, height]) - 0.5 + ROUNDING_PX
    if ((points < -0.5 - ROUNDING_PX) | (points > last)).any():
        return f"an end is outside the image of {width}x{height} px"
    long, short = points[1] - points[0], points[3] - points[2]
    lengths = math.hypot(*long), math.hypot(*short)
    if min(lengths) < LEAST_PX:
        return f"a diameter is only {min(lengths):g} px long"
    cross = long[0] * short[1] - long[1] * short[0]
    if abs(cross) / math.prod(lengths) < math.sin(math.radians(LEAST_ANGLE_DEG)):
        return "the diameters are not about 90 degrees apart: are their ends mixed up?"
    between = points[2] - points[0]
    where = [(between[0] * v[1] - between[1] * v[0]) / cross for v in (short, long)]
    if min(where) < -REACH or max(where) > 1 + REACH:
        return "the two diameters do not cross: are their ends mixed up?"
    return ""


def read_levels(path: Path, number: float | None, window_hu: tuple[float, float]) -> np.ndarray:
    """Return an image, or a slice of a volume, as levels, (H, W, 3) uint8.

    Raises:
        ValueError: if the image or slice cannot be used.
    """
    if path.name.lower().endswith((".nii", ".nii.gz")):
        return levels_of_slice(path, number, window_hu)
    if number is not None:
        raise ValueError(
            f"{path.name}: is not a volume, but the row names slice {number:g}. Leave slice empty"
        )
    return levels_of_picture(path, window_hu)


def levels_of_picture(path: Path, window_hu: tuple[float, float]) -> np.ndarray:
    """Return a PNG, JPG or the like as levels, (H, W, 3) uint8.

    Raises:
        ValueError: if it is stored rotated, has several images, or levels of an unknown scale.
    """
    with Image.open(path) as image:
        deep = any(";16" in str(tile.args) for tile in image.tile)  # Pillow may keep 8 bits
        if image.mode == "F" or (deep and not image.mode.startswith("I")):
            raise ValueError(
                f"{path.name}: has levels of 32-bit float, or 16 bits per colour. Save it with"
                f" 8 bits, or as 16-bit grey with Hounsfield units + {PNG_OFFSET}"
            )
        turned = image.getexif().get(ExifTags.Base.Orientation, 1)
        if turned in range(2, 9):  # Pillow turns some kinds of files, and not others
            raise ValueError(
                f"{path.name}: is stored rotated (EXIF orientation {turned}), so the mark's pixels"
                " are ambiguous. Save it upright, without the tag"
            )
        frames = getattr(image, "n_frames", 1)
        if frames > 1 and image.format != "MPO":  # a phone's JPG: the first is the photograph
            raise ValueError(f"{path.name}: contains {frames} images. Save the marked one alone")
        if not image.mode.startswith("I"):
            return np.asarray(image.convert("RGB"))
        values = np.asarray(image, dtype=np.float32) - PNG_OFFSET
    if values.max() <= window_hu[0]:
        raise ValueError(
            f"{path.name}: has at most {values.max():,.0f} HU, below the window"
            f" {window_hu[0]:g} to {window_hu[1]:g}. Save it with Hounsfield units + {PNG_OFFSET}"
        )
    return windowed(values, window_hu)


def levels_of_slice(path: Path, number: float | None, window_hu: tuple[float, float]) -> np.ndarray:
    """Return a slice of a NIfTI volume as levels, (H, W, 3) uint8.

    Raises:
        ValueError: if the volume has more than three dimensions, or the slice does not exist or has
            no finite value.
    """
    volume = np.asanyarray(nibabel.load(path).dataobj)  # type: ignore[attr-defined]
    while volume.ndim > 3 and volume.shape[-1] == 1:
        volume = volume[..., 0]
    if volume.ndim not in (2, 3):
        raise ValueError(f"{path.name}: has {volume.ndim} dimensions. Save one volume alone")
    depth = volume.shape[2] if volume.ndim == 3 else 1
    if number is None and depth > 1:
        raise ValueError(f"{path.name}: has {depth} slices, and the row names none")
    if (number or 0) not in range(depth):
        raise ValueError(f"{path.name}: has slices 0 to {depth - 1}, and the row names {number:g}")
    values = volume[..., int(number or 0)] if volume.ndim == 3 else volume
    if not np.isfinite(values).any():
        raise ValueError(f"{path.name}: has no finite value in slice {number or 0:g}")
    return windowed(values.T, window_hu)


def windowed(hounsfield: np.ndarray, window_hu: tuple[float, float]) -> np.ndarray:
    """Return Hounsfield units, (H, W), as levels, (H, W, 3) uint8: 0 where one is not finite."""
    low, high = window_hu
    values = np.asarray(hounsfield, dtype=np.float32)
    values = np.where(np.isfinite(values), values, low)
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
    """Return where the diameters cross, and the vectors to their ends, (5, 2) px.

    The arm of a diameter that ends before the crossing leads from there the other way, by a
    fiftieth of the diameter.
    """
    long, short = points[1] - points[0], points[3] - points[2]
    cross = long[0] * short[1] - long[1] * short[0]
    between = points[2] - points[0]
    # where they cross, in parts of each diameter from its first end
    at_long, at_short = ((between[0] * v[1] - between[1] * v[0]) / cross for v in (short, long))
    crossing = points[0] + at_long * long
    arms = np.array([
        -max(at_long, 0) * long, max(1 - at_long, 0) * long,
        -max(at_short, 0) * short, max(1 - at_short, 0) * short,
    ])  # fmt: skip
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
