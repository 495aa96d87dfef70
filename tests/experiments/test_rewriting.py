import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imports import ROOT
from ruamel.yaml import YAML

from pipeline.errors import PipelineError
from pipeline.experiments import presets, rewriting

TEXT = """\
# head
data:
  images: here            # where
  classes: null           # which
  empty:                  # nothing
  several:
    - a
    - b                   # last
heads:
  # of heads
  logistic: {C: 0.1}      # strong

  mlp: {}
arms: {}
"""


def load(text):
    return YAML(typ="safe", pure=True).load(text)


def put(changes):
    expected = presets.merged(load(TEXT), changes)
    found = presets.differences(load(TEXT), expected)
    return rewriting.rewrite(TEXT, {path: new for path, (_, new) in found.items()}, expected, "params.yaml")


def test_values_change_and_comments_keep_their_column():
    changes = {"data": {"images": "/scans", "classes": ["1", 2], "empty": 0.5}, "heads": {"logistic": {"C": 1e-7}}}
    assert put(changes) == TEXT.replace("here  ", "/scans").replace("null    ", "['1', 2]").replace(
        "empty:                  #", "empty: 0.5              #"
    ).replace("0.1", "1e-07")


def test_a_value_too_long_for_its_place_moves_the_comment_by_two_blanks():
    assert "  images: /a/long/way/to/the/scans  # where\n" in put({"data": {"images": "/a/long/way/to/the/scans"}})


def test_new_entries_come_behind_the_last_one():
    text = put({"heads": {"knn": {"n": 3}}, "arms": {"both": {"vote": ["a", "b"]}}})
    assert text.endswith("  mlp: {}\n  knn: {n: 3}\narms: {both: {vote: [a, b]}}\n")


def test_a_block_becomes_one_line_and_what_follows_stays():
    text = put({"data": {"several": ["c"]}})
    assert "    [c]                   # last\nheads:\n" in text


def test_a_file_with_an_anchor_is_left_alone():
    text = "a: &x {b: 1}\nc: *x\n"
    with pytest.raises(
        PipelineError, match=r"params.yaml: can't be rewritten by a program: c.b\n  Remedy: change these"
    ):
        rewriting.rewrite(text, {("c", "b"): 2}, {"a": {"b": 1}, "c": {"b": 2}}, "params.yaml")


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), TEXTS)
VALUES = st.recursive(
    SCALARS, lambda of: st.lists(of, max_size=3) | st.dictionaries(st.text("ab: #'", max_size=4), of, max_size=3)
)


@settings(max_examples=80, deadline=None)
@given(VALUES)
def test_any_value_reads_back_as_it_was(value):
    assert repr(load(f"a: {rewriting.flow(value)}  # why\n")) == repr({"a": value})


def test_every_comment_of_the_params_stays_where_it_was():
    text = (ROOT / "params.yaml").read_text()
    changes = {
        "data": {"images": "x", "attributes": ["sex"], "id": "AccessionNumber"},
        "finetune": {"augment": {"flip": False}, "loss": {"name": "focal", "alpha": 0, "gamma": 2}},
        "arms": {"one": {"vote": ["a", "b"]}, "two": {"vote": ["b", "c"]}},
        "heads": {"new": {}, "logistic": {"class_weight": "balanced", "C": 1}},
    }
    expected = presets.merged(load(text), changes)
    found = presets.differences(load(text), expected)
    made = rewriting.rewrite(text, {path: new for path, (_, new) in found.items()}, expected, "params.yaml")
    comments = [re.findall(r"(?:^ *|  )# .*", version, re.MULTILINE) for version in (text, made)]
    assert comments[0] == comments[1]
