"""The label, definition and unit of each metric.

Nothing is computed here, so a change of wording does not score any run again.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

from weaklesion.metric_names import IN_MM


@dataclass(frozen=True)
class Measure:
    """A metric as tables name it.

    Attributes:
        label: its name for readers.
        text: its definition in one line.
        unit: `%` (a fraction in files), `px` or `mm`.
    """

    label: str
    text: str
    unit: Literal["%", "px", "mm"]

    @property
    def larger_is_better(self) -> bool:
        """Whether the metric is an overlap, from 0 to 1, rather than a distance."""
        return self.unit == "%"

    @property
    def within(self) -> tuple[float, float]:
        """Smallest and largest possible value, as in files."""
        return (0.0, 1.0) if self.unit == "%" else (0.0, math.inf)

    @property
    def scale(self) -> float:
        """Factor from values in files to values in tables: fractions become percent."""
        return 100.0 if self.unit == "%" else 1.0


DIAMETER = "of the prediction, against the mark; both perpendicular, between pixel centres"
# The paper's metrics come first. All are computed in px; `IN_MM` also in mm, if known.
MEASURES = {
    "iou": Measure(
        "IoU",
        "|R∩P| / |R∪P|",
        "%",
    ),
    "dice": Measure(
        "Dice",
        "2 |R∩P| / (|R| + |P|)",
        "%",
    ),
    "volumetric_similarity": Measure(
        "VS",
        "1 − |FN − FP| / (2 TP + FP + FN)",
        "%",
    ),
    "center_error": Measure(
        "Centre error",
        "distance of the bounding boxes' centres",
        "px",
    ),
    "perimeter_error": Measure(
        "Perimeter error", "difference of the numbers of border pixels", "px"
    ),
    "perimeter_error_canny_half": Measure(
        "½ Canny difference", "half the difference of Canny pixels, as released (M2)", "px"
    ),
    "hausdorff": Measure(
        "Hausdorff",
        "maximum, both ways, of the 4-connected borders; what the released code prints as AVD (M1)",
        "px",
    ),
    "average_hausdorff": Measure(
        "Average Hausdorff",
        "larger of the two directed means over all foreground pixels; the paper's formula for AVD",
        "px",
    ),
    "precision": Measure(
        "Precision",
        "|R∩P| / |P|",
        "%",
    ),
    "recall": Measure(
        "Recall",
        "|R∩P| / |R|",
        "%",
    ),
    "surface_dice": Measure(
        "Surface Dice",
        "part of both borders within 2 px of the other",
        "%",
    ),
    "centroid_error": Measure(
        "Centroid error",
        "distance of the centres of mass",
        "px",
    ),
    "perimeter_error_contour": Measure(
        "Contour error", "difference of the lengths of the contours between pixels", "px"
    ),
    "hausdorff_95": Measure(
        "HD95", "95th percentile of the border distances of both directions together", "px"
    ),
    "average_hausdorff_mean": Measure(
        "Average Hausdorff, mean",
        "mean of the two directed means over all foreground pixels; EvaluateSegmentation's AVD",
        "px",
    ),
    "average_hausdorff_border": Measure(
        "Average border distance, max", "larger of the two directed means over border pixels", "px"
    ),
    "average_hausdorff_border_mean": Measure(
        "Average border distance, mean", "mean of the two directed means over border pixels", "px"
    ),
    "average_surface_distance": Measure(
        "ASSD", "mean distance of the border pixels of both masks, each counted once", "px"
    ),
    "long_diameter_error": Measure(
        "Long diameter error",
        f"long RECIST diameter {DIAMETER}",
        "px",
    ),
    "short_diameter_error": Measure(
        "Short diameter error", f"short RECIST diameter {DIAMETER}", "px"
    ),
}


def measure_of(name: str) -> Measure:
    """Return the measure of a name in `scores.csv`; names that end in `_mm` are in mm.

    Raises:
        KeyError: if no such metric exists.

    >>> measure_of("hausdorff_mm").unit
    'mm'
    """
    if name.endswith("_mm") and name[:-3] in IN_MM:
        return replace(MEASURES[name[:-3]], unit="mm")
    return MEASURES[name]
