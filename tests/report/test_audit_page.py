"""The audit's page as text: verdicts, figures, strips, and what the map is given."""

import base64
import dataclasses
import io
import json
import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline import artifacts
from pipeline.report import audit_page
from pipeline.report.auditing import figures, plane, sprites, strips, verdicts
from tests.report import audits


@pytest.fixture(scope="module")
def page():
    return audit_page.render(audits.audited())


def data(audited):
    """What the script of the map is given."""
    (text,) = re.findall(r'id="map-data">(.*?)</script>', audit_page.render(audited), re.S)
    return json.loads(text)


def test_the_worst_verdict_leads_and_the_worst_question_comes_first(page):
    assert "Results from these features are invalid." in page
    assert re.findall(r'class="check" id="check-(\w+)"', page) == [
        "twins_across_roles",
        "suspicious_labels",
        "finite",
        "shift",
    ]
    assert page.index("Does anything of validation and test stand in training?") < page.index("Are the labels right?")


@pytest.mark.parametrize(
    ("verdicts_given", "lead"),
    [(["ok"], "The features can be trusted."), (["look", "ok"], "Look before you trust the features.")],
)
def test_the_lead_says_what_the_worst_check_means(verdicts_given, lead):
    checks = dict(zip(("finite", "shift"), verdicts_given, strict=False))
    checks = {name: {**audits.checks()[name], "verdict": verdict} for name, verdict in checks.items()}
    made = dataclasses.replace(audits.audited(), checks=checks, tables={}, arrays={})
    assert lead in audit_page.render(made)


def test_a_threshold_is_named_with_its_param_where_it_has_one(page):
    limits = dict(re.findall(r'id="check-(\w+)".*?<p class="limit">(.*?)</p>', page, re.S))
    assert "0.0321" in limits["suspicious_labels"]
    assert "0.02 <code>audit.suspicious_labels</code>" in limits["suspicious_labels"]
    assert "<code>" not in limits["finite"]


def test_ids_stand_behind_a_fold_and_no_more_than_the_json_has(page):
    folded = re.search(
        r'id="check-suspicious_labels".*?<details><summary>2 images</summary>.*?<pre>(.*?)</pre>', page, re.S
    )
    assert folded is not None
    assert folded[1].split() == audits.IDS[[3, 7]].tolist()
    checks = audits.checks()
    checks["suspicious_labels"]["row_count"] = 1234
    assert "The first 2 of 1,234." in audit_page.render(dataclasses.replace(audits.audited(), checks=checks))


def test_a_page_without_a_map_has_no_script_and_no_link_to_it():
    made = dataclasses.replace(audits.audited(), arrays={}, pictures=None)
    text = audit_page.render(made)
    assert "<script" not in text
    assert "#map" not in text
    assert "data-check" not in text


def test_nothing_on_the_page_comes_from_outside(page):
    assert not re.search(r"https?:(?!//www\.w3\.org)|url\(|@import", page)
    assert set(re.findall(r'src="(.{16})', page)) == {"data:image/webp;"}
    assert "prefers-color-scheme: dark" in page


def test_a_name_of_a_class_can_not_end_the_script(page):
    assert page.count("</script>") == 2
    assert data(audits.audited())["modes"][0]["entries"][1]["name"] == "B, or </script>"


def test_pairs_stand_side_by_side_with_what_is_of_each_and_of_both(page):
    pair = re.search(r'id="look-twins_across_roles">.*?<figure>(.*?)</figure>', page, re.S)
    assert pair is not None
    assert re.findall(r"<small>(.*?)</small>\s*<code>(.*?)</code>", pair[1]) == [
        ("train", audits.IDS[7]),
        ("test", audits.IDS[9]),
    ]
    assert pair[1].count("data:image/webp") == 2
    assert re.search(r"<figcaption>\s*kind equal; difference 0\s*</figcaption>", pair[1])


def test_a_suspicious_label_stands_before_what_is_suggested(page):
    strip = page.partition('id="look-suspicious_labels"')[2]
    assert re.search(r"<b>A</b> → <b class=\"look\">C</b><br>\s*confidence 0.98; role train", strip)


