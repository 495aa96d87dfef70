"""The page in a browser."""

import re

import pytest

from pipeline import artifacts
from pipeline.stages import report
from tests.report import synthetic
from tests.stages.test_report import PARAMS

RUNS = {
    "4 classes": {},
    "2 classes": {"classes": ("normal", "PNEUMONIA"), "folds": 1, "arms": ("none-logistic", "smote-logistic")},
    "13 classes": {"classes": synthetic.BLOOD, "folds": 1, "frozen": True},
    "5 labels": {"classes": ("Mass", "Nodule", "Hernia", "Edema", "Fibrosis"), "folds": 2, "several": True},
}


@pytest.fixture(scope="module")
def addresses(tmp_path_factory):
    """Where the page of each run lies."""
    found = {}
    for name, settings in RUNS.items():
        folder = tmp_path_factory.mktemp("run")
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(folder)
            synthetic.write(**settings)
            report.run(PARAMS)
        found[name] = (folder / artifacts.REPORT).as_uri()
    return found


@pytest.fixture(params=RUNS)
def address(request, addresses):
    return addresses[request.param]


def test_the_page_loads_without_an_error_and_asks_nobody_outside(show, address):
    tab, faults = show(address)
    tab.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    tab.wait_for_load_state("networkidle")
    assert faults == []
    broken = "[...document.images].filter(image => !image.complete || !image.naturalWidth).length"
    assert tab.evaluate(broken) == 0


@pytest.mark.parametrize("width", [400, 800])
def test_nothing_is_wider_than_a_small_screen(show, address, width):
    tab, _ = show(address, viewport={"width": width, "height": 800})
    tab.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    assert tab.evaluate("document.scrollingElement.scrollWidth") <= width


WIDER = """() => [...document.querySelectorAll("body *")].filter(
  element => !element.closest(".scroll, pre") && element.getBoundingClientRect().right > innerWidth + 1
).map(element => element.outerHTML.slice(0, 80))"""


def test_what_is_wide_scrolls_in_a_frame_of_its_own(show, address):
    tab, _ = show(address, viewport={"width": 400, "height": 800})
    assert tab.evaluate(WIDER) == []


def test_the_answers_stand_on_the_first_screen_of_a_desk(show, address):
    tab, _ = show(address, viewport={"width": 1280, "height": 1000})
    lowest = tab.evaluate("document.querySelector('.answers').getBoundingClientRect().bottom")
    assert lowest < 1000


def numbers(tab, table: str, column: int) -> list[float]:
    cells = tab.locator(f"{table} tbody tr > :nth-child({column})")
    return [float(value) for value in cells.evaluate_all("cells => cells.map(cell => cell.dataset.value)")]


def test_tables_sort_by_number_then_the_other_way_on_a_click(show, addresses):
    tab, faults = show(addresses["13 classes"])
    table = "#classes table.sortable"
    images = tab.locator(f"{table} th button", has_text="Images")
    before = numbers(tab, table, 2)
    assert before == [25, *range(60, 780, 60)]
    images.click()
    assert numbers(tab, table, 2) == sorted(before, reverse=True)
    assert tab.locator(f"{table} th[aria-sort]").get_attribute("aria-sort") == "descending"
    images.click()
    assert numbers(tab, table, 2) == before
    assert faults == []


def test_the_table_of_arms_sorts_by_every_heading_and_keeps_its_rows(show, addresses):
    tab, faults = show(addresses["4 classes"])
    heads = tab.locator("#arms table.sortable >> nth=0 >> th button")
    names = "[...document.querySelector('#arms table.sortable').tBodies[0].rows].map(row => row.cells[0].innerText)"
    first = tab.evaluate(names)
    orders = set()
    for number in range(heads.count()):
        heads.nth(number).click()
        shown = tab.evaluate(names)
        assert sorted(shown) == sorted(first)
        orders.add(tuple(shown))
    assert len(orders) > 1
    heads.first.click()
    alphabet = tab.evaluate(names)
    assert sorted(alphabet) in (alphabet, alphabet[::-1])
    assert faults == []


def test_the_page_reads_without_its_script(show, address):
    tab, _ = show(address, java_script_enabled=False)
    assert tab.locator("th button").count() == 0
    assert tab.locator("#arms table tbody tr").count() > 0
    tab.locator("#provenance summary").first.click()
    assert tab.locator("#provenance details[open]").count() == 1


CONTRAST = """() => {
  const parts = colour => colour.match(/[\\d.]+/g).map(Number);
  const over = (top, below) => {
    const alpha = top[3] ?? 1;
    return below.map((value, channel) => alpha * top[channel] + (1 - alpha) * value);
  };
  const light = rgb => rgb.map(value => value / 255)
    .map(value => value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4)
    .reduce((sum, value, channel) => sum + value * [0.2126, 0.7152, 0.0722][channel], 0);
  const ground = element => {
    const chain = [];
    for (let at = element; at; at = at.parentElement) chain.push(parts(getComputedStyle(at).backgroundColor));
    return chain.reverse().reduce((below, top) => over(top, below), [255, 255, 255]);
  };
  const faint = new Set();
  for (const element of document.querySelectorAll("p, td, th, li, dt, dd, figcaption, summary, a, .chip, small")) {
    if (!element.textContent.trim() || !element.getClientRects().length) continue;
    const below = ground(element), ink = over(parts(getComputedStyle(element).color), below);
    const [low, high] = [light(ink), light(below)].sort((a, b) => a - b);
    if ((high + 0.05) / (low + 0.05) < 4.5) faint.add(element.outerHTML.slice(0, 90));
  }
  return [...faint];
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(show, address, scheme):
    """At least 4.5 : 1, as WCAG 2.2 asks (1.4.3)."""
    tab, _ = show(address, color_scheme=scheme)
    tab.evaluate("document.querySelectorAll('details').forEach(details => { details.open = true; })")
    assert tab.evaluate(CONTRAST) == []
    ground = [
        int(value) for value in re.findall(r"\d+", tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    ]
    assert (sum(ground) / 3 < 60) == (scheme == "dark")


CUT = """() => [...document.querySelectorAll(".scroll, pre")].filter(
  element => getComputedStyle(element).overflowX !== "visible" && element.scrollWidth > element.clientWidth + 1
).length"""
WIDEST = """() => Math.max(...[...document.querySelectorAll("table, svg, img, pre")].filter(
  element => element.getClientRects().length).map(element => element.getBoundingClientRect().right))"""


def test_print_opens_what_is_folded_and_cuts_no_table(show, address):
    """A4 with margins of a centimetre is 718 px wide."""
    tab, _ = show(address, viewport={"width": 718, "height": 1000}, color_scheme="dark")
    folded = tab.locator("details:not([open])").count()
    assert folded > 0
    tab.emulate_media(media="print", color_scheme="dark")
    tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert tab.locator("details:not([open])").count() == 0
    assert tab.evaluate(CUT) == 0
    assert tab.evaluate(WIDEST) <= 718
    assert tab.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert tab.evaluate(CONTRAST) == []
    tab.evaluate("dispatchEvent(new Event('afterprint'))")
    assert tab.locator("details:not([open])").count() == folded
