"""A phantom of HAM10000: zips of JPGs and mask PNGs, metadata, and a manifest with checksums.

Lesions are irregular and blurred, on skin of uneven colour with hairs and vignetting, so that a
network has something to learn and the RECIST ellipse is not perfect. Several images show one
lesion. The archives have the pitfalls of the real ones: masks with an inverted palette, a
`__MACOSX` entry, and one mask that covers its whole image.
"""

import io
import logging
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from weaklesion.data.phantoms import FILES
from weaklesion.data.phantoms.shapes import (
    draw_harmonics,
    lesion_depth,
    smooth_noise,
    write_csv,
    write_manifest_of,
    write_zip,
)
from weaklesion.support.progress import progress

logger = logging.getLogger(__name__)

SKIN_RGB = np.array([225.0, 178.0, 160.0])
BROWN = np.array([1.0, 0.88, 0.8])  # what a lesion leaves of each channel, beside its darkness
IMAGES_PER_LESION = (1, 1, 1, 2, 3)  # choices: most lesions have one image
INVERTED_PALETTE_EVERY = 25
# Of the made-up people; as in the real table, some values are missing.
SEXES, AGES = ("female", "male", "female", "male", "unknown"), (35, 45, 55, 70, 25, "", 80)
SITES = ("back", "lower extremity", "trunk", "unknown")


@dataclass(frozen=True)
class Lesion:
    """Properties that all images of one lesion share."""

    name: str
    radius: float  # fraction of the image's height
    elongation: float  # minor over major axis
    harmonics: np.ndarray  # (6, 2) cosine and sine amplitudes of the outline, orders 2 to 7
    lesion_rgb: np.ndarray
    skin_rgb: np.ndarray
    blur: float  # width of the edge, fraction of the radius


def make_phantom(
    *, folder: str | Path, num_images: int, seed: int, width_px: int, height_px: int
) -> None:
    """Write the archives, the metadata and `manifest.csv` of a phantom to `folder`.

    Args:
        folder: created if needed.
        num_images: number of images; the mask of one covers it completely.
        seed: determines every byte.
        width_px: width of the images.
        height_px: height of the images.

    Raises:
        ValueError: if there are fewer than ten images, or they are smaller than 32 px.
    """
    if num_images < 10 or min(width_px, height_px) < 32:
        raise ValueError(
            f"num_images, width_px, height_px: at least 10, 32 and 32 are needed, not "
            f"{num_images}, {width_px} and {height_px}"
        )
    rng = np.random.default_rng(seed)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    images: dict[str, bytes] = {}
    masks: dict[str, bytes] = {}
    metadata = []
    lesion = draw_lesion(rng, 0)
    left, num_lesions = 0, 0
    for index in progress(range(num_images), total=num_images, what="phantom images"):
        if left == 0:
            lesion, left = draw_lesion(rng, num_lesions), int(rng.choice(IMAGES_PER_LESION))
            num_lesions += 1
        left -= 1
        image_id = f"ISIC_phantom{index:04d}"  # no id of HAM10000
        image, mask = draw_image(lesion, rng, (height_px, width_px))
        if index == num_images // 2:
            mask[:] = True
        images[f"{image_id}.jpg"] = _jpg(image)
        inverted = index % INVERTED_PALETTE_EVERY == 0
        masks[f"HAM10000_segmentations_lesion_tschandl/{image_id}_segmentation.png"] = (
            _palette_png(mask) if inverted else _grey_png(mask)
        )
        metadata.append([lesion.name, image_id, "nv", "phantom", *person_of(num_lesions)])
    first_mask = next(iter(masks)).rpartition("/")[2]
    masks[f"__MACOSX/HAM10000_segmentations_lesion_tschandl/._{first_mask}"] = b"\0\5\26\7"
    names = sorted(images)
    half = len(names) // 2
    write_zip(folder / FILES["ham10k"][0], {name: images[name] for name in names[:half]})
    write_zip(folder / FILES["ham10k"][1], {name: images[name] for name in names[half:]})
    write_zip(folder / FILES["ham10k"][2], masks)
    order = rng.permutation(len(metadata))  # the real table is not in the images' order either
    header = ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"]
    write_csv(folder / FILES["ham10k"][3], header, [metadata[i] for i in order])
    write_manifest_of(folder, FILES["ham10k"])
    logger.info("%d phantom images of %d lesions in %s", num_images, num_lesions, folder)