def test_strips_are_short_and_name_the_table_with_the_rest():
    many = pd.DataFrame({"image_id": audits.IDS, "suggested": "A", "label": "C"})
    made = dataclasses.replace(audits.audited(), tables={"suspicious_labels": many})
    (strip,) = strips.of(made)["strips"]
    assert len(strip["cases"]) == strips.MOST
    assert "The first 36 of 60; all of them are in audit/suspicious_labels.csv." in audit_page.render(made)


def test_every_column_of_image_ids_is_shown_and_the_worst_check_first():
    parents = {
        "image_id": audits.IDS[:2],
        "other_parent": audits.IDS[2:4],
        "nearest": audits.IDS[4:6],
        "nearest_class": ["A", ""],
    }
    made = dataclasses.replace(audits.audited(), tables={"shift": pd.DataFrame(parents), **audits.tables()})
    found = strips.of(made)["strips"]
    assert [(strip["name"], strip["first"]) for strip in found] == [
        ("twins_across_roles", True),
        ("suspicious_labels", True),
        ("shift", False),
    ]
    images = found[2]["cases"][0]["images"]
    assert [image["facts"] for image in images] == [[], ["other parent"], ["nearest", "A"]]
    assert [image["id"] for image in images] == audits.IDS[[0, 2, 4]].tolist()
    assert all(image["source"].startswith("data:image/webp") for image in images)


def test_a_page_that_is_passed_on_has_no_strip():
    assert strips.of(audits.audited(gallery=False))["strips"] == []


def test_a_sample_is_called_one():
    made = audits.audited()
    assert "are shown: a sample" not in audit_page.render(made)
    larger = dataclasses.replace(made, arrays={**made.arrays, "total": np.array(70_000)})
    assert "<b>60 of 70,000 images</b> are shown: a sample" in audit_page.render(larger)


