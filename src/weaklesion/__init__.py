"""Weakly supervised lesion segmentation from RECIST marks (Chu et al., MIDL 2021).

The library is this module and those beside it (`recist`, `ellipse`, `grabcut`, `pseudo_masks`,
`clusters`, `metrics`, `models`, `splits`, `download`): arrays in, arrays out. Each folder is a
stage of the pipeline: files in, files out.

    >>> import weaklesion as wl
    >>> ellipse = wl.ellipse_from_recist(wl.parse_recist("88,120,110,131,95,131,103,116"))
    >>> bool(wl.draw_ellipse(ellipse, (160, 160))[125, 99])
    True
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Where each public name lives. A module is imported when a name of it is first asked for, so that
# Snakemake's own interpreter, which has neither numpy nor torch, can import the package.
_HOME = {
    "DataError": "errors",
    "Ellipse": "ellipse",
    "MaskPair": "metrics.pair",
    "Measurement": "recist",
    "SegmentSettings": "segment.run",
    "build_model": "models",
    "draw_ellipse": "ellipse",
    "ellipse_features": "clusters",
    "ellipse_from_recist": "recist",
    "ellipse_iou": "ellipse",
    "extract": "download",
    "fetch": "download",
    "fit_clusters": "clusters",
    "fit_ellipse": "ellipse",
    "grabcut_mask": "grabcut",
    "grouped_split": "splits",
    "ham10k_released_split": "splits",
    "load_network": "prediction.network",
    "measure_recist": "recist",
    "num_parameters": "models",
    "parse_recist": "recist",
    "recist_from_ellipse": "recist",
}
_MODULES = ("metrics",)

__all__ = ["__version__", *_HOME, *_MODULES]


def __getattr__(name: str) -> Any:
    """Import a public name where it lives."""
    if name in _MODULES:
        return import_module(f"weaklesion.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'weaklesion' has no attribute {name!r}")
    return getattr(import_module(f"weaklesion.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
