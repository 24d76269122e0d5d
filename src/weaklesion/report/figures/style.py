"""One style for all figures, which reads in print and to the colour-blind."""

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import seaborn as sns
from matplotlib.figure import Figure

from weaklesion.support.files import written_whole

logger = logging.getLogger(__name__)

MARKERS = "osD^vPX*"  # so that arms differ without their colour

PALETTE = sns.color_palette("colorblind")
REFERENCE_COLOR = "white"


def arm_colors(arms: Sequence[str]) -> dict[str, Any]:
    """Return one colour per arm; an arm has the same colour in every figure of a study.

    Args:
        arms: all arms of the configuration, in its order.
    """
    return {arm: PALETTE[index % len(PALETTE)] for index, arm in enumerate(arms)}


def distinct_colors(arms: Sequence[str], all_arms: Sequence[str]) -> dict[str, Any]:
    """Return colours that distinguish the arms of one figure.

    The colours are those of the other figures if these give each of the arms a colour that no other
    arm has; otherwise the palette's first colours.

    Args:
        arms: arms of the figure, at most as many as the palette has colours.
        all_arms: all arms of the configuration, in its order.
    """
    has_own = set(arms) <= set(all_arms[: len(PALETTE)])
    return arm_colors(all_arms if has_own else arms)


@contextmanager
def style() -> Iterator[None]:
    """Apply the project's style; text stays text in SVG, and files do not carry the date."""
    settings: Any = {
        "svg.fonttype": "none",
        "svg.hashsalt": "weaklesion",
        "figure.dpi": 150,
        "axes.titlesize": "medium",
    }
    with (
        sns.axes_style("whitegrid"),
        sns.plotting_context("notebook", font_scale=0.9),
        plt.rc_context(settings),
    ):
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
    plt.close(figure)
