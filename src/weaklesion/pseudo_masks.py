"""Pseudo-masks from an image and its RECIST mark: levels decide, consistently with the mark.

One mixture is fitted to the levels inside the mark's shape, and one to those around it. The
log-likelihood ratio of each pixel, plus a prior that depends on its position, is its score. A map
then moves the scores so that the shape of their positive part is the mark's: its fitted ellipse, or
the four ends of its own RECIST mark (`weaklesion.mark_shapes`). Both steps are repeated on their
result. No dense mask is read.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import cv2
import numpy as np

from weaklesion.image_levels import check_levels
from weaklesion.mark_shapes import MarkShape, measured_in_mm
from weaklesion.support.limits import CheckedSettings, Rising, above, at_least

ChannelOrder = Literal["rgb", "bgr", "center"]


@dataclass(frozen=True, kw_only=True)
class RefinedSettings(CheckedSettings):
    """How levels become a pseudo-mask.

    Radii are those of the mark's shape: 1 on its outline. The defaults are those of `config.yaml`,
    which are for patches of 120 px.
    """

    blur_px: Annotated[float, above(0), "Width of the Gaussian blur of the levels, in pixels."] = (
        1.0
    )
    components: Annotated[int, at_least(1), "Components of each mixture of Gaussians."] = 3
    inside: Annotated[
        float,
        above(0),
        "Radius inside which the lesion's mixture is first fitted; 1 is the outline of the mark's"
        " shape.",
    ] = 0.8
    around: Annotated[
        tuple[float, float],
        at_least(0),
        Rising(),
        "Radii between which the mixture of the surroundings is fitted.",
    ] = (1.2, 2.0)
    clip: Annotated[float, above(0), "Bound of the log-likelihood ratio on either side."] = 4.0
    ratio_blur_px: Annotated[
        float, above(0), "Width of the Gaussian blur of the ratio, in pixels."
    ] = 2.0
    ratio_weight: Annotated[float, at_least(0), "Weight of the ratio."] = 0.5
    prior_weight: Annotated[
        float,
        at_least(0),
        "Weight of the prior, 1 minus the radius; `weaklesion.selection.recovery` chooses it.",
    ] = 5.0
    rounds: Annotated[int, at_least(1), "Number of times that the mixtures are fitted."] = 2
    max_pixels: Annotated[
        int,
        at_least(100),
        "Largest number of pixels that a mixture is fitted to, drawn at random.",
    ] = 1500


def pseudo_mask(
    image: np.ndarray,
    mark: MarkShape,
    settings: RefinedSettings | None = None,
    *,
    ct: bool = False,
) -> np.ndarray:
    """Draw the pseudo-mask of a mark: levels decide, consistently with its shape.

    Args:
        image: (H, W, 3) uint8.
        mark: the mark's shape, px of the image: an `Ellipse`, or `FourEnds`.
        settings: see `RefinedSettings`; None for its defaults.
        ct: whether the channels are CT slices rather than red, green and blue.

    Returns:
        (H, W) bool; the drawn shape where levels cannot decide (`refine_scores` returns None).

    Raises:
        ValueError: if the image is not (H, W, 3) uint8. Constants are for levels of 0 to 255, so
            Hounsfield units and floats of 0 to 1 are refused.

    >>> from weaklesion.ellipse import Ellipse, draw_ellipse
    >>> inside = draw_ellipse(Ellipse(30.0, 30.0, 30.0, 20.0, 0.0), (60, 60))
    >>> noise = np.random.default_rng(0).normal(0, 5, (60, 60, 1))
    >>> image = (np.where(inside[..., None], 90, 180) + noise).astype(np.uint8).repeat(3, axis=2)
    >>> mask = pseudo_mask(image, Ellipse(31.0, 30.0, 30.0, 22.0, 5.0), ct=True)
    >>> mask.shape, bool(0.8 < mask.sum() / inside.sum() < 1.2)
    ((60, 60), True)
    """
    check_levels(image)
    scores = refine_scores(image, mark, settings or RefinedSettings(), ct=ct)
    return mark.drawn(image.shape[:2]) if scores is None else scores > 0


def to_rgb(image: np.ndarray, channel_order: ChannelOrder) -> np.ndarray:
    """Return a patch with red first; CT slices are returned unchanged.

    >>> to_rgb(np.array([[[1, 2, 3]]]), "bgr").tolist()
    [[[3, 2, 1]]]
    """
    return np.ascontiguousarray(image[..., ::-1]) if channel_order == "bgr" else image


def refine_scores(
    image: np.ndarray,
    mark: MarkShape,
    settings: RefinedSettings,
    *,
    ct: bool,
    consistent: bool = True,
    prior: np.ndarray | None = None,
) -> np.ndarray | None:
    """Score every pixel: above 0 is lesion.

    Args:
        image: (H, W, 3) uint8.
        mark: the mark's shape, px of the image: an `Ellipse`, or `FourEnds`.
        settings: see `RefinedSettings`.
        ct: whether the channels are CT slices rather than red, green and blue.
        consistent: whether the scores of the last round are moved as well, so that the shape of
            the result is the mark's.
        prior: (H, W) float32, above 0 where a pixel is lesion before its level is looked at: a
            network's logits, for example. The position within the mark by default.

    Returns:
        (H, W) float32; None if levels cannot decide, because too few pixels lie inside or around
        the mark, or because the positive part has no shape of its kind.
    """
    levels = pixel_levels(image, settings.blur_px, ct=ct)
    radius = mark.radius(image.shape[:2])
    near = radius < settings.around[1]
    if prior is None:
        prior = settings.prior_weight * (1 - radius)
        within, around = radius < settings.inside, near & (radius > settings.around[0])
    else:
        within, around = prior > 0, near & (prior <= 0)
    scores = None
    for number in range(1, settings.rounds + 1):
        ratio = _log_ratio(levels, within, around, settings)
        if ratio is None:
            return None
        scores = settings.ratio_weight * ratio + prior
        if number == settings.rounds and not consistent:
            return scores
        scores = make_consistent(scores, mark)
        if scores is None:
            return None
        within = scores > 0
        around = near & ~within
    return scores


def pixel_levels(image: np.ndarray, blur_px: float, *, ct: bool) -> np.ndarray:
    """Return the blurred levels to which mixtures are fitted, (H, W, C) float32.

    Colour images: Lab of the image without hair. CT: the slices, or one slice if all are equal.
    """
    if not ct:
        levels = cv2.cvtColor(without_hair(image), cv2.COLOR_RGB2LAB)
    else:
        levels = image[..., :1] if (image == image[..., :1]).all() else image
    blurred = cv2.GaussianBlur(levels.astype(np.float32), (0, 0), blur_px)
    return blurred.reshape(*image.shape[:2], -1)


def without_hair(image: np.ndarray) -> np.ndarray:
    """Replace dark thin lines of an RGB image by their surroundings.

    Black-hat and inpainting, a common step in dermoscopy (Lee et al. 1997, DullRazor).
    """
    side = max(5, round(min(image.shape[:2]) / 14) | 1)
    kernel = cv2.getStructuringElement(cv2.MORPH_CROSS, (side, side))
    lines = cv2.morphologyEx(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), cv2.MORPH_BLACKHAT, kernel)
    hair = cv2.dilate((lines > 20).astype(np.uint8), np.ones((3, 3), np.uint8))
    return cv2.inpaint(image, hair, 2, cv2.INPAINT_TELEA) if hair.any() else image


def _log_ratio(
    levels: np.ndarray, within: np.ndarray, around: np.ndarray, settings: RefinedSettings
) -> np.ndarray | None:
    """Return each pixel's log-likelihood ratio of within to around, clipped and blurred."""
    from sklearn.mixture import GaussianMixture  # slow to import, and unused in prediction

    least = 10 * settings.components
    if within.sum() < least or around.sum() < least:
        return None
    flat = levels.reshape(-1, levels.shape[-1])
    ratio = np.zeros(len(flat))
    for mask, sign in ((within, 1), (around, -1)):
        pixels = levels[mask]
        if len(pixels) > settings.max_pixels:
            drawn = np.random.default_rng(0).choice(len(pixels), settings.max_pixels, replace=False)
            pixels = pixels[drawn]
        mixture = GaussianMixture(
            settings.components, reg_covar=1.0, max_iter=30, tol=1e-2, random_state=0
        )
        ratio += sign * mixture.fit(pixels).score_samples(flat)
    clipped = np.clip(ratio, -settings.clip, settings.clip).reshape(levels.shape[:2])
    return cv2.GaussianBlur(clipped.astype(np.float32), (0, 0), settings.ratio_blur_px)


