"""HTML pages from the templates of the package, in one style."""

import math
from typing import Any

import jinja2


def render(template: str, **values: Any) -> str:
    """Fill a template of `weaklesion/templates`; text is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("weaklesion", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.globals["isnan"] = math.isnan
    return environment.get_template(template).render(**values)
