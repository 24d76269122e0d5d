"""RECIST marks computed from dense masks, where no one has drawn any.

Two definitions, under which the same masks have marks: those whose hull has five vertices.

- `hull_ellipse`, the paper's: the axes of the ellipse fitted to the mask's convex hull (G22). It
  depends on the whole outline and is more than four points tell.
- `recist`: what a radiologist measures, the longest diameter within the mask and the longest one
  perpendicular to it (`weaklesion.diameters`).
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np

from weaklesion.diameters import recist_from_mask
from weaklesion.ellipse import Ellipse, fit_ellipse
from weaklesion.recist import recist_from_ellipse

MarkDefinition = Annotated[
    Literal["hull_ellipse", "recist"],
    "How a mark is simulated from a dense mask: the axes of the ellipse fitted to the mask's hull"
    " (`hull_ellipse`, as the paper does), or RECIST's own definition, the longest diameter within"
    " the mask and the longest one perpendicular to it (`recist`) (G22).",
]


@dataclass(frozen=True)
class SimulatedMark:
    """The mark of a mask, px of the mask.

    Attributes:
        ellipse: fitted to the mask's hull.
        ends: (4, 2) RECIST ends, or None where the axes of the ellipse are the mark.
    """

    ellipse: Ellipse
    ends: np.ndarray | None

    def points(
        self,
        from_hw: tuple[int, int],
        to_hw: tuple[int, int],
        origin_xy: tuple[int, int] = (0, 0),
    ) -> np.ndarray:
        """Return the mark on a part of the image, resized, aspect ratio kept or not.

        An ellipse is resized before its axes are taken, so that they are perpendicular in the
        result. Ends are points of the image: the diameters that they connect are perpendicular in
        the result only if the aspect ratio is kept.

        Args:
            from_hw: height and width of the part, px.
            to_hw: height and width of the result, px.
            origin_xy: x and y of the part's first pixel.

        Returns:
            (4, 2) long a, long b, short a, short b; each (x, y), px.
        """
        dx, dy = origin_xy
        if self.ends is None:
            return recist_from_ellipse(self.ellipse.moved(-dx, -dy).resized(from_hw, to_hw))
        scale = np.array([to_hw[1] / from_hw[1], to_hw[0] / from_hw[0]])
        return (self.ends - (dx, dy) + 0.5) * scale - 0.5


def simulate_mark(mask: np.ndarray, definition: MarkDefinition) -> SimulatedMark:
    """Return the mark of a mask.

    Args:
        mask: (H, W) bool.
        definition: see `MarkDefinition`.

    Raises:
        ValueError: if the mask's hull has fewer than five vertices, whatever the definition.
    """
    ellipse = fit_ellipse(mask)
    return SimulatedMark(ellipse, recist_from_mask(mask) if definition == "recist" else None)
