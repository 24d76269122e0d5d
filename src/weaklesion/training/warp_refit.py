"""Warp and refit: how a network that sees a mark learns more than the mark.

A network that sees an ellipse and is trained on the same ellipse copies it. Therefore a random
smooth field warps image and target together, an ellipse is fitted to the warped target, exactly as
marks are made, and the network sees the new ellipse. Only the image shows where the warped target
departs from it. Affine changes would not suffice, because they map ellipses to ellipses.

Coordinates are those of `weaklesion.training.prompts`.
"""

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from weaklesion.ellipse import Ellipse, fit_ellipse
from weaklesion.training.prompts import (
    PromptSettings,
    crop_lattice,
    prompt_input,
    radii,
    sample_bilinear,
    to_source,
)

LATTICE_PX = 96  # side of the lattice on which ellipses are fitted to warped targets
LATTICE_MARGIN = 2.0  # the same in major axes, with room for what the warp pushes outwards
FIELD_CELLS = (5, 7, 10)
FIELD_WEIGHTS = (0.6, 1.0, 0.7)
FIELD_NOISE = 2 * sum(cells * cells for cells in FIELD_CELLS)
DRAWS = 3 + 5 + FIELD_NOISE  # turn, flip, amplitude; noise of the mark; fields
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


def displacement(noise: torch.Tensor, amplitude: torch.Tensor, clip: float) -> torch.Tensor:
    """Return smooth displacement fields on the lattice, (B, 2, LATTICE_PX, LATTICE_PX), in radii.

    Args:
        noise: (B, FIELD_NOISE) standard normal.
        amplitude: (B,) strength; at 1 the displacement along an axis has a standard deviation of
            about 0.2 radii.
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
    prompts: torch.Tensor,
    draws: torch.Tensor,
    input_px: int,
    settings: PromptSettings,
) -> Batch:
    """Make a batch: warp image and target, fit the prompt anew, and crop around it.

    Args:
        images: (B, 3, H, W) uint8, in the source's pixels.
        targets: (B, 1, H, W) uint8 of 0 and 1.
        prompts: (B, 5) ellipses, px.
        draws: (B, DRAWS) standard normal, all random numbers of the batch.
        input_px: side of the network's input.
        settings: see `PromptSettings`.
    """
    device = images.device
    uniform = 0.5 * (1 + torch.erf(draws[:, :3] / math.sqrt(2)))
    turn, flip = 2 * math.pi * uniform[:, 0], torch.where(uniform[:, 1] < 0.5, -1.0, 1.0)
    # displacements are in radii of the lesion; u is in LATTICE_MARGIN major axes
    radius_u = (prompts[:, 2] * prompts[:, 3]).sqrt() / (LATTICE_MARGIN * prompts[:, 2])
    assert settings.max_amplitude is not None, "a warp is chosen before the training"
    field = displacement(draws[:, 8:], settings.max_amplitude * uniform[:, 2], settings.clip)
    field = field * radius_u.view(-1, 1, 1, 1)
    lattice = crop_lattice(LATTICE_PX, device).expand(len(images), -1, -1, -1)

    def source_of(points: torch.Tensor) -> torch.Tensor:
        moved = points + F.grid_sample(
            field, points, mode="bilinear", padding_mode="border", align_corners=False
        ).permute(0, 2, 3, 1)
        return to_source(moved, prompts, LATTICE_MARGIN, turn, flip)

    masks = targets.float()
    warped = sample_bilinear(masks, source_of(lattice)) >= 0.5
    noise = draws[:, 3:8].cpu()
    ellipses = refit(warped[:, 0].cpu().numpy(), prompts, turn, flip, noise, settings.mark_noise)
    new_prompts = ellipses.to(device)
    crop = crop_lattice(input_px, device).expand(len(images), -1, -1, -1)
    points = (
        new_prompts[:, None, None, :2]
        + crop * (settings.margin * new_prompts[:, 2])[:, None, None, None]
    )
    points_px = source_of(points)
    inputs, valid = prompt_input(images, points_px, radii(points, new_prompts))
    cropped = sample_bilinear(masks, points_px) >= 0.5
    return Batch(inputs, soft_edges(cropped), valid)


def refit(
    masks: np.ndarray,
    prompts: torch.Tensor,
    turn: torch.Tensor,
    flip: torch.Tensor,
    noise: torch.Tensor,
    size: float,
) -> torch.Tensor:
    """Fit an ellipse to each warped target on the lattice, and perturb it.

    A target that no ellipse can be fitted to (pushed out, or torn) keeps the prompt's ellipse.

    Args:
        masks: (B, LATTICE_PX, LATTICE_PX) bool.
        prompts: (B, 5), px.
        turn: (B,) rotation of each crop, radians.
        flip: (B,) -1 where x is mirrored, else 1.
        noise: (B, 5) draws of `weaklesion.ellipse.Ellipse.perturbed`.
        size: size of that perturbation.

    Returns:
        (B, 5) in u.
    """
    per_u = LATTICE_PX / 2
    rows = []
    for mask, prompt, angle, mirrored, draws in zip(
        masks, prompts.tolist(), turn.tolist(), flip.tolist(), noise.tolist(), strict=True
    ):
        try:
            ellipse = fit_ellipse(mask)
        except ValueError:
            axis = LATTICE_PX / LATTICE_MARGIN
            own = math.degrees(mirrored * (prompt[4] - angle))
            ellipse = Ellipse(
                per_u - 0.5, per_u - 0.5, axis, axis * prompt[3] / prompt[2], own
            ).canonical()
        e = ellipse.perturbed(draws, size)
        rows.append(
            (
                (e.cx + 0.5) / per_u - 1,
                (e.cy + 0.5) / per_u - 1,
                e.width / 2 / per_u,
                e.height / 2 / per_u,
                math.radians(e.angle_deg),
            )
        )
    return torch.tensor(rows, dtype=torch.float32)


def soft_edges(masks: torch.Tensor) -> torch.Tensor:
    """Return the signed distance to the edge of each mask, squashed to 0 to 1.

    Args:
        masks: (B, 1, h, w) bool.

    Returns:
        (B, 1, h, w) float32, at least 0.5 inside.
    """
    soft = []  # DIST_MASK_PRECISE would differ in the last digit from call to call
    for mask in masks[:, 0].cpu().numpy().astype(np.uint8):
        inside = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_5)
        outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_5)
        soft.append(np.where(mask > 0, inside - 0.5, 0.5 - outside))
    return torch.from_numpy(np.stack(soft)).to(masks.device)[:, None].div(EDGE_PX).sigmoid()
