import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from pipeline.report import plots

HISTORY = pd.DataFrame(
    {"epoch": [1, 2, 3], "train_loss": [1.0, 0.7, 0.5], "val_loss": [1.1, 0.9, 1.0], "chosen": [False, True, False]}
).assign(collapse=["kappa", "", ""], val_kappa=[-0.2, 0.3, float("nan")])
POINTS = pd.DataFrame({"class": "a", "fpr": np.linspace(0, 1, 5000), "tpr": np.linspace(0, 1, 5000)})

FIGURES = {
    "losses": lambda: plots.losses([HISTORY, HISTORY]),
    "metric": lambda: plots.metric([HISTORY, HISTORY[:1]], "val_kappa", "kappa"),
    "share": lambda: plots.predicted_share(np.array([1, 2]), np.array([[1.0, 3], [0, 0]]), [2, 2], "share-1"),
    "recalls": lambda: plots.recalls(np.array([1, 2]), np.array([[0.5, np.nan], [0, np.nan]]), "recall-1"),
    "roc": lambda: plots.roc(POINTS, ["a", "without points"], True),
    "pr": lambda: plots.precision_recall(POINTS.set_axis(["class", "recall", "precision"], axis=1), ["a"], False),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_xml_that_follows_the_page_and_is_the_same_twice(name):
    svg = FIGURES[name]()
    ElementTree.fromstring(svg)
    assert svg == FIGURES[name]()
    assert not re.search(r"#[0-9a-f]{6}\b", svg)  # every colour is a variable or currentColor
    assert "<style" not in svg
    assert "font-family" not in svg
    assert 'role="img" aria-label="' in svg
    assert len(svg) < 30_000


def test_classes_and_folds_draw_in_their_own_variable():
    assert {"var(--series-0)", "var(--series-1)"} <= set(re.findall(r"var\(--[a-z]+-\d+\)", FIGURES["losses"]()))
    assert {"var(--class-0)", "var(--class-1)"} == set(re.findall(r"var\(--[a-z]+-\d+\)", FIGURES["share"]()))


@pytest.mark.parametrize(("classes", "ordered"), [(2, True), (4, True), (13, True), (7, False)])
def test_classes_have_colours_of_their_own_on_both_grounds(classes, ordered):
    for tones in plots.palette(classes, ordered):
        assert len(set(tones)) == classes


def test_nominal_classes_differ_in_colour_or_dash():
    light, _ = plots.palette(13, False)
    assert len({(tone, plots.dash(number, False)) for number, tone in enumerate(light)}) == 13
