"""What every page does in a browser."""

from base64 import b64encode

import pytest

from weaklesion.report.pages import render

SORTED = "() => [...document.querySelector('tbody').rows].map((row) => row.cells[0].innerText)"


def page_with(body):
    """Return an empty page with this body."""
    return render("base.html").replace("</h1>", f"</h1>{body}")


def table_of(cells):
    rows = "".join(f"<tr><td>{cell}</td></tr>" for cell in cells)
    head = "<thead><tr><th>Head</th></tr></thead>"
    return f'<table class="sortable">{head}<tbody>{rows}</tbody></table>'


@pytest.fixture
def page(browser):
    page = browser.new_page(viewport={"width": 718, "height": 1000})  # as wide as A4
    yield page
    page.close()


@pytest.mark.parametrize(
    "in_order",
    [
        ["[-1.50, 2.00]", "[9.10, 12.00]", "[66.53, 77.37]", "[100.00, 100.10]"],  # intervals
        ["9", "939,689", "2,345,678", "23,456,789"],  # parameters
        ["< 0.001", "0.012", "0.200", "1.000"],
        ["8.20 ± 0.10", "10.00 ± 0.10"],
        ["2 px", "3e5ab1", "a1", "a2"],  # the digest is no number
    ],
)
def test_a_column_sorts_by_its_numbers(page, in_order):
    page.set_content(page_with(table_of(reversed(in_order))))
    for expected in (in_order, in_order[::-1]):
        page.locator("th").click()
        assert page.evaluate(SORTED) == expected


def test_a_column_sorts_without_a_mouse(page):
    page.set_content(page_with(table_of(["2", "1"])))
    page.keyboard.press("Tab")
    for key, expected in (("Enter", ["1", "2"]), (" ", ["2", "1"])):
        page.keyboard.press(key)
        assert page.evaluate(SORTED) == expected


def test_long_heads_do_not_push_numbers_off_the_screen(page):
    heads = "".join(f"<th>Dice of Given the four ends, on masks {index}, %</th>" for index in "123")
    body = "<tr><td>91.22</td><td>91.20</td><td>-0.02</td></tr>"
    table = f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>"
    page.set_content(page_with(f'<div class="scroll">{table}</div>'))
    assert (
        page.evaluate("(e => e.scrollWidth - e.clientWidth)(document.querySelector('.scroll'))")
        <= 0
    )


def test_no_column_is_cut_off_on_paper(page):
    cells = "".join(f"<td>number {index}</td>" for index in range(20))
    page.set_content(page_with(f'<div class="scroll"><table><tr>{cells}</tr></table></div>'))
    hidden = "getComputedStyle(document.querySelector('.scroll')).overflowX !== 'visible'"
    assert page.evaluate(hidden)
    page.emulate_media(media="print")
    assert not page.evaluate(hidden)


def test_links_to_other_files_are_text_inside_the_report(page):
    links = ("#part", "https://example.org/", "data_sheet.html", "../figures/contours.png")
    body = "".join(f'<p><a href="{link}">{link}</a></p>' for link in links)
    encoded = b64encode(page_with(f'{body}<p id="part">Part</p>').encode()).decode()
    page.goto(f"data:text/html;charset=utf8;base64,{encoded}")
    shown = page.evaluate("[...document.querySelectorAll('a')].map((a) => a.getAttribute('href'))")
    assert shown == ["#part", "https://example.org/", None, None]
    assert all(link in page.inner_text("body") for link in links)
