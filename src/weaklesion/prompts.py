"""Prompts: what a network sees of an image and its mark, and how it learns more than the mark.

A network that is given an ellipse and trained on that ellipse copies it. So image and target are
warped together by a random smooth field, a new ellipse is fitted to the warped target, exactly as
marks are made, and that one is given. Where the warped target departs from its new ellipse only the
image says so. Affine changes would not do: they keep ellipses ellipses.

Coordinates: `u` are those of a crop, from -1 to 1 over its width; px those of the source image,
with pixel centres at whole numbers. Ellipses are rows of (cx, cy, half major, half minor, angle in
radians), in either.
"""

import functools
import math
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F

from weaklesion.ellipse import Ellipse, fit_ellipse
from weaklesion.inputs import normalise

LATTICE_PX = 96  # on which a warped target is fitted an ellipse
LATTICE_MARGIN = 2.0  # its side in major axes: room for what the warp pushes out
FIELD_CELLS = (5, 7, 10)
FIELD_WEIGHTS = (0.6, 1.0, 0.7)
FIELD_NOISE = 2 * sum(cells * cells for cells in FIELD_CELLS)
DRAWS = 3 + 5 + FIELD_NOISE  # turn, flip, amplitude; noise of the mark; fields
RADIUS_SLOPE = 3.0
INSIDE, AROUND = 0.85, 1.15  # elliptic radii between which nothing is known
SCATTER_FLOOR = 0.01  # variance of the levels' noise, in parts of ImageNet's
DISCRIMINANT_SLOPE = 4.0
EDGE_PX = 1.5
VIEWS = 8


@dataclass(frozen=True, kw_only=True)
class PromptSettings:
    """How a network is prompted.

    Attributes:
        margin: side of a crop, in major axes of the prompt's ellipse.
        max_amplitude: largest warp, in radii of the lesion; 0 for none, which teaches to copy.
        clip: bound of the displacement, in radii.
        mark_noise: of training prompts, see `weaklesion.ellipse.Ellipse.perturbed`.
    """

    margin: float
    max_amplitude: float
    clip: float
    mark_noise: float


@dataclass(frozen=True)
class Batch:
    """What a step needs.

    Attributes:
        inputs: (B, 6, input, input) float32: image, validity, prompt, discriminant.
        targets: (B, 1, input, input) float32 of 0 to 1.
        valid: (B, 1, input, input) float32: 1 where the crop is inside the image.
    """

    inputs: torch.Tensor
    targets: torch.Tensor
    valid: torch.Tensor


def ellipse_rows(ellipses: list[Ellipse]) -> torch.Tensor:
    """Return (N, 5) float32 of ellipses in px."""
    rows = [
        (e.cx, e.cy, e.width / 2, e.height / 2, math.radians(e.angle_deg))
        for e in (ellipse.canonical() for ellipse in ellipses)
    ]
    return torch.tensor(rows, dtype=torch.float32).reshape(-1, 5)


def crop_lattice(size: int, device: torch.device) -> torch.Tensor:
    """Return the u coordinates of a crop's pixel centres, (size, size, 2): x, y."""
    steps = (2 * torch.arange(size, device=device) + 1) / size - 1
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x, y], dim=-1)


def to_source(
    points: torch.Tensor, prompts: torch.Tensor, side: float, turn: torch.Tensor, flip: torch.Tensor
) -> torch.Tensor:
    """Map u coordinates to px.

    Args:
        points: (B, h, w, 2).
        prompts: (B, 5), px.
        side: of the crop, in major axes.
        turn: (B,) by which the crop is turned, radians.
        flip: (B,) -1 where x is mirrored first, else 1.
    """
    reach = (side * prompts[:, 2])[:, None, None]  # half a side is `side` half major axes
    x, y = points[..., 0] * flip[:, None, None], points[..., 1]
    cos, sin = turn.cos()[:, None, None], turn.sin()[:, None, None]
    return torch.stack(
        [
            prompts[:, 0, None, None] + reach * (cos * x - sin * y),
            prompts[:, 1, None, None] + reach * (sin * x + cos * y),
        ],
        dim=-1,
    )


