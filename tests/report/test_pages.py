"""What every page does in a browser."""

from base64 import b64encode

import pytest

from weaklesion.report.pages import render


def page_with(body):
    """Return an empty page with this body."""
    return render("base.html").replace("</h1>", f"</h1>{body}")


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 718, "height": 1000})  # as wide as A4
    yield page
    page.close()


def test_links_to_other_files_are_text_inside_the_report(page):
    links = ("#part", "https://example.org/", "data_sheet.html", "../figures/contours.png")
    body = "".join(f'<p><a href="{link}">{link}</a></p>' for link in links)
    encoded = b64encode(page_with(f'{body}<p id="part">Part</p>').encode()).decode()
    page.goto(f"data:text/html;charset=utf8;base64,{encoded}")
    shown = page.evaluate("[...document.querySelectorAll('a')].map((a) => a.getAttribute('href'))")
    assert shown == ["#part", "https://example.org/", None, None]
    assert all(link in page.inner_text("body") for link in links)
