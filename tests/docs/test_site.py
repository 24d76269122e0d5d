"""`make docs` builds a site of every page, which needs nothing from elsewhere."""

import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest
from conftest import ROOT

pytestmark = pytest.mark.workflow

# What a browser loads by itself, by tag; links of `a` it follows on demand only.
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src"}
OTHERS = ["config/README", "results/README", "docs/how-to/release"]
OTHERS += ["CONTRIBUTING", "CHANGELOG", "SECURITY"]


def build(source, out):
    """Run the command of `make docs` on another folder, into another folder."""
    make = ["make", "--no-print-directory", "--dry-run", "--old-file", ".venv/.dev", "docs"]
    told = subprocess.run(make, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    words = shlex.split(told)
    assert (words[0], words[-1]) == (".venv/bin/sphinx-build", "site")
    words[words.index(".sphinx")] = str(out.with_name("trees"))
    command = [sys.executable, "-m", "sphinx", *words[1:-1], str(out)]
    return subprocess.run(command, cwd=source, capture_output=True, text=True, check=False)


class Page(HTMLParser):
    """Addresses that a page loads, and targets of its links."""

    def __init__(self, text):
        super().__init__()
        self.loads, self.links = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        address = dict(attrs).get(LOADED.get(tag, "href"))
        if address and tag in LOADED:
            self.loads.append(address)
        elif address and tag == "a":
            self.links.append(address)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    out = tmp_path_factory.mktemp("docs") / "site"
    done = build(ROOT, out)
    assert done.returncode == 0, done.stderr
    return out


def test_every_page_is_in_the_navigation_of_the_start_page(site):
    start = Page((site / "index.html").read_text())
    pages = [page.relative_to(ROOT) for page in sorted((ROOT / "docs").rglob("*.md"))]
    assert len(pages) > 20
    for page in pages:
        assert (site / page.with_suffix(".html")).is_file()
        assert str(page.with_suffix(".html")) in start.links
    assert (site / "README.html").read_text() == (site / "index.html").read_text()


def test_everything_that_pages_load_is_in_the_site(site):
    for path in site.rglob("*.html"):
        loads = Page(path.read_text()).loads
        assert len(loads) > 5
        for address in loads:
            name = re.sub(r"[?#].*", "", address)
            assert not name or (path.parent / name).is_file(), f"{path.name} loads {address}"
    for path in site.rglob("*.css"):
        assert not re.search(r"@import|url\(['\"]?(https?:)?//", path.read_text()), path.name
    assert {path.name for path in ROOT.glob("docs/*.png")} <= {
        path.name for path in site.glob("_images/*.png")
    }


@pytest.mark.parametrize("width", [1400, 390])
def test_no_page_is_wider_than_the_window(site, browser, width):
    page = browser.new_page(viewport={"width": width, "height": 900})
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for path in sorted(site.rglob("*.html")):
        page.goto(path.as_uri())
        seen = page.evaluate("document.documentElement.scrollWidth")
        assert seen <= width, path.name
    assert len(asked) > 30
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []


def small(folder, page):
    """A repository with one page of its own, beside the settings of this one."""
    for name in ("docs/conf.py", "docs/site.css", "src/weaklesion/__init__.py"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    texts = dict.fromkeys(OTHERS, "# Other\n")
    start = "# Start\n\n| To | Read |\n|---|---|\n| try | [it](docs/ARCHITECTURE.md) |\n"
    texts |= {"README": start, "docs/ARCHITECTURE": page}
    for name, text in texts.items():
        (folder / f"{name}.md").parent.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.md").write_text(text)
    return folder


def test_a_small_repository_is_built_as_it_stands(tmp_path):
    done = build(small(tmp_path / "here", "# Page\n\n[to](../README.md#start)\n"), tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert '<span class="caption-text">Try</span>' in (tmp_path / "out/index.html").read_text()


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("[gone](gone.md)", "gone.md"),
        ("[no heading](../README.md#gone)", "gone"),
        ("![gone](gone.png)", "gone.png"),
        ("## Headings\n\n#### skip a level", "Non-consecutive header"),
    ],
)
def test_a_mistake_in_a_page_fails_the_build(tmp_path, text, cause):
    done = build(small(tmp_path / "here", f"# Page\n\n{text}\n"), tmp_path / "out")
    assert done.returncode != 0
    assert "docs/ARCHITECTURE.md" in done.stderr
    assert cause in done.stderr


def test_a_page_that_the_navigation_lacks_fails_the_build(tmp_path):
    folder = small(tmp_path / "here", "# Page\n")
    (folder / "docs/how-to/run.md").write_text("# Forgotten\n")
    done = build(folder, tmp_path / "out")
    assert done.returncode != 0
    assert "docs/how-to/run.md: WARNING: document isn't included in any toctree" in done.stderr
