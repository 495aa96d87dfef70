import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import words


@pytest.mark.parametrize(
    ("value", "text"), [(0.614, "0.61"), (-0.126, "−0.13"), (-0.001, "0.00"), (None, "–"), (float("nan"), "–")]
)
def test_numbers_have_two_digits_a_true_minus_and_a_dash_for_none(value, text):
    assert words.number(value) == text


@pytest.mark.parametrize(("value", "text"), [(0.12, "+0.12"), (-0.03, "−0.03"), (0.001, "0.00"), (None, "–")])
def test_differences_carry_their_sign_unless_they_round_to_nothing(value, text):
    assert words.signed(value) == text


@given(st.floats(-10, 10), st.floats(-10, 10))
def test_a_span_never_puts_a_dash_before_a_minus(low, high):
    assert "–−" not in words.span(low, high)


def test_spans_and_estimates():
    assert words.span(0.55, 0.67) == "0.55–0.67"
    assert words.span(-0.05, 0.1) == "−0.05 to 0.10"
    assert words.span(None, 0.1) == ""
    assert words.estimate({"auc": 0.7, "auc_low": 0.6, "auc_high": 0.8}, "auc") == "0.70 (0.60–0.80)"
    assert words.estimate({"auc": 0.7}, "auc") == "0.70"
    assert words.difference({"difference": 0.12, "low": 0.05, "high": 0.19}) == "+0.12 (+0.05 to +0.19)"


def test_an_end_of_a_difference_that_rounds_to_zero_keeps_its_side():
    better = {"difference": 0.07, "low": 0.0013, "high": 0.12}
    assert words.difference(better) == "+0.07 (+0.0013 to +0.12)"
    assert words.difference({"difference": 0.0, "low": 0.0, "high": 0.0}) == "0.00 (0.00 to 0.00)"


def test_counts_and_shares():
    assert words.count(1000, "image") == "1,000 images"
    assert words.count(1, "image") == "1 image"
    assert words.count(2, "entry", "entries") == "2 entries"
    assert [words.percent(share) for share in (0.034, 0.34, 0, 1, 0.0996)] == ["3.4 %", "34 %", "0 %", "100 %", "10 %"]
    assert words.percent(0.0001) == "< 0.1 %"


@pytest.mark.parametrize(
    ("p", "text"), [(0.214, "p = 0.21"), (0.012, "p = 0.012"), (0.0004, "p < 0.001"), (float("nan"), ""), (None, "")]
)
def test_probabilities_show_as_many_digits_as_they_need(p, text):
    assert words.probability(p) == text


def test_a_corrected_p_value_stands_with_the_interval():
    row = {"difference": 0.12, "low": 0.05, "high": 0.19, "p_holm": 0.012}
    assert words.difference(row) == "+0.12 (+0.05 to +0.19, p = 0.012)"


def test_kappa_is_called_after_its_weighting():
    assert [words.metric_names(kappa)["kappa"] for kappa in ("linear", "none")] == ["linear kappa", "kappa"]
