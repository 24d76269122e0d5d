"""HTML pages from the templates of the package, in one style."""

import math
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2

from weaklesion.report.durations import DASH, duration
from weaklesion.study.labels import Labels, called, network_in_words
from weaklesion.support.files import written_whole

if TYPE_CHECKING:
    import pandas as pd  # `weaklesion segment` has pages, and no pandas


def render(template: str, labels: Labels | None = None, **values: Any) -> str:
    """Fill a template of `weaklesion/report/templates`; text is escaped.

    Every page may have a `mark_note`, which says how its marks were made.

    Args:
        template: file name of the template.
        labels: what the filters `dataset` and `arm` call their names, and the phantoms, which the
            page names; see `weaklesion.study.labels.labels_of`. Without it, names stay.
        values: the template's values.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("weaklesion.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals |= {"isnan": math.isnan, "interval": interval}
    environment.globals["shown_phantoms"] = phantoms_in_words(labels)
    environment.filters |= {"number": number, "duration": duration, "network": network_in_words}
    environment.filters |= {"told": told, "years": years, "p_value": p_value}
    for kind in ("dataset", "arm"):
        environment.filters[kind] = partial(called, labels, f"{kind}s")
    return environment.get_template(template).render(**{"mark_note": ""} | values)


def write_table(path: str | Path, table: "pd.DataFrame") -> None:
    """Write a table as CSV, six significant digits per number."""
    with written_whole(path) as tmp:
        table.to_csv(tmp, index=False, float_format="%.6g")


def write_page(
    path: str | Path, template: str, labels: Labels | None = None, **values: Any
) -> None:
    """Fill a template of `weaklesion/report/templates`, see `render`, and write the page."""
    with written_whole(path) as tmp:
        tmp.write_text(render(template, labels, **values), encoding="utf-8")


def phantoms_in_words(labels: Labels | None) -> dict[str, Any]:
    """Return labels of the datasets that the project draws, and whether these are all datasets."""
    labels = labels or {}
    names, phantoms = labels.get("datasets", {}), labels.get("phantoms", [])
    return {"labels": [names[name] for name in phantoms], "all": set(names) <= set(phantoms)}


def number(value: float | None, form: str = "%.2f") -> str:
    """Return a number as text; a dash where it is undefined. No page prints nan, or 4.3e+03.

    >>> number(-0.001), number(2.5, "%+.1f"), number(float("nan")) == DASH
    ('0.00', '+2.5', True)
    >>> number(4321.5, "%.3g"), number(0.0123, "%.2g")
    ('4322', '0.012')
    """
    if value is None or not math.isfinite(value):
        return DASH
    text = form % value
    if "e+" in text:
        text = ("%+.0f" if "+" in form else "%.0f") % value
    # -0.00 would present a value that rounds to zero as negative
    return text.replace("-", "+" if "+" in form else "") if float(form % value) == 0 else text


def p_value(value: float | None) -> str:
    """Return a p-value as text; none is ever 0, and none below 5 % is rounded to 5 %.

    >>> p_value(0.0123), p_value(0.0004), p_value(float("nan")) == DASH
    ('0.012', '< 0.001', True)
    >>> p_value(0.0498), p_value(0.0502)
    ('< 0.050', '0.050')
    """
    if value is not None and (value < 0.001 or 0.0495 <= value < 0.05):
        return "< 0.001" if value < 0.001 else "< 0.050"
    return number(value, "%.3f")


def interval(low: float, high: float, form: str = "%.2f", unknown: object = "") -> str:
    """Return an interval as text; without an interval, the reason in words.

    One that leaves out 0 has as many decimals as its ends need, up to six, to differ from 0.

    >>> interval(1, 2), interval(float("nan"), float("nan"), unknown="one seed")
    ('[1.00, 2.00]', 'no interval: one seed')
    >>> interval(-0.25, -0.004, "%+.2f"), interval(-0.25, 0.004, "%+.2f")
    ('[-0.250, -0.004]', '[-0.25, +0.00]')
    """
    if low == high:
        return "no interval: groups do not differ"
    if math.isfinite(low) and math.isfinite(high):
        if low * high > 0:
            form = _apart_from_0(min(abs(low), abs(high)), form)
        return f"[{number(low, form)}, {number(high, form)}]"
    return f"no interval: {unknown}" if isinstance(unknown, str) and unknown else "no interval"


def _apart_from_0(value: float, form: str) -> str:
    """Return a form such as `%+.2f` with as many decimals, up to six, as a value is not 0 with."""
    start, decimals = form.removesuffix("f").split(".")
    enough = (n for n in range(int(decimals), 6) if float(f"{value:.{n}f}"))
    return f"{start}.{next(enough, 6)}f"


def told(value: object) -> str:
    """Return a value of a JSON file for readers; a dash where there is none.

    >>> told([1, 2.5]), told({"low_mm": 1, "high": True}), told(None) == DASH
    ('1, 2.5', 'low mm 1; high yes', True)
    """
    if value is None or value == "" or value == [] or value == {}:
        return DASH
    if isinstance(value, Mapping):
        names = (str(key).replace("_", " ") for key in value)
        parts = zip(names, map(told, value.values()), strict=True)
        return "; ".join(f"{name} {part}" for name, part in parts)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(told(part) for part in value)
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def years(age: float) -> str:
    """Return an age for readers, empty where unknown.

    >>> years(55.0), years(float("nan"))
    ('55', '')
    """
    return "" if math.isnan(age) else f"{age:g}"


def devices_in_words(run_infos: Sequence[Mapping[str, Any]]) -> str:
    """Return the devices of training runs and how many CPU threads each training had.

    >>> devices_in_words([{"device": "cpu", "threads": 1}, {"device": "cpu", "threads": 1}])
    'a CPU (1 thread per training)'
    >>> devices_in_words([{"device": "H100", "threads": 4}])
    'H100 (4 threads per training)'
    """
    found = dict.fromkeys((info["device"], info["threads"]) for info in run_infos)
    words = [
        f"{'a CPU' if device == 'cpu' else device}"
        f" ({threads} thread{'' if threads == 1 else 's'} per training)"
        for device, threads in sorted(found)
    ]
    return "; ".join(words) or "no device"
