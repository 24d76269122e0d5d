"""Prompts: from an image and its mark to a network's input, and from its output to the image.

Two systems of coordinates are used: u, from -1 to 1 over the width of a crop; and px, pixels of the
source image, with pixel centres at whole numbers. A mark is (5, 2) in one of the two: where its
diameters cross, and the vectors from there to the ends of the long and of the short one. The axes
of an ellipse are such diameters.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from weaklesion.mark_shapes import MarkShape
from weaklesion.training.inputs import normalise
from weaklesion.training.prompt_settings import PromptSettings, mark_arrays

RADIUS_SLOPE = 3.0
INSIDE, AROUND = 0.85, 1.15  # radii; pixels between them belong to neither side
SCATTER_FLOOR = 0.01  # variance of the levels' noise, as a fraction of ImageNet's
DISCRIMINANT_SLOPE = 4.0


def mark_rows(marks: Sequence[MarkShape]) -> torch.Tensor:
    """Return the tensor of N marks, (N, 5, 2) float32 px."""
    return torch.from_numpy(mark_arrays(marks))


def frame_of(marks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the middle, (B, 2), of marks (B, 5, 2), and half of their longer diameter, (B,).

    The middle is that of the parallelogram that the diameters span: the middle of each diameter,
    moved to the middle of the other one along it.
    """
    center = marks[:, 0] + marks[:, 1:].sum(dim=1) / 2
    diameters = torch.stack([marks[:, 2] - marks[:, 1], marks[:, 4] - marks[:, 3]], dim=1)
    return center, torch.linalg.vector_norm(diameters, dim=2).amax(dim=1) / 2


def crop_lattice(size: int, device: torch.device) -> torch.Tensor:
    """Return the u coordinates of a crop's pixel centres, (size, size, 2): x, y."""
    steps = (2 * torch.arange(size, device=device) + 1) / size - 1
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x, y], dim=-1)


def to_source(
    points: torch.Tensor, marks: torch.Tensor, side: float, turn: torch.Tensor, flip: torch.Tensor
) -> torch.Tensor:
    """Map u coordinates to px.

    Args:
        points: (B, h, w, 2).
        marks: (B, 5, 2) px.
        side: side of the crop, in long diameters.
        turn: (B,) rotation of the crop, radians.
        flip: (B,) -1 where x is mirrored first, else 1.

    Returns:
        (B, h, w, 2) px.
    """
    center, half = frame_of(marks)
    reach = (side * half)[:, None, None]  # half a side is `side` half diameters
    x, y = points[..., 0] * flip[:, None, None], points[..., 1]
    cos, sin = turn.cos()[:, None, None], turn.sin()[:, None, None]
    return torch.stack(
        [
            center[:, 0, None, None] + reach * (cos * x - sin * y),
            center[:, 1, None, None] + reach * (sin * x + cos * y),
        ],
        dim=-1,
    )


def sample_bilinear(values: torch.Tensor, points_px: torch.Tensor) -> torch.Tensor:
    """Sample (B, C, H, W) at (B, h, w, 2) px, bilinearly; 0 outside."""
    height, width = values.shape[2:]
    x, y = points_px.unbind(dim=-1)
    grid = torch.stack([(x + 0.5) * (2 / width) - 1, (y + 0.5) * (2 / height) - 1], dim=-1)
    return F.grid_sample(values, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def radii(points: torch.Tensor, marks: torch.Tensor, exponent: float) -> torch.Tensor:
    """Return the radius, (B, h, w), of (B, h, w, 2) points: 1 on the outline of a mark's shape.

    Args:
        points: (B, h, w, 2).
        marks: (B, 5, 2), in the coordinates of `points`.
        exponent: of the shape (`weaklesion.quadrants.quadrant_shape`); 2 for ellipses.
    """
    arms = marks[:, 1:]
    x, y = (points - marks[:, None, None, 0]).unbind(dim=-1)
    long, short = arms[:, 1] - arms[:, 0], arms[:, 3] - arms[:, 2]
    cross = (long[:, 0] * short[:, 1] - long[:, 1] * short[:, 0])[:, None]
    lengths = torch.linalg.vector_norm(arms, dim=2)
    total = torch.zeros_like(x)
    # oblique coordinates, in parts of each diameter, then of the arm on whose side a point lies
    for other, sign, minus, plus in ((short, 1, 0, 1), (long, -1, 2, 3)):
        normal = sign * torch.stack([other[:, 1], -other[:, 0]], dim=1) / cross
        part = x * normal[:, 0, None, None] + y * normal[:, 1, None, None]
        diameter = lengths[:, minus] + lengths[:, plus]
        per_minus, per_plus = ((diameter / lengths[:, arm])[:, None, None] for arm in (minus, plus))
        total = total + (part * torch.where(part < 0, per_minus, per_plus)).abs() ** exponent
    return total.clamp(min=1e-12) ** (1 / exponent)


def prompt_input(
    images: torch.Tensor, points_px: torch.Tensor, radius: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the input of a network that sees the mark.

    Args:
        images: (B, 3, H, W) uint8.
        points_px: (B, h, w, 2) px of the input's pixels.
        radius: (B, h, w) radius of those pixels.

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
    """Return how much more each pixel resembles the mark's inside than its surroundings.

    Fisher's linear discriminant of each image's own colours, between -1 and 1.

    Args:
        colours: (B, 3, h, w).
        valid: (B, 1, h, w), 1 where the crop is inside the image.
        radius: (B, 1, h, w) radius.

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
    images: torch.Tensor, marks: torch.Tensor, input_px: int, settings: PromptSettings
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the inputs of crops that are not turned, and where their pixels lie.

    Args:
        images: (B, 3, H, W) uint8.
        marks: (B, 5, 2) px.
        input_px: side of the network's input.
        settings: see `PromptSettings`.

    Returns:
        (B, 6, input, input) inputs and (B, input, input, 2) px.
    """
    crop = crop_lattice(input_px, images.device).expand(len(images), -1, -1, -1)
    unturned, unflipped = torch.zeros_like(marks[:, 0, 0]), torch.ones_like(marks[:, 0, 0])
    points_px = to_source(crop, marks, settings.margin, unturned, unflipped)
    inputs, _ = prompt_input(images, points_px, radii(points_px, marks, settings.exponent))
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
    marks: torch.Tensor,
    margin: float,
    shape_hw: tuple[int, int],
) -> torch.Tensor:
    """Map the logits of crops (B, 1, h, h) to the source's pixels, (B, H, W).

    Only pixels of the crop that are `valid`, (B, 1, h, h), count, because the network learns
    nothing from the others. Outside the crop the logit is -10: no lesion.
    """
    height, width = shape_hw
    center, half = frame_of(marks)
    reach = (margin * half)[:, None]
    u = (torch.arange(width, device=logits.device) - center[:, :1]) / reach
    v = (torch.arange(height, device=logits.device) - center[:, 1:]) / reach
    points = torch.stack(
        [u[:, None].expand(-1, height, -1), v[:, :, None].expand(-1, -1, width)], dim=-1
    )
    values, weight = (
        F.grid_sample(each, points, mode="bilinear", padding_mode="border", align_corners=False)
        for each in (logits * valid, valid)
    )
    outside = (points.abs() > 1).any(dim=-1) | (weight[:, 0] < 0.01)
    return (values / weight.clamp(min=0.01))[:, 0].masked_fill(outside, -10.0)
