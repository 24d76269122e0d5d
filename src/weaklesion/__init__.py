"""Weakly supervised lesion segmentation from RECIST marks (Chu et al., MIDL 2021).

The library is this module and the modules beside it (`recist`, `quadrants`, `diameters`,
`ellipse`, `four_ends`, `grabcut`, `pseudo_masks`, `clusters`, `splits`, `metrics`, `models`,
`download`): arrays in, arrays out. Each folder is a stage of the pipeline: files in, files out. All
public names: docs/reference/api.md.

    >>> import weaklesion as wl
    >>> ellipse = wl.ellipse_from_recist(wl.parse_recist("88,120,110,131,95,131,103,116"))
    >>> bool(wl.draw_ellipse(ellipse, (160, 160))[125, 99])
    True

The functions behind the command `weaklesion segment` are `segment_marks` and, for `--dicom`,
`segment_export`, because `weaklesion.segment` is the package in which they are defined.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from weaklesion import metrics as metrics
    from weaklesion.clusters import ellipse_features as ellipse_features
    from weaklesion.clusters import fit_clusters as fit_clusters
    from weaklesion.data.archives import extract as extract
    from weaklesion.diameters import recist_from_mask as recist_from_mask
    from weaklesion.dicom.importing import ImportSettings as ImportSettings
    from weaklesion.download import fetch as fetch
    from weaklesion.ellipse import Ellipse as Ellipse
    from weaklesion.ellipse import draw_ellipse as draw_ellipse
    from weaklesion.ellipse import ellipse_iou as ellipse_iou
    from weaklesion.ellipse import fit_ellipse as fit_ellipse
    from weaklesion.errors import DataError as DataError
    from weaklesion.four_ends import FourEnds as FourEnds
    from weaklesion.grabcut import grabcut_mask as grabcut_mask
    from weaklesion.marks.table import Mark as Mark
    from weaklesion.marks.table import read_marks as read_marks
    from weaklesion.metrics.pair import MaskPair as MaskPair
    from weaklesion.models import build_model as build_model
    from weaklesion.models import num_parameters as num_parameters
    from weaklesion.prediction.network import load_network as load_network
    from weaklesion.pseudo_masks import RefinedSettings as RefinedSettings
    from weaklesion.pseudo_masks import pseudo_mask as pseudo_mask
    from weaklesion.quadrants import quadrant_outline as quadrant_outline
    from weaklesion.quadrants import quadrant_shape as quadrant_shape
    from weaklesion.recist import Measurement as Measurement
    from weaklesion.recist import ellipse_from_recist as ellipse_from_recist
    from weaklesion.recist import measure_recist as measure_recist
    from weaklesion.recist import parse_recist as parse_recist
    from weaklesion.recist import recist_from_ellipse as recist_from_ellipse
    from weaklesion.segment.of_export import segment_export as segment_export
    from weaklesion.segment.run import segment_marks as segment_marks
    from weaklesion.segment.settings import SegmentSettings as SegmentSettings
    from weaklesion.splits import grouped_split as grouped_split
    from weaklesion.splits import ham10k_released_split as ham10k_released_split

__version__ = "0.1.0"

# Each public name and the module that defines it. A module is imported at the first use of one of
# its names, so that Snakemake's own interpreter, which has neither numpy nor torch, can import the
# package. The imports above are for type checkers and editors only.
HOME = {
    "DataError": "errors",
    "Ellipse": "ellipse",
    "FourEnds": "four_ends",
    "ImportSettings": "dicom.importing",
    "Mark": "marks.table",
    "MaskPair": "metrics.pair",
    "Measurement": "recist",
    "RefinedSettings": "pseudo_masks",
    "SegmentSettings": "segment.settings",
    "build_model": "models",
    "draw_ellipse": "ellipse",
    "ellipse_features": "clusters",
    "ellipse_from_recist": "recist",
    "ellipse_iou": "ellipse",
    "extract": "data.archives",
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
    "pseudo_mask": "pseudo_masks",
    "quadrant_outline": "quadrants",
    "quadrant_shape": "quadrants",
    "read_marks": "marks.table",
    "recist_from_ellipse": "recist",
    "recist_from_mask": "diameters",
    "segment_export": "segment.of_export",
    "segment_marks": "segment.run",
}
MODULES = ("metrics",)

__all__ = ["__version__", *HOME, *MODULES]


def __getattr__(name: str) -> Any:
    """Import a public name from the module that defines it."""
    if name in MODULES:
        return import_module(f"weaklesion.{name}")
    if name not in HOME:
        raise AttributeError(f"module 'weaklesion' has no attribute {name!r}")
    return getattr(import_module(f"weaklesion.{HOME[name]}"), name)


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)