def make_consistent(
    scores: np.ndarray, mark: MarkShape, spacing: tuple[float, float] | None = None
) -> np.ndarray | None:
    """Move scores so that the shape of their positive part is the mark's.

    Args:
        scores: (H, W) float32. The part above 0 that overlaps the mark most is kept and its holes
            filled; all other pixels are below 0 in the result.
        mark: the mark's shape, px.
        spacing: mm per pixel of rows and columns if the mark is perpendicular in mm; None if it is
            so in px, or unknown.

    Returns:
        (H, W) float32; None if no such part exists, or if it has no shape of the mark's kind.
    """
    part = main_part(scores > 0, mark)
    if part is None:
        return None
    try:
        found = measured_in_mm(mark, part, spacing)
    except ValueError:
        return None
    alone = np.where(part, np.maximum(scores, 1e-3), np.minimum(scores, -1e-3)).astype(np.float32)
    moved = mark.carry(alone, found)
    return moved if (moved > 0).any() else None


def main_part(mask: np.ndarray, mark: MarkShape) -> np.ndarray | None:
    """Return the connected part of a mask that overlaps a mark most, without holes.

    Returns:
        (H, W) bool; None if no part overlaps the mark.

    >>> from weaklesion.ellipse import Ellipse
    >>> mask = np.array([[1, 0, 1, 1, 1]], dtype=bool)
    >>> main_part(mask, Ellipse(3.0, 0.0, 2.5, 1.0, 0.0)).astype(int).tolist()
    [[0, 0, 1, 1, 1]]
    """
    return part_over(mask, mark.drawn(mask.shape))


def part_over(mask: np.ndarray, drawn: np.ndarray) -> np.ndarray | None:
    """Return the connected part of a mask that overlaps a drawn mark most, see `main_part`.

    Args:
        mask: (H, W) bool.
        drawn: (H, W) bool, the mark's shape.
    """
    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    overlaps = np.bincount(labels[drawn], minlength=count)
    overlaps[0] = 0
    if not overlaps.any():
        return None
    part = (labels == overlaps.argmax()).astype(np.uint8)
    outlines, _ = cv2.findContours(part, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    return cv2.drawContours(np.zeros_like(part), outlines, -1, 1, cv2.FILLED).astype(bool)
