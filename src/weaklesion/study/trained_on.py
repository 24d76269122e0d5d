"""What a network was trained on: the object `data` of a run's `run.json`.

Uses only the standard library.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from weaklesion.errors import DataError
from weaklesion.support.limits import is_finite

UNKNOWN = "unknown"
OWN_PHANTOM = "Apache-2.0 (phantoms that WeakLesion makes)"
CHANNELS = ("rgb", "bgr", "grey")
MARKS = ("hull_ellipse", "recist", "drawn", "none")
PERCENTILES = ("p0", "p5", "p50", "p95", "p100")
Range = tuple[float, float]


@dataclass(frozen=True, kw_only=True)
class TrainedOn:
    """What a network was trained on.

    Attributes:
        dataset: its name in the study.
        source: label of the files' origin.
        licence: licence of the images and marks, in one line.
        modality: what made the images, such as `dermoscopy` or `CT`; or `unknown`.
        channels: order of the colours that the network was shown, `rgb` or `bgr`; or `grey`.
        window_hu: Hounsfield units that became levels 0 and 255; None where none or several did.
        levels: how levels were made, in words.
        marks: what marks are: axes of the ellipse of the lesion's hull (`hull_ellipse`), RECIST
            diameters that were measured on masks (`recist`), `drawn` by people, or `none`.
        image_px: height and width of the images that the network was trained with, or None.
        crop_px: shortest and longest side of what these show of their sources, px, or None.
        spacing_mm: smallest and largest mm per px of these images; None if unknown.
        long_px: percentiles 0, 5, 50, 95 and 100 of the marks' long diameters in these images, px.
        long_mm: the same in mm, over images whose spacing is known.

    Raises:
        ValueError: naming the value that is none of these.
    """

    dataset: str = UNKNOWN
    source: str = UNKNOWN
    licence: str
    modality: str
    channels: str
    window_hu: Range | None = None
    levels: str = UNKNOWN
    marks: str
    image_px: Range | None = None
    crop_px: Range | None = None
    spacing_mm: Range | None = None
    long_px: Mapping[str, float] | None = None
    long_mm: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        for name in ("dataset", "source", "licence", "modality", "levels"):
            value = getattr(self, name)
            if not isinstance(value, str) or not value.strip():
                raise ValueError(f"{name}: a text is needed, not {value!r}")
        if self.licence.splitlines() != [self.licence]:  # it becomes part of a line
            raise ValueError(f"licence: needs to be one line of text, not {self.licence!r}")
        for name, choices in (("channels", CHANNELS), ("marks", MARKS)):
            if getattr(self, name) not in choices:
                raise ValueError(f"{name}: {getattr(self, name)!r} is none of {', '.join(choices)}")
        for name in ("window_hu", "image_px", "crop_px", "spacing_mm"):
            pair = getattr(self, name)
            if pair is None:
                continue
            if (
                not isinstance(pair, list | tuple)
                or len(pair) != 2
                or not all(map(is_finite, pair))
            ):
                raise ValueError(f"{name}: two numbers are needed, not {pair!r}")
            if name != "image_px" and not (
                pair[0] < pair[1] if name == "window_hu" else pair[0] <= pair[1]
            ):
                raise ValueError(f"{name}: the lower number comes first, not {list(pair)}")
            if name == "spacing_mm" and pair[0] <= 0:
                raise ValueError(f"{name}: needs numbers above 0, not {list(pair)}")
            object.__setattr__(self, name, tuple(pair))
        for name in ("long_px", "long_mm"):
            sizes = getattr(self, name)
            if sizes is not None and not (
                isinstance(sizes, Mapping)
                and {"p0", "p100"} <= sizes.keys() <= set(PERCENTILES)
                and all(map(is_finite, sizes.values()))
            ):
                raise ValueError(f"{name}: percentiles {', '.join(PERCENTILES)} are needed")
            lengths = [] if sizes is None else [sizes[key] for key in PERCENTILES if key in sizes]
            if lengths != sorted(lengths) or min(lengths, default=0) < 0:
                raise ValueError(f"{name}: needs lengths in ascending order, not {lengths}")

    @property
    def is_grey(self) -> bool:
        """Whether the network was trained on grey images."""
        return self.channels == "grey"

    def named(self) -> str:
        """Return what the network was trained on, in words: `CT (grey levels)`."""
        kind = "grey levels" if self.is_grey else "colours"
        return f"{'images' if self.modality == UNKNOWN else self.modality} ({kind})"

    def as_json(self) -> dict[str, Any]:
        """Return the object `data` of `run.json`."""
        return {key: _plain(value) for key, value in asdict(self).items()}


def read_trained_on(run_json: str | Path) -> TrainedOn:
    """Return what the network of a run was trained on.

    Raises:
        DataError: if the file is damaged, or does not say it, as before the record was kept.
    """
    told = read_run(run_json)
    if told.get("data") is None:
        raise DataError(
            f"{run_json}: does not say what the network was trained on, because an earlier version"
            " made it, or a call from Python that left it out. Add it once: weaklesion describe-run"
            f" {Path(run_json).parent} --modality dermoscopy --channels rgb --marks drawn --licence"
            " 'CC BY-NC 4.0' (with your own values; --help lists them), or train again."
        )
    try:
        return TrainedOn(**told["data"])
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{run_json}: its object `data` is damaged ({error}). Copy the file again, or give its"
            " folder to weaklesion describe-run."
        ) from error


def read_run(run_json: str | Path) -> dict[str, Any]:
    """Return the content of a `run.json`.

    Raises:
        DataError: if it is not a JSON object.
    """
    try:
        told = json.loads(Path(run_json).read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{run_json}: is not JSON ({error}). Copy it again.") from error
    if not isinstance(told, dict):
        raise DataError(f"{run_json}: is not the description of a run. Copy it again.")
    return told


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
