import re
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import plots, svg
from pipeline.report.forest import Scale

HISTORY = pd.DataFrame(
    {"epoch": [1, 2, 3], "train_loss": [1.0, 0.7, 0.5], "val_loss": [1.1, 0.9, 1.0], "chosen": [False, True, False]}
).assign(collapse=["kappa", "", ""], val_kappa=[-0.2, 0.3, float("nan")])
GRID = np.linspace(0, 1, 5000)
ROC = pd.DataFrame({"fpr": GRID, "tpr": GRID**0.5, "low": GRID, "high": GRID**0.25})
BINS = pd.DataFrame({"probability": [0.1, 0.5], "frequency": [0.2, 0.4], "low": [0.1, 0.2], "high": [0.3, 0.6]})
BENEFIT = pd.DataFrame({"threshold": [0.1, 0.5, 0.9], "model": [0.3, 0.1, 0], "all": [0.25, -0.5, -6.5]})
BENEFIT = BENEFIT.assign(low=BENEFIT["model"] - 0.1, high=BENEFIT["model"] + 0.1)

FIGURES = {
    "losses": lambda: plots.losses([HISTORY, HISTORY]),
    "metric": lambda: plots.metric([HISTORY, HISTORY[:1]], "val_kappa", "kappa"),
    "share": lambda: plots.predicted_share(np.array([1, 2]), np.array([[1.0, 3], [0, 0]]), [2, 2]),
    "recalls": lambda: plots.recalls(np.array([1, 2]), np.array([[0.5, np.nan], [0, np.nan]])),
    "roc": lambda: plots.roc(ROC, 'a <b> & "c"'),
    "pr": lambda: plots.precision_recall(ROC.set_axis(["recall", "precision", "low", "high"], axis=1), "a", 0.1),
    "reliability": lambda: plots.reliability(BINS, BINS[:0], "a"),
    "net benefit": lambda: plots.net_benefit(BENEFIT, "a"),
    "interval": lambda: Scale(0, 1).interval({"x": 0.5, "x_low": 0.2, "x_high": 0.7}, "x", "ok", rule=0, rope=0.1),
    "axis": lambda: Scale(-0.3, 0.2).axis(),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_xml_that_follows_the_page_and_is_the_same_twice(name):
    figure = str(FIGURES[name]())
    ElementTree.fromstring(figure)
    assert figure == FIGURES[name]()
    assert not re.search(r"#[0-9a-f]{6}\b|rgb\(", figure)  # every colour is a variable or a class of the style sheet
    assert "nan" not in figure
    assert "id=" not in figure
    assert 'role="img" aria-label="' in figure or "aria-hidden" in figure
    assert len(figure) < 15_000


def test_classes_and_folds_draw_in_their_own_variable():
    assert {"--series-0", "--series-1"} == set(re.findall(r"--[a-z]+-\d+", FIGURES["losses"]()))
    assert {"--class-0", "--class-1"} == set(re.findall(r"--[a-z]+-\d+", FIGURES["share"]()))


def test_a_line_goes_through_its_points_and_breaks_where_one_is_missing():
    drawing = svg.Drawing((0, 10), (0, 1), size=(svg.LEFT + svg.RIGHT + 100, svg.TOP + svg.BOTTOM + 50))
    drawing.line(np.array([0, 5, 6, 7, 10]), np.array([0, 1, np.nan, 0.5, 0.5]), "accent")
    paths = re.findall(r'class="curve"[^>]* d="(.*?)"', drawing.render("x"))
    assert paths == ["M0.0 50.0L50.0 0.0", "M70.0 25.0L100.0 25.0"]


def test_a_band_goes_there_along_its_lower_and_back_along_its_upper_end():
    drawing = svg.Drawing((0, 1), (0, 1), size=(svg.LEFT + svg.RIGHT + 100, svg.TOP + svg.BOTTOM + 100))
    drawing.band(np.array([0.0, 1]), np.array([0.0, 0.5]), np.array([0.5, 1]), "accent")
    (path,) = re.findall(r'class="band"[^>]* d="(.*?)"', drawing.render("x"))
    assert path == "M0.0 100.0L100.0 50.0L100.0 0.0L0.0 50.0Z"


@given(st.floats(-1e3, 1e3), st.floats(1e-3, 1e3))
def test_ticks_are_few_round_numbers_within_the_ends(low, width):
    found = svg.ticks(low, low + width)
    assert 2 <= len(found) <= 7
    assert low - 1e-6 * width <= found[0]
    assert found[-1] <= low + width * (1 + 1e-6)
    steps = np.diff(found)
    assert np.allclose(steps, steps[0], rtol=1e-6)
    assert f"{steps[0]:e}"[0] in "1259"  # 9.999… is 1


def test_ticks_are_those_that_a_person_would_write():
    assert svg.ticks(0, 1) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert svg.ticks(-0.02, 1.02) == [0, 0.2, 0.4, 0.6, 0.8, 1]
    assert [svg.label(value) for value in (-0.5, 0, 0.25, 1200)] == ["\N{MINUS SIGN}0.5", "0", "0.25", "1,200"]


def test_an_interval_stands_where_its_scale_says():
    scale = Scale(0.0, 1.0)
    row = scale.interval({"x": 0.5, "x_low": 0.25, "x_high": 1.0}, "x")
    assert re.findall(r'cx="([\d.]+)"', row) == ["110.0"]
    assert re.findall(r'class="whisker" d="(.*?)"', row) == ["M59.0 9H212.0"]
    assert "whisker" not in scale.interval({"x": 0.5, "x_low": None, "x_high": None}, "x")
    assert "circle" not in scale.interval({"x": float("nan")}, "x", rule=0)


def test_a_scale_holds_all_intervals_and_what_is_always_shown():
    scale = Scale.over([{"x": 0.2, "x_low": None}, {"x": float("nan"), "x_high": 0.6}], "x", 0.0)
    assert scale.low < 0 < 0.6 < scale.high
    assert scale.at(-5) == 8
    assert Scale.over([], "x").low < 0


@pytest.mark.parametrize(("classes", "ordered"), [(2, True), (4, True), (13, True), (7, False)])
def test_classes_have_colours_of_their_own_on_both_grounds(classes, ordered):
    for tones in plots.palette(classes, ordered):
        assert len(set(tones)) == classes
        assert all(re.fullmatch("#[0-9a-f]{6}", tone) for tone in tones)


def test_ordered_classes_go_through_viridis():
    assert plots.palette(3, True)[1][-1] == "#fde725"
    assert plots.palette(2, True)[0][0] == "#440154"


def test_nominal_classes_differ_in_colour_or_dash():
    light, _ = plots.palette(13, False)
    assert len({(tone, plots.dash(number, False)) for number, tone in enumerate(light)}) == 13
