"""Prompts: from an image and its mark to a network's input, and from its output to the image.

Two systems of coordinates are used: u, from -1 to 1 over the width of a crop; and px, pixels of the
source image, with pixel centres at whole numbers. Ellipses are rows of (cx, cy, half major axis,
half minor axis, angle in radians), in one of the two.
"""

import math
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F

from weaklesion.ellipse import Ellipse
from weaklesion.support.limits import above, at_least, check_settings
from weaklesion.training.inputs import normalise

RADIUS_SLOPE = 3.0
INSIDE, AROUND = 0.85, 1.15  # elliptic radii; pixels between them belong to neither side
SCATTER_FLOOR = 0.01  # variance of the levels' noise, as a fraction of ImageNet's
DISCRIMINANT_SLOPE = 4.0


@dataclass(frozen=True, kw_only=True)
class PromptSettings:
    """How a network is prompted."""

    margin: Annotated[
        float, at_least(1), "Side of the crop, in long diameters of the mark's ellipse."
    ]
    max_amplitude: Annotated[
        float | None,
        at_least(0),
        "Strongest warp of training images. With 0 the network learns to copy the mark; at 1 a"
        " displacement along an axis has a standard deviation of about a fifth of the lesion's"
        " radius. Null lets `short_training` choose it.",
    ]
    clip: Annotated[float, above(0), "Bound of the displacement, in radii of the lesion."]
    mark_noise: Annotated[
        float,
        at_least(0),
        "Perturbation of the marks in training, as in `recovery.mark_noise`; 0 is none.",
    ]

    def __post_init__(self) -> None:
        check_settings(self)


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
        side: side of the crop, in major axes.
        turn: (B,) rotation of the crop, radians.
        flip: (B,) -1 where x is mirrored first, else 1.

    Returns:
        (B, h, w, 2) px.
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


def sample_bilinear(values: torch.Tensor, points_px: torch.Tensor) -> torch.Tensor:
    """Sample (B, C, H, W) at (B, h, w, 2) px, bilinearly; 0 outside."""
    height, width = values.shape[2:]
    scale = torch.tensor([2 / width, 2 / height], device=values.device)
    grid = (points_px + 0.5) * scale - 1
    return F.grid_sample(values, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


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
    """Return the input of a network that sees the mark.

    Args:
        images: (B, 3, H, W) uint8.
        points_px: (B, h, w, 2) px of the input's pixels.
        radius: (B, h, w) elliptic radius of those pixels.

    Returns:
        (B, 6, h, w) image, validity, prompt and discriminant; and the validity alone, (B, 1, h, w),
        1 inside the image.
    """
    height, width = images.shape[2:]
    x, y = points_px[..., 0], points_px[..., 1]
    inside = (x > -0.5) & (x < width - 0.5) & (y > -0.5) & (y < height - 0.5)
    valid = inside[:, None].float()
    colours = sample_bilinear(normalise(images), points_px) * valid
    prompt = torch.tanh(RADIUS_SLOPE * (1 - radius))[:, None]
    contrast = discriminant(colours, valid, radius[:, None])
    return torch.cat([colours, valid, prompt, contrast], dim=1), valid


def discriminant(colours: torch.Tensor, valid: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """Return how much more each pixel resembles the ellipse's inside than its surroundings.

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


def plain_inputs(
    images: torch.Tensor, prompts: torch.Tensor, input_px: int, margin: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the inputs of crops that are not turned, and where their pixels lie.

    Args:
        images: (B, 3, H, W) uint8.
        prompts: (B, 5) ellipses, px.
        input_px: side of the network's input.
        margin: side of a crop, in major axes.

    Returns:
        (B, 6, input, input) inputs and (B, input, input, 2) px.
    """
    crop = crop_lattice(input_px, images.device).expand(len(images), -1, -1, -1)
    unturned, unflipped = torch.zeros_like(prompts[:, 0]), torch.ones_like(prompts[:, 0])
    points_px = to_source(crop, prompts, margin, unturned, unflipped)
    inputs, _ = prompt_input(images, points_px, radii(points_px, prompts))
    return inputs, points_px


def views(crops: torch.Tensor) -> torch.Tensor:
    """Return the eight turns and mirror images of square crops, (B, C, h, h) to (B, 8, C, h, h)."""
    both = (crops, crops.flip(-1))
    return torch.stack([x.rot90(turn, (-2, -1)) for x in both for turn in range(4)], dim=1)


def mean_of_views(values: torch.Tensor) -> torch.Tensor:
    """Turn values of the eight `views` back and average them, (B, 8, C, h, h) to (B, C, h, h)."""
    back = [view.rot90(-(number % 4), (-2, -1)) for number, view in enumerate(values.unbind(1))]
    return torch.stack(back[:4] + [view.flip(-1) for view in back[4:]]).mean(dim=0)


def to_source_logits(
    logits: torch.Tensor,
    valid: torch.Tensor,
    prompts: torch.Tensor,
    margin: float,
    shape_hw: tuple[int, int],
) -> torch.Tensor:
    """Map the logits of crops (B, 1, h, h) to the source's pixels, (B, H, W).

    Only pixels of the crop that are `valid`, (B, 1, h, h), count, because the network learns
    nothing from the others. Outside the crop the logit is -10: no lesion.
    """
    height, width = shape_hw
    reach = (margin * prompts[:, 2])[:, None]
    u = (torch.arange(width, device=logits.device) - prompts[:, :1]) / reach
    v = (torch.arange(height, device=logits.device) - prompts[:, 1:2]) / reach
    points = torch.stack(
        [u[:, None].expand(-1, height, -1), v[:, :, None].expand(-1, -1, width)], dim=-1
    )
    values, weight = (
        F.grid_sample(each, points, mode="bilinear", padding_mode="border", align_corners=False)
        for each in (logits * valid, valid)
    )
    outside = (points.abs() > 1).any(dim=-1) | (weight[:, 0] < 0.01)
    return (values / weight.clamp(min=0.01))[:, 0].masked_fill(outside, -10.0)
