"""Forest plots: differences from a baseline in Dice, each with its interval."""

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any
from unicodedata import east_asian_width

import pandas as pd

from weaklesion.report.pages import interval, number, render

METRIC = "dice"  # of the differences that are drawn
PLOT, RIGHT, ROW, HEAD = 268.0, 20.0, 22.0, 28.0  # px
NAMES, PER_LETTER, PER_CAPITAL = 292.0, 7.2, 12.5  # px; capitals as wide as W, and letters as CJK
BOLD = 1.1  # width of a heading's letters, times that of others
FARTHEST = 4.0  # times the median line's reach; what is farther out is drawn as an arrow


def score_lines(
    table: pd.DataFrame, arms: Mapping[str, str] | None = None
) -> Iterator[dict[str, Any]]:
    """Yield a line per arm of a table of scores that is compared with a baseline in Dice.

    Args:
        table: table of `weaklesion.report.tables.scores.tabulate_scores`.
        arms: what arms are called; by default their names.

    Yields:
        dataset, protocol, baseline: the comparison's place, and what its baseline is called.
        name: the arm.
        about: the comparison in words.
        low, middle, high: the difference and its interval in points, nan where it is unknown.
        unknown: why there is no interval.
        claimed: the papers' difference, if they print both means and these are comparable.
    """
    arms = arms or {}
    of_metric = table[table["metric"] == METRIC]
    for (dataset, protocol), block in of_metric.groupby(["dataset", "protocol"], sort=False):
        comparable = block[block["difference"].notna()]
        published = comparable.set_index("arm")["published_mean"]
        for row in block[block["gain"].notna()].to_dict("records"):
            arm, baseline = (arms.get(row[key], row[key]) for key in ("arm", "baseline"))
            claimed = published.get(row["arm"], math.nan) - published.get(row["baseline"], math.nan)
            yield {
                "dataset": dataset,
                "protocol": protocol,
                "baseline": baseline,
                "name": arm,
                "about": f"{arm} against {baseline}, {dataset}, protocol {protocol}",
                "low": row["gain_ci_low"],
                "middle": row["gain"],
                "high": row["gain_ci_high"],
                "unknown": row.get("gain_unknown", ""),
                "p_holm": row["p_holm"],
                "claimed": [] if math.isnan(claimed) else [claimed],
            }


def with_headings(lines: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the lines, with a heading before those of each dataset, protocol and baseline."""
    found: list[dict[str, Any]] = []
    last = None
    for line in lines:
        place = line["dataset"], line["protocol"], line["baseline"]
        if place != last:
            found.append({"heading": f"{place[0]}, {place[1]}: against {place[2]}"})
        found.append(dict(line))
        last = place
    return found


def forest_svg(table: pd.DataFrame, what: str) -> str:
    """Return the forest plot of a table of scores as the text of an SVG file.

    Args:
        table: table of `weaklesion.report.tables.scores.tabulate_scores`.
        what: what is drawn, in words.
    """
    lines = with_headings(list(score_lines(table)))
    drawing = forest(lines, numbers=True)
    return render("forest_file.html", drawing=drawing, lines=lines, what=what)


def forest(lines: Sequence[Mapping[str, Any]], *, numbers: bool = False) -> dict[str, Any]:
    """Return the drawing of lines: size, ticks, and each line's places in px.

    Zero is always inside. An interval that is not known is not drawn.

    Args:
        lines: each a difference as of `score_lines`, or a `heading`.
        numbers: whether each line's numbers stand right of it. Where they do, what is much farther
            out than the other lines is drawn as an arrow at the end of the axis: a difference, the
            ends of its interval, and what is claimed.
    """
    drawn = [line for line in lines if "heading" not in line]
    reaches = [_ends(line) for line in drawn]
    ends = [0.0, *(end for reach in reaches for end in reach)]
    low, high = min(ends), max(ends)
    farthest_ends = [max(map(abs, reach)) for reach in reaches if any(reach)]
    if numbers and farthest_ends:
        farthest = FARTHEST * statistics.median(farthest_ends)
        low, high = max(low, -farthest), min(high, farthest)
    step = _tick_step((high - low) or 1.0)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    high = high if high > low else low + step
    names = [_width(line["name"]) + 24 for line in drawn]
    left = max([120.0 if numbers else NAMES, *names])

    def x(value: float) -> float:
        return round(left + (min(max(value, low), high) - low) / (high - low) * PLOT, 1)

    def beyond(values: Sequence[float]) -> list[tuple[float, int]]:
        """Return the end of the axis, and the direction, of each value that is outside of it."""
        sides = ((value, int(value > high) - int(value < low)) for value in values)
        return [(x(value), side) for value, side in sides if side]

    def places(line: Mapping[str, Any]) -> dict[str, Any]:
        reach = [line["low"], line["high"]]
        return {
            "low": x(line["low"]) if math.isfinite(line["low"]) else None,
            "middle": x(line["middle"]),
            "high": x(line["high"]) if math.isfinite(line["high"]) else None,
            "claimed": [x(value) for value in line["claimed"] if low <= value <= high],
            "claimed_beyond": beyond(line["claimed"]),
            "beyond": beyond([value for value in reach if math.isfinite(value)]),
            "figures": _figures(line) if numbers else "",
            "outside": -1 if line["middle"] < low else int(line["middle"] > high),
        }

    count = round((high - low) / step)
    beside = max([0, *(len(_figures(line)) for line in drawn)]) if numbers else 0
    headings = [BOLD * _width(line["heading"]) + 8 for line in lines if "heading" in line]
    return {
        "width": max([left + PLOT + RIGHT + PER_LETTER * beside, *headings]),
        "height": HEAD + ROW * len(lines) + 6,
        "left": left,
        "right": left + PLOT,
        "zero": x(0.0),
        "top": HEAD - 6,
        "ticks": [{"x": x(low + i * step), "value": low + i * step} for i in range(count + 1)],
        "rows": [
            {"y": HEAD + ROW * (index + 0.5)} | ({} if "heading" in line else places(line))
            for index, line in enumerate(lines)
        ],
    }


def _width(text: str) -> float:
    """Return about the width of a text, px, rather too much than too little."""
    wide = sum(letter.isupper() or east_asian_width(letter) in "FW" for letter in text)
    return PER_LETTER * (len(text) - wide) + PER_CAPITAL * wide


def _figures(line: Mapping[str, Any]) -> str:
    form = "%+.2f"
    found = interval(line["low"], line["high"], form, line["unknown"])
    return f"{number(line['middle'], form)} {found}"


def _ends(line: Mapping[str, Any]) -> list[float]:
    ends = [line["middle"], *line["claimed"]]
    return ends + [value for value in (line["low"], line["high"]) if math.isfinite(value)]


def _tick_step(span: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten with at most six steps in a span."""
    power = 10.0 ** math.floor(math.log10(span / 6))
    return next(power * factor for factor in (1, 2, 5, 10) if span / (power * factor) <= 6)
