"""How marks are segmented."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real

import numpy as np

from weaklesion.errors import DataError
from weaklesion.marks.columns import KNOWN

UNITS = ("px", "mm")


@dataclass(frozen=True, kw_only=True)
class SegmentSettings:
    """How marks are segmented; the defaults are those of the command line.

    `units`, `columns` and `first_slice` describe the table that `segment_marks` reads.
    `segment_export` accepts only their defaults, because `ImportSettings` describes its table.

    Attributes:
        gate: least agreement of mask and mark; below it the mark's shape is returned
            (`weaklesion.prediction.gate`).
        consistent: whether each mask is moved so that its shape is the mark's.
        window_hu: Hounsfield units that become 0 and 255, for NIfTI and 16-bit PNG; None for those
            of the network's training.
        units: of the table's coordinates: `px`, or `mm` from the centre of the first pixel along
            its row (x) and its column (y), which each image's spacing turns into px.
        columns: the table's own names of columns, by the names of `weaklesion.marks.table`.
        first_slice: number that the table gives to the first slice of a volume, 0 or 1.
        as_given: whether the table is used as it is, even if the marks fit their images clearly
            better when it is read otherwise (`weaklesion.segment.readings`).
        threads: CPU threads.
        volume: whether the lesion of each mark on a volume is segmented in three dimensions too.

    Raises:
        DataError: if the gate is not within 0 and 1, the window is not two finite numbers of which
            the first is lower, a column has an unknown name or no own one, the threads are no whole
            number of at least 1, or the units or the number of the first slice are none of those
            above.
    """

    gate: float = 0.8
    consistent: bool = False
    window_hu: tuple[float, float] | None = None
    units: str = "px"
    columns: Mapping[str, str] = field(default_factory=dict)
    first_slice: int = 0
    as_given: bool = False
    threads: int = 2
    volume: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.gate, Real) or not 0 <= self.gate <= 1:
            raise DataError(f"gate: needs a number from 0 to 1, not {self.gate!r}.")
        window = self.window_hu
        if window is not None and not (
            np.shape(window) == (2,)
            and all(isinstance(value, Real) and math.isfinite(value) for value in window)
            and window[0] < window[1]
        ):
            raise DataError(f"window: needs two finite numbers, the lower first, not {window!r}.")
        if not isinstance(self.threads, Integral) or self.threads < 1:
            raise DataError(f"threads: needs a whole number of at least 1, not {self.threads!r}.")
        for name, own in self.columns.items():
            if name not in KNOWN:
                raise DataError(f"columns: {name!r} is none of {', '.join(KNOWN)}.")
            if not own:
                raise DataError(f"columns: {name} needs the table's own name, not {own!r}.")
        if self.units not in UNITS:
            raise DataError(f"units: needs px or mm, not {self.units!r}.")
        if self.first_slice not in (0, 1):
            raise DataError(f"first slice: needs 0 or 1, not {self.first_slice}.")
