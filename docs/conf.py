"""Settings of Sphinx for `make docs`: the Markdown of this repository as a site.

Pages are read where they stand, from the repository's root. The README is the start page, and its
table "Where things are" is the navigation. A page that neither it nor OTHERS names is an error of
the strict build, as is a link to a page or heading that does not exist.
"""

import re
import shutil
from pathlib import Path

from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
OTHERS = [
    "config/README",
    "results/README",
    "CONTRIBUTING",
    "docs/how-to/release",
    "CHANGELOG",
    "SECURITY",
]

project = "WeakLesion"
source = (ROOT / "src/weaklesion/__init__.py").read_text()
version = re.findall(r'^__version__ = "(.+)"$', source, re.M)[0]
extensions = ["myst_parser"]
root_doc = "README"
include_patterns = ["README.md", "docs/**", *(f"{page}.md" for page in OTHERS)]
exclude_patterns = [".*", "results/[!R]*", "resources", "site", "src", "tests", "workflow"]
myst_heading_anchors = 6
highlight_language = "sh"

html_theme = "furo"
html_title = f"{project} {version}"
html_copy_source = False
html_show_copyright = False
html_static_path = ["site.css"]
html_css_files = ["site.css"]


def navigation(readme: str) -> str:
    """Return the hidden tables of contents that the README's table of pages stands for."""
    rows = re.findall(r"^\| ([^|]+) \| (.*\.md\).*) \|$", readme, re.M)
    parts = {need.capitalize(): re.findall(r"\(([^)]+)\.md\)", pages) for need, pages in rows}
    return "".join(
        "\n\n".join(["", "```{toctree}\n:hidden:\n:caption: " + need, "\n".join(pages), "```"])
        for need, pages in (parts | {"The project": OTHERS}).items()
    )


def add_navigation(_app: Sphinx, page: str, source: list[str]) -> None:
    """Append the navigation to the start page."""
    if page == root_doc:
        source[0] += navigation(source[0])


def name_start_page(app: Sphinx, failure: Exception | None) -> None:
    """Give the start page the name that a server looks for."""
    if failure is None:
        shutil.copyfile(app.outdir / f"{root_doc}.html", app.outdir / "index.html")


def setup(app: Sphinx) -> None:
    """Connect both."""
    app.connect("source-read", add_navigation)
    app.connect("build-finished", name_start_page)
