"""One style for all figures, which reads in print and to the colour-blind."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from weaklesion.support.files import written_whole

logger = logging.getLogger(__name__)

MARKERS = "osD^vPX*"  # so that arms differ without their colour
# of contours, so that they do as well: lengths of dashes and gaps, in widths of the line
DASHES: tuple[Any, ...] = (
    "solid",
    (0, (4, 1.6)),
    (0, (1.2, 1.2)),
    (0, (5, 1.4, 1.2, 1.4)),
    (0, (9, 2.5)),
    (0, (5, 1.2, 1.2, 1.2, 1.2, 1.2)),
)

PALETTE = (  # seaborn's `colorblind`
    "#0173b2",
    "#de8f05",
    "#029e73",
    "#d55e00",
    "#cc78bc",
    "#ca9161",
    "#fbafe4",
    "#949494",
    "#ece133",
    "#56b4e9",
)
REFERENCE_COLOR = "white"
# of a legend that names a white contour: its own colour shows on it
DARK_LEGEND: dict[str, Any] = {
    "frameon": True,
    "facecolor": "0.2",
    "edgecolor": "0.2",
    "labelcolor": "white",
    "framealpha": 1.0,
}


def arm_colors(arms: Sequence[str]) -> dict[str, Any]:
    """Return one colour per arm; an arm has the same colour in every figure of a study.

    Args:
        arms: all arms of the configuration, in its order.
    """
    return {arm: PALETTE[index % len(PALETTE)] for index, arm in enumerate(arms)}


def distinct_colors(arms: Sequence[str], all_arms: Sequence[str]) -> dict[str, Any]:
    """Return colours that distinguish the arms of one figure.

    An arm among the configuration's first ten has the same colour in every figure; the others take
    the colours that these leave.

    Args:
        arms: arms of the figure; colours repeat if they are more than the palette has.
        all_arms: all arms of the configuration, in its order.
    """
    own = {arm: color for arm, color in zip(all_arms, PALETTE, strict=False) if arm in arms}
    left = [color for color in PALETTE if color not in own.values()] or PALETTE
    others = (arm for arm in arms if arm not in own)
    return own | {arm: left[place % len(left)] for place, arm in enumerate(others)}


def contour_looks(arms: Sequence[str], all_arms: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return colour and dashes of each arm's contour.

    Colours are those of `distinct_colors`; dashes follow the order of `arms`, so that neighbours
    differ in grey print and to the colour-blind as well.
    """
    colors = distinct_colors(arms, all_arms)
    return {
        arm: {"color": colors[arm], "linestyle": DASHES[place % len(DASHES)]}
        for place, arm in enumerate(arms)
    }


def line_through(num_points: int) -> str:
    """Return the line style of a sweep: none through two points, which are not a curve."""
    return "-" if num_points > 2 else "none"


@contextmanager
def style() -> Iterator[None]:
    """Apply the project's style; text stays text in SVG, and files do not carry the date."""
    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "weaklesion",
        "figure.dpi": 150,
        "font.size": 10.8,
        "axes.titlesize": "medium",
        "axes.labelsize": 10.8,
        "xtick.labelsize": 9.9,
        "ytick.labelsize": 9.9,
        "legend.fontsize": 9.9,
        "figure.titlesize": 11.9,
        "axes.edgecolor": "0.8",
        "axes.linewidth": 1.1,
        "text.parse_math": False,  # ids and titles may have a $
    }
    with plt.style.context(["seaborn-v0_8-whitegrid", settings]):
        yield


def save(figure: Figure, paths: Sequence[str | Path]) -> None:
    """Write a figure to every path, in the format of its suffix, with its title as metadata.

    Args:
        figure: the figure; it is closed.
        paths: files to write.
    """
    title = {"Title": figure.get_suptitle().replace("\n", ". ")}
    for path in paths:
        no_date = {"Date": None} if Path(path).suffix == ".svg" else {}
        with written_whole(path) as tmp:
            figure.savefig(tmp, bbox_inches="tight", metadata={**title, **no_date})
        logger.info("drew %s", path)
        figure.set_layout_engine("none")  # the next file has the same layout
    plt.close(figure)
