"""How marks are segmented."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from typing import Any

import numpy as np

from weaklesion.errors import DataError
from weaklesion.marks.columns import KNOWN
from weaklesion.support.limits import is_finite

UNITS = ("px", "mm")
CHOICES = ("consistent", "as_given", "volume")
MOST_THREADS = 4096  # OpenMP ends the whole process if it cannot start as many as it is told to


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
        DataError: if a value is not of its field's type (numbers and arrays of NumPy are), the gate
            is not within 0 and 1, the window is not two finite numbers of which the first is lower,
            a column has an unknown name or no own one, the threads are not within 1 and 4096, or
            the units or the number of the first slice are none of those above.
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
        """Check the values, and make them of one type, because results are kept by their `repr`."""
        values = {
            "gate": _gate(self.gate),
            "window_hu": _window(self.window_hu),
            "units": _units(self.units),
            "columns": _columns(self.columns),
            "first_slice": _whole("first slice", self.first_slice, 0, 1),
            "threads": _whole("threads", self.threads, 1, MOST_THREADS),
        }
        values |= {name: _choice(name, getattr(self, name)) for name in CHOICES}
        for name, value in values.items():
            object.__setattr__(self, name, value)


def _gate(given: Any) -> float:
    if not (is_finite(given, (Real,)) and 0 <= given <= 1):
        raise DataError(f"gate: needs a number from 0 to 1, not {given!r}.")
    return float(given)


def _window(given: Any) -> tuple[float, float] | None:
    if given is None:
        return None
    try:
        low, high = given
    except (TypeError, ValueError):
        low = high = None
    if not (is_finite(low, (Real,)) and is_finite(high, (Real,)) and low < high):
        raise DataError(f"window: needs two finite numbers, the lower first, not {given!r}.")
    return float(low), float(high)


def _units(given: object) -> str:
    if not isinstance(given, str) or given not in UNITS:
        raise DataError(f"units: needs px or mm, not {given!r}.")
    return str(given)


def _columns(given: object) -> dict[str, str]:
    if not isinstance(given, Mapping):
        raise DataError(f"columns: needs a mapping, {{}} for no own names, not {given!r}.")
    for name, own in given.items():
        if name not in KNOWN:
            raise DataError(f"columns: {name!r} is none of {', '.join(KNOWN)}.")
        if not isinstance(own, str) or not own:
            raise DataError(f"columns: {name} needs the table's own name, a text, not {own!r}.")
    return {str(name): str(own) for name, own in given.items()}


def _whole(name: str, given: Any, least: int, most: int) -> int:
    is_whole = isinstance(given, Integral) and not isinstance(given, bool)
    if not is_whole or not least <= given <= most:
        raise DataError(f"{name}: needs a whole number from {least} to {most}, not {given!r}.")
    return int(given)


def _choice(name: str, given: object) -> bool:
    if not isinstance(given, bool | np.bool_):
        raise DataError(f"{name}: needs True or False, not {given!r}.")
    return bool(given)