def test_thumbnails_are_those_of_their_rows_whatever_the_order_of_the_store():
    made = audits.audited(repeats=5)
    assert made.pictures is not None
    places = made.places.reindex(made.arrays["image_id"]).to_numpy(int)
    found = sprites.sheets(made.pictures, places)
    assert (found["side"], found["columns"], len(found["sheets"])) == (audits.SIDE, 16, 2)
    for number in (0, 17, 255, 256, 299):
        sheet = Image.open(io.BytesIO(base64.b64decode(found["sheets"][number // 256].partition(",")[2])))
        column, row = number % 16, number % 256 // 16
        middle = np.asarray(sheet)[row * audits.SIDE + 12, column * audits.SIDE + 12, 0]
        assert abs(int(middle) - audits.grey(number % audits.COUNT)) <= 3


def test_large_and_deep_pictures_become_small_grey_ones():
    picture = np.full((200, 100), 0x80FF, np.uint16)
    small = sprites.thumbnail(picture, 64)
    assert (small.size, small.mode, small.getpixel((5, 5))) == ((32, 64), "RGB", (128, 128, 128))
    assert isinstance(small, Image.Image)


@given(
    points=st.lists(st.tuples(st.floats(-1e3, 1e3, width=32), st.floats(-1e3, 1e3, width=32)), min_size=2, max_size=30)
)
def test_steps_of_coordinates_keep_the_shape_upside_down(points):
    xy = np.array(points, np.float32)
    (steps,) = plane._steps([xy])
    span = max(float(np.ptp(xy, axis=0).max()), 1e-12)
    for axis, sign in ((0, 1), (1, -1)):
        moved = sign * (xy[:, axis].astype(float) - xy[0, axis]) / span
        np.testing.assert_allclose((steps[:, axis].astype(float) - steps[0, axis]) / plane.STEPS, moved, atol=2e-4)


def test_a_row_of_several_checks_has_the_colour_of_the_worst():
    mode = next(mode for mode in plane.modes(audits.audited()) if mode["name"] == "check")
    names = [mode["entries"][code]["name"] for code in mode["codes"][[3, 7, 9, 10]]]
    assert names == ["suspicious labels", "twins across roles", "twins across roles", "named by none"]


def test_an_arm_that_errs_in_one_of_several_folds_is_wrong_about_the_image():
    tested = pd.DataFrame({"image_id": audits.IDS[[1, 1, 2]], "actual": ["A"] * 3, "predicted": ["A", "C", "A"]})
    modes = {mode["name"]: mode for mode in plane.modes(dataclasses.replace(audits.audited(), tested=tested))}
    mode = modes["selected arm"]
    assert [mode["entries"][code]["name"] for code in mode["codes"][:4]] == [
        "not tested",
        "wrong",
        "right",
        "not tested",
    ]


def test_without_an_arm_there_is_no_colour_of_its_errors():
    names = [mode["name"] for mode in plane.modes(dataclasses.replace(audits.audited(), tested=None))]
    assert names == ["class", "role", "check", "manufacturer"]


def test_colours_that_repeat_are_another_shade_and_shape():
    classes = np.array([f"class {number}" for number in range(15)])
    made = audits.audited()
    many = dataclasses.replace(made, arrays={**made.arrays, "classes": classes, "targets": np.arange(60) % 15})
    colours = re.findall(r"--class-\d+: (#\w+);", plane.of(many)["colours"])
    assert len(set(colours)) == 15
    entries = next(plane.modes(many))["entries"]
    assert [entries[number]["shape"] for number in (0, 6, 7, 13, 14)] == [0, 0, 1, 1, 2]


def test_figures_with_the_same_keys_are_rows_of_one_table():
    (table,) = figures.tables({"A": {"rows": 1200, "auc": 0.51234}, "B": {"rows": 3, "auc": None}})
    assert table == {"title": "", "columns": ["rows", "auc"], "rows": [("A", ["1,200", "0.512"]), ("B", ["3", "–"])]}


def test_figures_of_any_depth_become_tables():
    nested = {
        "label": {
            "share": 0.02,
            "classes": {"A": {"rows": 3, "suggested": {"B": 2, "C": 1}}, "B": {"rows": 4, "suggested": {}}},
        },
        "skipped": {"manufacturer": "always one"},
    }
    found = list(figures.tables(nested))
    assert [table["title"] for table in found] == ["label", "label: classes", "skipped"]
    assert found[0]["rows"] == [("share", ["0.02"])]
    assert found[1]["rows"][0] == ("A", ["3", "B 2, C 1"])


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False)
        | st.text(max_size=5)
        | st.lists(st.integers()),
        lambda inner: st.dictionaries(st.text(max_size=5), inner, max_size=4),
        max_leaves=12,
    ).filter(lambda value: isinstance(value, dict))
)
def test_whatever_a_check_gives_as_figures_has_a_table(given_figures):
    for table in figures.tables(given_figures):
        assert all(len(cells) == len(table["columns"]) for _, cells in table["rows"])


@pytest.mark.parametrize(
    ("value", "text"),
    [(-0.25, "−0.25"), (12345, "12,345"), (1234.5, "1,234"), (True, "yes"), ([1, 2], "1, 2"), (0.0, "0")],
)
def test_figures_are_short(value, text):
    assert figures.text(value) == text


def test_every_question_of_the_checks_has_a_heading():
    from pipeline.features.checks import CHECKS

    assert {check.__module__.rpartition(".")[2] for check in CHECKS.values()} <= set(verdicts.QUESTIONS)


def test_thumbnails_are_as_large_as_fits(monkeypatch):
    noise = np.random.default_rng(0).integers(0, 255, (300, 120, 120), dtype=np.uint8)
    rows = pd.DataFrame({"image_id": [str(number) for number in range(300)], "shard": 0, "row": range(300)})
    store = artifacts.Pictures(rows, {"shape": [300, 120, 120], "dtype": "uint8"}, {0: noise})
    assert sprites.sheets(store, np.arange(300))["side"] == 96
    monkeypatch.setattr(sprites, "FIT", 1_500_000)
    assert sprites.sheets(store, np.arange(300))["side"] == 64
    monkeypatch.setattr(sprites, "FIT", 1000)
    assert sprites.sheets(store, np.arange(300))["side"] == 48
