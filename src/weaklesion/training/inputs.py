"""From uint8 patches to a network's input, on the device, and from its output to the patch."""

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F

from weaklesion.study.settings import TrainingSettings

EVALUATION_BATCH = 64  # samples per pass without gradients
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
Normalisation = Literal["imagenet", "half"]
MEAN_AND_STD: dict[Normalisation, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
    "half": ((0.5,) * 3, (0.5,) * 3),
}


@dataclass(frozen=True, kw_only=True)
class InputGeometry:
    """The geometry between a patch and a network's input.

    A patch of `side_px` is resized to `input_px`, then padded on all sides to `pad_to_hw` by
    reflection about the border pixels (reflect-101), as often as that takes.

    Attributes:
        side_px: height and width of a patch, px.
        input_px: height and width to which it is resized, px.
        pad_to_hw: height and width of the input, px; multiples of 16.

    Raises:
        ValueError: if the padded size is smaller than the resized one, or no multiple of 16.
    """

    side_px: int
    input_px: int
    pad_to_hw: tuple[int, int]

    def __post_init__(self) -> None:
        for size in self.pad_to_hw:
            if size % 16 or size < self.input_px:
                raise ValueError(
                    f"pad_to: {list(self.pad_to_hw)} must be multiples of 16, and at "
                    f"least input_px, {self.input_px}"
                )

    @property
    def before_hw(self) -> tuple[int, int]:
        """Pixels of padding above and to the left."""
        return (self.pad_to_hw[0] - self.input_px) // 2, (self.pad_to_hw[1] - self.input_px) // 2

    def load_images(self, images: np.ndarray, device: torch.device) -> torch.Tensor:
        """Resize (N, side, side, 3) uint8 to (N, 3, input, input) uint8 on the device."""
        tensor = torch.from_numpy(images).to(device).permute(0, 3, 1, 2)
        if self.input_px == self.side_px:
            return tensor.contiguous()
        chunks = [
            F.interpolate(chunk.float(), size=self.input_px, mode="bilinear", antialias=True)
            .round()
            .to(torch.uint8)
            for chunk in tensor.split(1024)
        ]
        return torch.cat(chunks)

    def load_targets(
        self, targets: np.ndarray, device: torch.device, *, soft: bool = False
    ) -> torch.Tensor:
        """Resize (N, side, side) uint8 to (N, 1, input, input) uint8.

        Targets of 0 and 1 take the majority of the area, `soft` targets of 0 to 255 its mean.
        """
        tensor = torch.from_numpy(targets).to(device)[:, None]
        if self.input_px == self.side_px:
            return tensor.contiguous()
        shares = _shares(self.side_px, self.input_px).to(device)
        chunks = []
        for chunk in tensor.split(1024):
            mean = shares @ chunk.double() @ shares.T
            chunks.append((mean.round() if soft else mean >= 0.5).to(torch.uint8))
        return torch.cat(chunks)

    def pad(self, batch: torch.Tensor) -> torch.Tensor:
        """Pad (N, C, input, input) to (N, C, *pad_to_hw)."""
        for axis, (size, before) in enumerate(zip(self.pad_to_hw, self.before_hw, strict=True)):
            if size != self.input_px:
                index = _reflected(self.input_px, before, size, batch.device)
                batch = batch.index_select(axis + 2, index)
        return batch

    def crop(self, logits: torch.Tensor) -> torch.Tensor:
        """Return the part of (N, C, *pad_to_hw) that is the patch: (N, C, input, input)."""
        top, left = self.before_hw
        return logits[:, :, top : top + self.input_px, left : left + self.input_px]

    def patch_logits(self, logits: torch.Tensor) -> torch.Tensor:
        """Turn (N, 1, *pad_to_hw) logits to those of the patch, (N, side, side) float32."""
        cropped = self.crop(logits.float())
        if self.input_px != self.side_px:
            cropped = F.interpolate(cropped, size=self.side_px, mode="bilinear")
        return cropped[:, 0]


def input_geometry(settings: TrainingSettings, side_px: int) -> InputGeometry:
    """Return the geometry between patches of `side_px` and the input of a network of `settings`."""
    return InputGeometry(side_px=side_px, input_px=settings.input_px, pad_to_hw=settings.pad_to)


@functools.cache
def _shares(side: int, size: int) -> torch.Tensor:
    """Return which share of each of `size` pixels lies on each of `side` pixels, (size, side).

    `mode="area"` of torch counts each pixel that is touched in full, which makes masks too large.
    """
    edges = np.arange(size + 1) * side / size
    pixels = np.arange(side)
    common = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    return torch.from_numpy(np.maximum(common, 0) * size / side)


@functools.cache
def _reflected(count: int, before: int, size: int, device: torch.device) -> torch.Tensor:
    """Return the (size,) numbers, 0 to count - 1, of the pixels that reflect-101 padding takes."""
    index = np.pad(np.arange(count), (before, size - count - before), mode="reflect")
    return torch.from_numpy(index).to(device)


@functools.cache
def _levels(normalisation: Normalisation, device: torch.device) -> tuple[torch.Tensor, ...]:
    """Return mean and standard deviation of levels 0 to 255, (1, 3, 1, 1) each."""
    return tuple(
        torch.tensor(values, device=device).view(1, 3, 1, 1) * 255
        for values in MEAN_AND_STD[normalisation]
    )


def normalise(images: torch.Tensor, normalisation: Normalisation = "imagenet") -> torch.Tensor:
    """Scale (N, 3, H, W) uint8 by a mean and a standard deviation, in channel order.

    Args:
        images: (N, 3, H, W) uint8.
        normalisation: `imagenet`, ImageNet's own; or `half`, 0.5 for both, so that inputs are -1 to
            1, as the weights of EfficientNet-Lite need them.
    """
    mean, std = _levels(normalisation, images.device)
    return (images.float() - mean) / std
