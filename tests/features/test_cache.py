"""Rows that were computed earlier are found again, and work that was ended goes on."""

from contextlib import suppress

import numpy as np
import pandas as pd
import pytest

from pipeline import artifacts
from pipeline.features import cache

MADE = {
    "stage": "embed",
    "params": {"model": "m", "dtype": "float32"},
    "inputs": {"backbone": "b", "render": "r", "pixels": "p"},
    "packages": {"torch": "1"},
    "code": "c",
    "views": {"strength": 1},
}


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def rows(ids, views=0):
    table = pd.DataFrame({"image_id": list(ids)}).assign(fingerprint="f", view=views)
    return table.astype(artifacts.FEATURE_ROWS)


def source(ids, made_by=MADE, views=0, done=True, scale=1.0):
    values = scale * np.arange(2 * len(ids), dtype=np.float32).reshape(-1, 2)
    done = np.broadcast_to(done, len(ids)).copy()
    return cache.Source(values, rows(ids, views), done, made_by, {})


def changed(section, key, value):
    return {**MADE, section: {**MADE[section], key: value}}


def test_rows_are_found_by_image_contents_and_view():
    old = source("abc")
    assert cache.places(old, rows("cxa"), MADE).tolist() == [2, -1, 0]
    assert cache.places(old, rows("ab").assign(fingerprint=["f", "g"]), MADE).tolist() == [0, -1]
    assert cache.places(old, rows("ab", views=[0, 1]), MADE).tolist() == [0, -1]
    assert cache.places(source(""), rows("a"), MADE).tolist() == [-1]


def test_a_row_that_was_not_reached_is_not_found():
    assert cache.places(source("abc", done=[True, False, True]), rows("abc"), MADE).tolist() == [0, -1, 2]


def test_other_amplitudes_make_views_new_and_leave_the_pictures():
    old = source("aab", views=[0, 1, 0])
    assert cache.places(old, rows("aab", views=[0, 1, 0]), MADE).tolist() == [0, 1, 2]
    other = changed("views", "strength", 2)
    assert cache.serving([old], other) == [old]
    assert cache.places(old, rows("aab", views=[0, 1, 0]), other).tolist() == [0, -1, 2]


@pytest.mark.parametrize(
    "other",
    [
        changed("inputs", "backbone", "other"),
        changed("inputs", "render", "other"),
        changed("params", "model", "other"),
        changed("params", "dtype", "bfloat16"),
        changed("packages", "torch", "2"),
        {**MADE, "code": "other"},
    ],
    ids=str,
)
def test_other_weights_settings_arithmetic_packages_or_code_serve_no_row(other):
    assert cache.serving([source("a")], other) == []
    assert cache.serving([source("a", made_by=other)], MADE) == []


def test_other_pictures_do_not_matter_nor_the_arithmetic_if_it_is_open():
    old = source("a")
    assert cache.serving([old], changed("inputs", "pixels", "other")) == [old]
    assert cache.serving([old], {**MADE, "params": {"model": "m"}}) == [old]


def test_features_from_elsewhere_serve_nothing():
    assert cache.serving([source("a", made_by={"stage": "import"})], MADE) == []


@pytest.mark.parametrize("at_once", [1, 2**28])
def test_rows_of_several_sources_are_put_together(monkeypatch, at_once):
    monkeypatch.setattr(cache, "AT_ONCE", at_once)
    found = [source("abc"), source("bd", scale=10, done=[True, True])]
    with cache.work("shared", rows("dxba"), 2, MADE, {"precision": "why"}, found) as work:
        assert work.done.tolist() == [True, False, True, True]
        work.put(np.array([1]), np.array([[7, 7]], np.float32))
    assert np.load(work.path).tolist() == [[20, 30], [7, 7], [2, 3], [0, 1]]
    (left,) = cache.sources("shared", None)
    assert left.done.all()
    assert left.note == {"precision": "why"}
    cache.drop()
    assert cache.sources("shared", None) == []


def ended(ids, computed, made_by=MADE):
    """Work on these rows that is ended when so many have been put."""
    with suppress(KeyboardInterrupt), cache.work("shared", rows(ids), 2, made_by, {}, []) as work:
        work.put(np.arange(computed), np.full((computed, 2), 5, np.float32))
        raise KeyboardInterrupt


def test_work_that_was_ended_goes_on_in_the_same_file():
    ended("abc", 2)
    before = (cache.UNFINISHED / "shared" / "values.npy").stat().st_ino
    with cache.work("shared", rows("abc"), 2, MADE, {}, cache.sources("shared", None)) as work:
        assert work.done.tolist() == [True, True, False]
    assert work.path.stat().st_ino == before


def test_work_that_was_ended_serves_other_rows_too():
    ended("abc", 2)
    with cache.work("shared", rows("cbd"), 2, MADE, {}, cache.sources("shared", None)) as work:
        assert work.done.tolist() == [False, True, False]
        assert work.values[1].tolist() == [5, 5]


def test_work_with_other_weights_begins_anew():
    ended("abc", 2)
    other = changed("inputs", "backbone", "other")
    with cache.work("shared", rows("abc"), 2, other, {}, cache.serving(cache.sources("shared", None), other)) as work:
        assert not work.done.any()


def test_what_is_marked_as_done_is_on_disk_before(monkeypatch):
    """A copy of the folder at any time is what a killed process leaves."""
    monkeypatch.setattr(cache, "KEEP_EVERY", 0)
    folder = cache.UNFINISHED / "shared"
    with cache.work("shared", rows("abc"), 2, MADE, {}, []) as work:
        for place in range(2):
            work.put(np.array([place]), np.full((1, 2), place + 1, np.float32))
            done = np.load(folder / "done.npy")
            assert done.tolist() == [True] * (place + 1) + [False] * (2 - place)
            np.testing.assert_array_equal(np.load(folder / "values.npy")[done, 0], np.arange(place + 1) + 1)


@pytest.mark.parametrize("file", ["values.npy", "done.npy", "rows.parquet", "made_by.json"])
@pytest.mark.parametrize("content", [None, b"", b"damaged"])
def test_what_cannot_be_read_of_ended_work_is_begun_anew(file, content):
    ended("abc", 2)
    path = cache.UNFINISHED / "shared" / file
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    assert cache.sources("shared", None) == []
    with cache.work("shared", rows("abc"), 2, MADE, {}, []) as work:
        assert not work.done.any()
