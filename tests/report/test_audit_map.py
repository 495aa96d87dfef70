"""The map of the audit's page in a browser."""

import csv
import json

import numpy as np
import pytest

from pipeline.report import audit_page
from tests.report import audits

PLANE = "document.getElementById('plane')"


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    return written(tmp_path_factory.mktemp("page"), audits.audited())


def written(folder, audited):
    path = folder / "audit.html"
    path.write_text(audit_page.render(audited), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def tab(show, address):
    opened, faults = show(address, viewport={"width": 1000, "height": 800})
    opened.locator("#plane").scroll_into_view_if_needed()
    settled(opened)
    yield opened
    assert faults == []


def settled(tab):
    """Waits until what was asked for is drawn."""
    tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")


def place(tab, number, made=False):
    """Where a point is on the screen."""
    box = tab.locator("#plane").bounding_box()
    x, y = tab.evaluate(f"{PLANE}.at({number}, {json.dumps(made)})")
    return box["x"] + 1 + x, box["y"] + 1 + y


def hover(tab, number, made=False):
    tab.mouse.move(*place(tab, number, made))
    settled(tab)
    return tab.locator("#tip")


def greys(tab, selector):
    """Of the middle of each thumbnail."""
    tab.wait_for_selector(f"{selector} canvas[data-drawn]")
    middle = "all => all.map(one => one.getContext('2d').getImageData(one.width / 2, one.height / 2, 1, 1).data[0])"
    return tab.locator(f"{selector} canvas").evaluate_all(middle)


def colour(tab, number):
    """Of the canvas, where a point is or was drawn."""
    settled(tab)
    at = f"{PLANE}.at({number}).map(value => Math.round(value * devicePixelRatio))"
    return tab.evaluate(f"[...{PLANE}.getContext('2d').getImageData(...{at}, 1, 1).data]")


def drawn(tab, number, made):
    """Whether there is anything around the place of a point."""
    settled(tab)
    at = f"{PLANE}.at({number}, {json.dumps(made)}).map(value => Math.round(value) - 6)"
    return (
        tab.evaluate(
            f"new Set(new Uint32Array({PLANE}.getContext('2d').getImageData(...{at}, 12, 12).data.buffer)).size"
        )
        > 1
    )


def select(tab, first, last):
    """Drags a box from before one point to behind another."""
    (left, top), (right, bottom) = place(tab, first), place(tab, last)
    tab.check("input[value=select]")
    tab.mouse.move(left - 12, top - 12)
    tab.mouse.down()
    tab.mouse.move(right, bottom)
    tab.mouse.move(right + 12, bottom + 12)
    tab.mouse.up()
    settled(tab)


def listed(tab):
    return tab.locator("#ids").inner_text().split("\n")


def test_the_page_loads_without_an_error_and_asks_nobody_outside(tab):
    tab.wait_for_load_state("networkidle")
    assert float(tab.locator("#plane").get_attribute("data-ms")) > 0


@pytest.mark.parametrize("number", [0, 17, 59])
def test_a_point_under_the_mouse_shows_the_picture_and_the_facts_of_its_image(tab, number):
    tip = hover(tab, number)
    assert abs(greys(tab, "#tip")[0] - audits.grey(number)) <= 3
    assert audits.IDS[number] in tip.inner_text()
    assert audits.CLASSES[number % 3] in tip.inner_text()
    assert f"role: {'train' if number < 40 else 'test'}" in tip.inner_text()
    assert ("selected arm" in tip.inner_text()) == (number >= 40)


def test_a_point_tells_which_checks_name_it(tab):
    assert "named by suspicious labels, twins across roles" in hover(tab, 7).inner_text()
    assert "named by" not in hover(tab, 8).inner_text()


def test_nothing_is_told_between_the_points(tab):
    hover(tab, 7)
    (x, y), (other, below) = place(tab, 7), place(tab, 18)
    tab.mouse.move((x + other) / 2, (y + below) / 2)
    settled(tab)
    assert tab.locator("#tip").is_hidden()


def test_a_box_lists_the_images_in_it_with_their_pictures(tab):
    select(tab, 11, 33)
    wanted = [11, 12, 13, 21, 22, 23, 31, 32, 33]
    assert listed(tab) == audits.IDS[wanted].tolist()
    assert np.abs(np.subtract(greys(tab, "#thumbs"), [audits.grey(number) for number in wanted])).max() <= 3
    assert tab.locator("#count").inner_text() == "9 images selected: A 3, B, or </script> 3, C 3"


def test_a_hidden_class_is_neither_drawn_nor_told_nor_selected(tab):
    ground = colour(tab, 12)
    tab.locator("#legend button", has_text="A 20").click()
    assert colour(tab, 12) != ground
    assert hover(tab, 12).is_hidden()
    select(tab, 11, 13)
    assert listed(tab) == audits.IDS[[11, 13]].tolist()
    tab.mouse.move(0, 0)
    tab.locator("#legend button", has_text="A 20").click()
    tab.locator("#clear").click()
    assert colour(tab, 12) == ground


def test_the_legend_counts_and_hides_all_at_once(tab):
    assert tab.locator("#legend button").all_inner_texts() == ["A 20", "B, or </script> 20", "C 20"]
    tab.locator("#all").click()
    assert tab.locator("#legend button[aria-pressed=true]").count() == 0
    tab.locator("#legend button", has_text="C 20").click()
    select(tab, 0, 59)
    assert listed(tab) == audits.IDS[2::3].tolist()
    tab.locator("#all").click()
    assert tab.locator("#legend button[aria-pressed=true]").count() == 3


MODES = {
    "class": ["A 20", "B, or </script> 20", "C 20"],
    "role": ["train 40", "test 20"],
    "check": ["twins across roles 2", "suspicious labels 1", "named by none 57"],
    "selected arm": ["right 15", "wrong 5", "not tested 40"],
    "predicted": ["A 15", "C 5", "not tested 40"],
    "manufacturer": ["Acme 30", "Bolt 30"],
}


def test_points_are_coloured_by_what_is_known_of_them(tab):
    assert tab.locator("select[name=colour] option").all_inner_texts() == list(MODES)
    for mode, entries in MODES.items():
        tab.select_option("select[name=colour]", label=mode)
        assert tab.locator("#legend button").all_inner_texts() == entries
    assert "wrong" in hover(tab, 44).inner_text()
    assert "manufacturer: Bolt" in hover(tab, 44).inner_text()


def test_the_selection_is_exported(tab):
    select(tab, 42, 44)
    with tab.expect_download() as download:
        tab.locator("#export").click()
    assert download.value.suggested_filename == "selection.csv"
    with open(download.value.path(), encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image_id"] for row in rows] == audits.IDS[42:45].tolist()
    assert [row["feature_row"] for row in rows] == ["142", "143", "144"]
    assert [row["class"] for row in rows] == ["A", "B, or </script>", "C"]
    assert [row["selected_arm"] for row in rows] == ["right", "right", "wrong"]


def test_what_a_check_names_is_exported_with_all_checks_that_name_it(tab):
    tab.locator("#check-twins_across_roles summary", has_text="2 images").click()
    tab.locator("#check-twins_across_roles button").click()
    assert listed(tab) == audits.IDS[[7, 9]].tolist()
    with tab.expect_download() as download:
        tab.locator("#export").click()
    text = download.value.path().read_text()
    assert [line.rpartition(",")[2] for line in text.splitlines()[1:]] == [
        "suspicious labels; twins across roles",
        "twins across roles",
    ]


def test_synthetic_rows_are_drawn_between_their_parents_and_say_what_they_are(tab):
    ground = colour(tab, 1)
    tab.select_option("select[name=synthetic]", label="smote (2 of 7)")
    (x, y), (other, below) = place(tab, 0), place(tab, 12)
    np.testing.assert_allclose(place(tab, 0, made=True), [x + (other - x) / 4, y + (below - y) / 4], atol=0.6)
    assert tab.locator("#legend button").all_inner_texts() == ["A 20 + 2", "B, or </script> 20", "C 20"]
    tip = hover(tab, 0, made=True)
    assert np.abs(np.subtract(greys(tab, "#tip"), [audits.grey(0), audits.grey(12)])).max() <= 3
    assert "smote row, A" in tip.inner_text()
    assert "25 % of the way" in tip.inner_text()
    assert colour(tab, 1) == ground
    assert tab.locator("#among").is_visible()


def test_synthetic_rows_go_with_their_class(tab):
    tab.select_option("select[name=synthetic]", "smote")
    assert drawn(tab, 1, made=True)
    assert hover(tab, 1, made=True).is_visible()
    tab.locator("#legend button", has_text="A 20").click()
    assert hover(tab, 1, made=True).is_hidden()
    assert not drawn(tab, 1, made=True)


def test_the_other_layout_puts_points_and_synthetic_rows_elsewhere(tab):
    tab.select_option("select[name=synthetic]", "smote")
    before = place(tab, 12), place(tab, 0, made=True)
    tab.select_option("select[name=layout]", "pca")
    assert (place(tab, 12), place(tab, 0, made=True)) != before
    assert abs(greys_of(tab, 12) - audits.grey(12)) <= 3


def greys_of(tab, number):
    hover(tab, number)
    return greys(tab, "#tip")[0]


def test_the_map_zooms_moves_and_comes_back(tab):
    whole = place(tab, 0), place(tab, 59)
    tab.locator("#nearer").click()
    (x, y), (other, _) = place(tab, 0), place(tab, 59)
    assert other - x == pytest.approx(1.5 * (whole[1][0] - whole[0][0]), rel=0.01)
    box = tab.locator("#plane").bounding_box()
    middle = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    tab.mouse.move(*middle)
    tab.mouse.down()
    tab.mouse.move(middle[0] + 40, middle[1] + 25)
    tab.mouse.up()
    np.testing.assert_allclose(place(tab, 0), [x + 40, y + 25], atol=1)
    tab.locator("#whole").click()
    assert (place(tab, 0), place(tab, 59)) == whole


def test_the_wheel_zooms_where_the_mouse_is_once_the_map_was_clicked(tab):
    x, y = place(tab, 33)
    tab.mouse.move(x, y)
    tab.mouse.wheel(0, 1)
    tab.mouse.wheel(0, -1)
    assert place(tab, 33) == pytest.approx(place(tab, 33))
    tab.locator("#plane").focus()
    x, y = place(tab, 33)
    tab.mouse.move(x, y)
    tab.mouse.wheel(0, -400)
    settled(tab)
    np.testing.assert_allclose(place(tab, 33), [x, y], atol=1)
    assert place(tab, 34)[0] - x > 1.5 * 50


def test_the_map_is_used_with_keys_alone(tab):
    tab.locator("#plane").focus()
    tab.keyboard.press("ArrowRight")
    first = tab.locator("#tip").inner_text()
    number = next(number for number in range(audits.COUNT) if audits.IDS[number] in first)
    tab.keyboard.press("ArrowRight")
    assert audits.IDS[number + 1] in tab.locator("#tip").inner_text()
    assert audits.IDS[number + 1] in tab.locator("#said").inner_text()
    tab.keyboard.press("Space")
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("Enter")
    assert listed(tab) == audits.IDS[[number + 1, number + 11]].tolist()
    tab.keyboard.press("Enter")
    assert listed(tab) == [audits.IDS[number + 1]]
    tab.keyboard.press("Escape")
    assert tab.locator("#tip").is_hidden()
    tab.keyboard.press("Escape")
    assert tab.locator("#chosen").is_hidden()


def test_a_finger_on_a_point_tells_of_it(show, address):
    tab, faults = show(address, viewport={"width": 400, "height": 800}, has_touch=True)
    tab.locator("#plane").scroll_into_view_if_needed()
    settled(tab)
    tab.touchscreen.tap(*place(tab, 30))
    assert audits.IDS[30] in tab.locator("#tip").inner_text()
    assert tab.evaluate("document.scrollingElement.scrollWidth") <= 400
    assert faults == []


def test_colours_follow_the_dark(show, address):
    tab, _ = show(address, color_scheme="light")
    light = colour(tab, 0)
    tab.emulate_media(color_scheme="dark")
    assert colour(tab, 0) != light


def test_a_page_that_is_passed_on_has_no_picture_and_no_id(show, tmp_path):
    page = written(tmp_path, audits.audited(gallery=False))
    assert "1.2.0" not in (tmp_path / "audit.html").read_text()
    assert "data:image" not in (tmp_path / "audit.html").read_text()
    tab, faults = show(page, viewport={"width": 1000, "height": 800})
    tab.locator("#plane").scroll_into_view_if_needed()
    settled(tab)
    assert "feature row 107" in hover(tab, 7).inner_text()
    select(tab, 11, 12)
    assert listed(tab) == ["111", "112"]
    with tab.expect_download() as download:
        tab.locator("#export").click()
    assert download.value.path().read_text().startswith("feature_row,class,")
    assert faults == []


def test_of_several_labels_each_can_be_the_colour(show, tmp_path):
    tab, faults = show(written(tmp_path, audits.audited(several=True)))
    assert tab.locator("#legend button").all_inner_texts() == ["A 20", "B, or </script> 20", "C 20"]
    tab.select_option("select[name=colour]", label="C")
    assert tab.locator("#legend button").all_inner_texts() == ["absent 40", "present 20"]
    assert faults == []