def person_of(number: int) -> tuple[object, str, str]:
    """Return age, sex and site of the lesion with a number, in the order of the metadata."""
    return AGES[number % len(AGES)], SEXES[number % len(SEXES)], SITES[number % len(SITES)]


def draw_lesion(rng: np.random.Generator, number: int) -> Lesion:
    """Draw the shape and the colours of a lesion."""
    skin = SKIN_RGB * (1 + rng.normal(0, 0.06)) + rng.normal(0, 4, 3)
    darkness = rng.uniform(0.30, 0.62)
    return Lesion(
        name=f"HAM_{number:07d}",
        radius=rng.uniform(0.16, 0.36),
        elongation=rng.uniform(0.55, 0.95),
        harmonics=draw_harmonics(rng),
        lesion_rgb=skin * (1 - darkness) * BROWN + rng.normal(0, 5, 3),
        skin_rgb=skin,
        blur=rng.uniform(0.05, 0.16),
    )


def draw_image(
    lesion: Lesion, rng: np.random.Generator, shape_hw: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """Draw one image of a lesion: (H, W, 3) uint8, red first, and its (H, W) bool mask."""
    height, width = shape_hw
    cy, cx = rng.normal(0.5, 0.05, 2) * (height, width)
    turn = rng.uniform(0, 2 * np.pi)
    radius_px = lesion.radius * height * rng.uniform(0.9, 1.1)
    depth = lesion_depth(shape_hw, (cx, cy), radius_px, lesion.elongation, turn, lesion.harmonics)
    mask = depth > 0

    inside = 1 / (1 + np.exp(-depth / lesion.blur))
    mottled = inside * (1 + 0.25 * smooth_noise(rng, shape_hw, 24))
    skin = lesion.skin_rgb * (1 + 0.05 * smooth_noise(rng, shape_hw, 5))[..., None]
    image = skin + np.clip(mottled, 0, 1.2)[..., None] * (lesion.lesion_rgb - lesion.skin_rgb)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    off_centre = np.hypot((x / width - 0.5), (y / height - 0.5))
    image *= (1 - 0.5 * np.clip(off_centre - 0.35, 0, None) * rng.uniform(0, 2))[..., None]
    image = np.clip(image, 0, 255).astype(np.uint8)
    for _ in range(rng.integers(0, 7)):
        _draw_hair(image, rng)
    grain = rng.normal(0, 4, (*shape_hw, 1)) + rng.normal(0, 2, (*shape_hw, 3))
    return np.clip(image + grain, 0, 255).astype(np.uint8), mask


def _draw_hair(image: np.ndarray, rng: np.random.Generator) -> None:
    height, width = image.shape[:2]
    ends = rng.uniform(-0.1, 1.1, (3, 2)) * (width, height)
    t = np.linspace(0, 1, 40)[:, None]
    curve = (1 - t) ** 2 * ends[0] + 2 * t * (1 - t) * ends[1] + t**2 * ends[2]
    color = tuple(sorted(rng.integers(30, 80, 3).tolist(), reverse=True))  # black to brown
    thickness = max(1, round(height / 250))
    cv2.polylines(image, [curve.round().astype(np.int32)], False, color, thickness, cv2.LINE_AA)


def _jpg(image: np.ndarray) -> bytes:
    return cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 92])[1].tobytes()


def _grey_png(mask: np.ndarray) -> bytes:
    return cv2.imencode(".png", mask.astype(np.uint8) * 255)[1].tobytes()


def _palette_png(mask: np.ndarray) -> bytes:
    """Encode with index 0 for the lesion: a reader of raw indices would see the mask inverted."""
    image = Image.fromarray((~mask).astype(np.uint8)).convert("P")
    image.putdata((~mask).astype(np.uint8).ravel().tolist())
    image.putpalette([255, 255, 255, 0, 0, 0])
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()
