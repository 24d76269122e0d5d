"""Warp and refit: how a network that sees a mark learns more than the mark.

A network that sees a mark's shape and is trained on the same shape copies it. Therefore a random
smooth field warps image and target together, the mark of the warped target is measured, exactly as
marks are made, and the network sees the new mark. Only the image shows where the warped target
departs from its shape. Affine changes would not suffice, because they map ellipses to ellipses.

Coordinates are those of `weaklesion.training.prompts`.
"""

import functools
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from weaklesion.ellipse import Ellipse
from weaklesion.four_ends import FourEnds
from weaklesion.training.prompt_settings import PromptSettings
from weaklesion.training.prompts import (
    crop_lattice,
    frame_of,
    mark_rows,
    prompt_input,
    radii,
    sample_bilinear,
    to_source,
)

LATTICE_PX = 96  # side of the lattice on which the marks of warped targets are measured
LATTICE_MARGIN = 2.0  # the same in long diameters, with room for what the warp pushes outwards
FIELD_CELLS = (5, 7, 10)
FIELD_WEIGHTS = (0.6, 1.0, 0.7)
FIELD_NOISE = 2 * sum(cells * cells for cells in FIELD_CELLS)
EDGE_PX = 1.5


@dataclass(frozen=True)
class Batch:
    """The crops of one step.

    Attributes:
        inputs: (B, 6, input, input) float32: image, validity, prompt, discriminant.
        targets: (B, 1, input, input) float32 of 0 to 1.
        valid: (B, 1, input, input) float32: 1 where the crop is inside the image.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    valid: torch.Tensor


def num_draws(settings: PromptSettings) -> int:
    """Return how many random numbers an image takes.

    They are turn, flip and amplitude; noise of the mark; fields.
    """
    mark = Ellipse if settings.shape == "ellipse" else FourEnds
    return 3 + mark.NUM_DRAWS + FIELD_NOISE


def displacement(noise: torch.Tensor, amplitude: torch.Tensor, clip: float) -> torch.Tensor:
    """Return smooth displacement fields on the lattice, (B, 2, LATTICE_PX, LATTICE_PX), in radii.

    Args:
        noise: (B, FIELD_NOISE) standard normal.
        amplitude: (B,) strength; at 1 the displacement along an axis has a standard deviation of
            about 0.17 radii.
        clip: bound of a displacement, in radii.
    """
    total = torch.zeros(len(noise), 2, LATTICE_PX, LATTICE_PX, device=noise.device)
    start = 0
    for cells, weight in zip(FIELD_CELLS, FIELD_WEIGHTS, strict=True):
        coarse = noise[:, start : start + 2 * cells * cells].view(-1, 2, cells, cells)
        start += 2 * cells * cells
        bicubic = _bicubic(cells, noise.device)
        total += weight / cells * (bicubic @ coarse @ bicubic.T)
    return (total * amplitude.view(-1, 1, 1, 1)).clamp(-clip, clip)


@functools.cache
def _bicubic(cells: int, device: torch.device) -> torch.Tensor:
    """Return bicubic interpolation along one axis as a matrix, (LATTICE_PX, cells)."""
    rows = torch.eye(cells, device=device)[None, None]
    size = (cells, LATTICE_PX)
    return F.interpolate(rows, size=size, mode="bicubic", align_corners=True)[0, 0].T.contiguous()


def training_batch(
    images: torch.Tensor,
    targets: torch.Tensor,
    marks: torch.Tensor,
    draws: torch.Tensor,
    input_px: int,
    settings: PromptSettings,
) -> Batch:
    """Make a batch: warp image and target, measure the mark anew, and crop around it.

    Args:
        images: (B, 3, H, W) uint8, in the source's pixels.
        targets: (B, 1, H, W) uint8 of 0 and 1.
        marks: (B, 5, 2) px.
        draws: (B, `num_draws`) standard normal, all random numbers of the batch.
        input_px: side of the network's input.
        settings: see `PromptSettings`.
    """
    device = images.device
    uniform = 0.5 * (1 + torch.erf(draws[:, :3] / math.sqrt(2)))
    turn, flip = 2 * math.pi * uniform[:, 0], torch.where(uniform[:, 1] < 0.5, -1.0, 1.0)
    # displacements are in radii of the lesion; u is in LATTICE_MARGIN long diameters
    _, half = frame_of(marks)
    diameters = torch.linalg.vector_norm(marks[:, 2::2] - marks[:, 1::2], dim=2)
    radius_u = diameters.prod(dim=1).sqrt() / 2 / (LATTICE_MARGIN * half)
    assert settings.max_amplitude is not None, "a warp is chosen before the training"
    field = displacement(
        draws[:, -FIELD_NOISE:], settings.max_amplitude * uniform[:, 2], settings.clip
    )
    field = field * radius_u.view(-1, 1, 1, 1)
    lattice = crop_lattice(LATTICE_PX, device).expand(len(images), -1, -1, -1)

    def source_of(points: torch.Tensor) -> torch.Tensor:
        moved = points + F.grid_sample(
            field, points, mode="bilinear", padding_mode="border", align_corners=False
        ).permute(0, 2, 3, 1)
        return to_source(moved, marks, LATTICE_MARGIN, turn, flip)

    masks = targets.float()
    warped = sample_bilinear(masks, source_of(lattice)) >= 0.5
    noise = draws[:, 3:-FIELD_NOISE].tolist()
    turned = on_lattice(marks, turn, flip)
    new_marks = refit(warped[:, 0].cpu().numpy(), turned, noise, settings).to(device)
    crop = crop_lattice(input_px, device).expand(len(images), -1, -1, -1)
    center, half = frame_of(new_marks)
    points = center[:, None, None] + crop * (settings.margin * half)[:, None, None, None]
    points_px = source_of(points)
    inputs, valid = prompt_input(images, points_px, radii(points, new_marks, settings.exponent))
    cropped = sample_bilinear(masks, points_px) >= 0.5
    return Batch(inputs, soft_edges(cropped, valid), valid)


def on_lattice(marks: torch.Tensor, turn: torch.Tensor, flip: torch.Tensor) -> np.ndarray:
    """Return the four ends of marks on the lattice of `refit`, (B, 4, 2) px of the lattice.

    Args:
        marks: (B, 5, 2) px.
        turn: (B,) rotation of each crop, radians.
        flip: (B,) -1 where x is mirrored, else 1.
    """
    center, half = frame_of(marks)
    x, y = (marks[:, :1] + marks[:, 1:] - center[:, None]).unbind(dim=-1)
    cos, sin = turn.cos()[:, None], turn.sin()[:, None]
    turned = torch.stack([(cos * x + sin * y) * flip[:, None], cos * y - sin * x], dim=-1)
    u = turned / (LATTICE_MARGIN * half)[:, None, None]
    return np.asarray(((u + 1) * (LATTICE_PX / 2) - 0.5).double().cpu().numpy())


def refit(
    masks: np.ndarray,
    marked: np.ndarray,
    noise: Sequence[Sequence[float]],
    settings: PromptSettings,
) -> torch.Tensor:
    """Measure the mark of each warped target on the lattice, and perturb it.

    A target without a mark (pushed out, or torn) keeps the given one.

    Args:
        masks: (B, LATTICE_PX, LATTICE_PX) bool.
        marked: (B, 4, 2) ends of the given marks, px of the lattice.
        noise: B rows of draws of `weaklesion.mark_shapes.MarkShape.perturbed`.
        settings: see `PromptSettings`; its `mark_noise` is the size of the perturbation.

    Returns:
        (B, 5, 2) marks in u.
    """
    marks = []
    for mask, points, draws in zip(masks, marked, noise, strict=True):
        mark = settings.shape_of(points)
        with suppress(ValueError):  # the target has no such shape
            mark = mark.measured(mask)
        marks.append(mark.perturbed(draws, settings.mark_noise))
    rows = mark_rows(marks)
    rows[:, 0] += 0.5
    rows /= LATTICE_PX / 2
    rows[:, 0] -= 1
    return rows


def soft_edges(masks: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Return the signed distance to the edge of each mask, squashed to 0 to 1.

    Where the image cuts a lesion, its border is no edge: nobody knows what is beyond.

    Args:
        masks: (B, 1, h, w) bool.
        valid: (B, 1, h, w) float32: 1 inside the image, 0 beyond it.

    Returns:
        (B, 1, h, w) float32, at least 0.5 inside.
    """
    soft = []  # DIST_MASK_PRECISE would differ in the last digit from call to call
    inside_or_beyond = masks | (valid == 0)
    pairs = torch.stack([masks, inside_or_beyond], dim=1)[:, :, 0].cpu().numpy().astype(np.uint8)
    for mask, no_background in pairs:
        inside = cv2.distanceTransform(no_background, cv2.DIST_L2, cv2.DIST_MASK_5)
        outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_5)
        soft.append(np.where(mask > 0, inside - 0.5, 0.5 - outside))
    return torch.from_numpy(np.stack(soft)).to(masks.device)[:, None].div(EDGE_PX).sigmoid()