def sample(values: torch.Tensor, points_px: torch.Tensor) -> torch.Tensor:
    """Sample (B, C, H, W) at (B, h, w, 2) px, bilinearly; 0 outside."""
    height, width = values.shape[2:]
    scale = torch.tensor([2 / width, 2 / height], device=values.device)
    grid = (points_px + 0.5) * scale - 1
    return F.grid_sample(values, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def displacement(noise: torch.Tensor, amplitude: torch.Tensor, clip: float) -> torch.Tensor:
    """Return smooth displacement fields over a lattice, (B, 2, LATTICE_PX, LATTICE_PX), in radii.

    Args:
        noise: (B, FIELD_NOISE) standard normal.
        amplitude: (B,) in radii.
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


def radii(points: torch.Tensor, ellipses: torch.Tensor) -> torch.Tensor:
    """Return the elliptic radius, (B, h, w), of (B, h, w, 2) points: 1 on the ellipse (B, 5)."""
    cx, cy, major, minor, angle = (ellipses[:, i, None, None] for i in range(5))
    dx, dy = points[..., 0] - cx, points[..., 1] - cy
    along = (angle.cos() * dx + angle.sin() * dy) / major
    across = (angle.cos() * dy - angle.sin() * dx) / minor
    return (along.square() + across.square()).clamp(min=1e-12).sqrt()


def prompt_input(
    images: torch.Tensor, points_px: torch.Tensor, radius: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a network's input (B, 6, h, w) and where it is inside the image (B, 1, h, w)."""
    height, width = images.shape[2:]
    x, y = points_px[..., 0], points_px[..., 1]
    inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    valid = inside[:, None].float()
    colours = sample(normalise(images), points_px) * valid
    prompt = torch.tanh(RADIUS_SLOPE * (1 - radius))[:, None]
    contrast = discriminant(colours, valid, radius[:, None])
    return torch.cat([colours, valid, prompt, contrast], dim=1), valid


def discriminant(colours: torch.Tensor, valid: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """Return how much more each pixel is like the ellipse's inside than like what is around it.

    Fisher's linear discriminant of each image's own colours, between -1 and 1.

    Args:
        colours: (B, 3, h, w).
        valid: (B, 1, h, w), 1 where the crop is inside the image.
        radius: (B, 1, h, w) elliptic radius.

    Returns:
        (B, 1, h, w); 0 where the crop is outside the image.
    """
    flat = colours.flatten(2)
    sides = [
        (valid * (radius < INSIDE)).flatten(2),
        (valid * (radius > AROUND)).flatten(2),
    ]
    means = []
    scatter = torch.zeros(len(colours), 3, 3, device=colours.device, dtype=colours.dtype)
    for side in sides:
        count = side.sum(dim=2, keepdim=True).clamp(min=1)
        mean = (flat * side).sum(dim=2, keepdim=True) / count
        apart = (flat - mean) * side
        scatter = scatter + apart @ apart.mT / count
        means.append(mean)
    eye = torch.eye(3, device=colours.device, dtype=colours.dtype)
    direction = torch.linalg.solve(scatter / 2 + SCATTER_FLOOR * eye, means[0] - means[1])
    middle = (means[0] + means[1]) / 2
    projected = (direction * (flat - middle)).sum(dim=1, keepdim=True)
    return projected.div(DISCRIMINANT_SLOPE).tanh().view_as(valid) * valid


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
        draws: (B, DRAWS) standard normal; all that is random.
        input_px: side of the network's input.
        settings: see `PromptSettings`.
    """
    device = images.device
    uniform = 0.5 * (1 + torch.erf(draws[:, :3] / math.sqrt(2)))
    turn, flip = 2 * math.pi * uniform[:, 0], torch.where(uniform[:, 1] < 0.5, -1.0, 1.0)
    # displacements are in radii of the lesion; u is in LATTICE_MARGIN major axes
    radius_u = (prompts[:, 2] * prompts[:, 3]).sqrt() / (LATTICE_MARGIN * prompts[:, 2])
    field = displacement(draws[:, 8:], settings.max_amplitude * uniform[:, 2], settings.clip)
    field = field * radius_u.view(-1, 1, 1, 1)
    lattice = crop_lattice(LATTICE_PX, device).expand(len(images), -1, -1, -1)

    def source_of(points: torch.Tensor) -> torch.Tensor:
        moved = points + F.grid_sample(
            field, points, mode="bilinear", padding_mode="border", align_corners=False
        ).permute(0, 2, 3, 1)
        return to_source(moved, prompts, LATTICE_MARGIN, turn, flip)

    wanted = targets.float()
    warped = sample(wanted, source_of(lattice)) >= 0.5
    noise = draws[:, 3:8].cpu()
    found = refit(warped[:, 0].cpu().numpy(), prompts, turn, flip, noise, settings.mark_noise)
    fitted = found.to(device)
    crop = crop_lattice(input_px, device).expand(len(images), -1, -1, -1)
    points = (
        fitted[:, None, None, :2] + crop * (settings.margin * fitted[:, 2])[:, None, None, None]
    )
    points_px = source_of(points)
    inputs, valid = prompt_input(images, points_px, radii(points, fitted))
    masks = sample(wanted, points_px) >= 0.5
    return Batch(inputs, soft_edges(masks), valid)


def refit(
    masks: np.ndarray,
    prompts: torch.Tensor,
    turn: torch.Tensor,
    flip: torch.Tensor,
    noise: torch.Tensor,
    size: float,
) -> torch.Tensor:
    """Fit an ellipse to each warped target on the lattice, and mark it less exactly.

    A target that has no ellipse (pushed out, or torn) keeps its prompt's.

    Args:
        masks: (B, LATTICE_PX, LATTICE_PX) bool.
        prompts: (B, 5), px.
        turn: (B,) radians.
        flip: (B,).
        noise: (B, 5), see `weaklesion.ellipse.Ellipse.perturbed`.
        size: likewise.

    Returns:
        (B, 5) in u.
    """
    per_u = LATTICE_PX / 2
    rows = []
    for mask, prompt, angle, mirrored, draws in zip(
        masks, prompts.tolist(), turn.tolist(), flip.tolist(), noise.tolist(), strict=True
    ):
        try:
            found = fit_ellipse(mask)
        except ValueError:
            axis = LATTICE_PX / LATTICE_MARGIN
            own = math.degrees(mirrored * (prompt[4] - angle))
            found = Ellipse(
                per_u - 0.5, per_u - 0.5, axis, axis * prompt[3] / prompt[2], own
            ).canonical()
        e = found.perturbed(draws, size)
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
    """Return (B, 1, h, w) float32: a squashed signed distance to the edge of each mask."""
    soft = []  # not DIST_MASK_PRECISE: that differs in the last digit from call to call
    for mask in masks[:, 0].cpu().numpy().astype(np.uint8):
        inside = cv2.distanceTransform(mask, cv2.DIST_L2, cv2.DIST_MASK_5)
        outside = cv2.distanceTransform(1 - mask, cv2.DIST_L2, cv2.DIST_MASK_5)
        soft.append(np.where(mask > 0, inside - 0.5, 0.5 - outside))
    return torch.from_numpy(np.stack(soft)).to(masks.device)[:, None].div(EDGE_PX).sigmoid()


def view_angles(device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Return turn and flip of the eight views of a crop, (8,) each."""
    numbers = torch.arange(VIEWS, device=device)
    return numbers % 4 * (math.pi / 2), torch.where(numbers < VIEWS // 2, 1.0, -1.0)


def view_inputs(
    images: torch.Tensor,
    prompts: torch.Tensor,
    input_px: int,
    margin: float,
    turn: float,
    flip: float,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the inputs (B, 6, input, input) of a view, and the px of its pixels, (B, h, w, 2)."""
    count, device = len(images), images.device
    crop = crop_lattice(input_px, device).expand(count, -1, -1, -1)
    turns, flips = (
        torch.full((count,), turn, device=device),
        torch.full((count,), flip, device=device),
    )
    points_px = to_source(crop, prompts, margin, turns, flips)
    inputs, _ = prompt_input(images, points_px, radii(points_px, prompts))
    return inputs, points_px


def to_source_logits(
    logits: torch.Tensor,
    valid: torch.Tensor,
    prompts: torch.Tensor,
    margin: float,
    shape_hw: tuple[int, int],
    turn: float,
    flip: float,
) -> torch.Tensor:
    """Map the logits of a view's crop (B, 1, h, w) to the source's pixels, (B, H, W).

    Of the crop only what is `valid`, (B, 1, h, w), counts: elsewhere a network is taught nothing.
    Outside the crop there is no lesion.
    """
    height, width = shape_hw
    y, x = torch.meshgrid(
        torch.arange(height, device=logits.device),
        torch.arange(width, device=logits.device),
        indexing="ij",
    )
    reach = (margin * prompts[:, 2])[:, None, None]
    dx, dy = (x - prompts[:, 0, None, None]) / reach, (y - prompts[:, 1, None, None]) / reach
    cos, sin = math.cos(turn), math.sin(turn)
    u = torch.stack([flip * (cos * dx + sin * dy), cos * dy - sin * dx], dim=-1)
    found, weight = (
        F.grid_sample(values, u, mode="bilinear", padding_mode="border", align_corners=False)[:, 0]
        for values in (logits * valid, valid)
    )
    outside = (u.abs() > 1).any(dim=-1) | (weight < 0.01)
    return (found / weight.clamp(min=0.01)).masked_fill(outside, -10.0)
