import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.report import words

NAMES = words.metric_names("quadratic")


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


@pytest.mark.parametrize(
    ("verdict", "ending"),
    [
        ("better", ", and has a better macro-F1 on test than the baseline none-mlp."),
        ("worse", ", but has a worse macro-F1 on test than the baseline none-mlp."),
        (
            "can't tell",
            ", but these test images can't tell whether its macro-F1 is better than that of the baseline none-mlp.",
        ),
    ],
)
def test_the_first_sentence_repeats_the_verdict_on_macro_f1(verdict, ending):
    sentence = words.verdict("smote-mlp", "none-mlp", 9, {"verdict": verdict})
    assert sentence == f"smote-mlp was selected on validation{ending}"


def test_without_a_baseline_the_first_sentence_claims_nothing():
    assert words.verdict("smote-mlp", None, 4, None) == "smote-mlp was selected on validation, from 4 arms."


@pytest.mark.parametrize(
    ("clause", "value", "text"),
    [
        ("one_class", 0.97, "97 % of the predictions are C (limit 95 %)"),
        ("never_predicted", 0, "C is never predicted"),
        ("always_predicted", 0.97, "C is predicted of 97 % of the images (limit 95 %)"),
        ("class_f1", 0.04, "F1 of C is 0.04 (limit 0.95)"),
        ("kappa", 0.11, "quadratic kappa is 0.11 (limit 0.95)"),
    ],
)
def test_signs_of_collapse_name_class_figure_and_limit(clause, value, text):
    fired = {"clause": clause, "value": value, "threshold": 0.95, "class": "C"}
    assert words.collapse(fired, NAMES) == text


def test_kappa_is_called_after_its_weighting():
    assert [words.metric_names(kappa)["kappa"] for kappa in ("linear", "none")] == ["linear kappa", "kappa"]


def test_signs_of_an_epoch_read_as_words_and_unknown_ones_stay():
    assert words.signs("one_class burr cell; class_f1 A; macro_f1; new_clause B") == (
        "almost all predictions are burr cell; low F1 of A; low macro-F1; new_clause B"
    )
    assert words.signs("class_f1 {x}; {0}; kappa") == "low F1 of {x}; {0}; low kappa"  # a class is called {x}; {0}


def test_other_metrics_are_told_where_their_verdict_differs():
    rows = {
        key: {"metric": key, "difference": 0.1, "low": low, "high": 0.3, "verdict": verdict}
        for key, low, verdict in [
            ("macro_f1", -0.1, "can't tell"),
            ("kappa", -0.2, "can't tell"),
            ("balanced_accuracy_adjusted", 0.05, "better"),
        ]
    }
    assert words.against("the baseline none-mlp", rows, NAMES) == (
        "Against the baseline none-mlp: macro-F1 +0.10 (−0.10 to +0.30): can't tell; "
        "adjusted balanced accuracy +0.10 (+0.05 to +0.30): better."
    )


ROW = {"class": "A", "n": 25, "patients": 20, "recall": 0.56, "recall_low": 0.4, "recall_high": 0.7}
ROW |= {"predicted": 1032, "precision": 0.4}


def test_the_rarest_class_is_told_for_both_arms_with_intervals_and_how_often_they_predict_it():
    never = {**ROW, "recall": 0.0, "recall_low": 0.0, "recall_high": 0.0, "predicted": 0, "precision": float("nan")}
    assert words.rarest("class", "smote-mlp", ROW, "the baseline none-mlp", never, 25) == (
        "The rarest class A (25 test images, 20 patients): "
        "smote-mlp finds 14 of 25, recall 0.56 (0.40–0.70), and predicts it 1,032 times, precision 0.40; "
        "the baseline none-mlp finds 0 of 25, recall 0.00 (0.00–0.00), and predicts it 0 times."
    )


def test_images_that_were_tested_several_times_are_told_apart_from_their_predictions():
    assert words.rarest("class", "smote-mlp", {**ROW, "predicted": 1}, "", None, 5) == (
        "The rarest class A (5 test images, 20 patients, 25 predictions): "
        "smote-mlp finds 14 of 25, recall 0.56 (0.40–0.70), and predicts it 1 time, precision 0.40."
    )


def test_two_classes_are_told_as_sensitivity_and_specificity_of_the_positive_one():
    own = {**ROW, "class": "PNEUMONIA", "rows": 250}
    other = {"class": "normal", "recall": 0.9, "recall_low": 0.85, "recall_high": 0.94}
    figures = {"auc": 0.8, "auc_low": 0.7, "auc_high": 0.9, "average_precision": 0.5}
    assert words.positive("smote-mlp", own, other, figures) == (
        "PNEUMONIA is the positive class (10 % of the test images): smote-mlp has sensitivity 0.56 (0.40–0.70), "
        "specificity 0.90 (0.85–0.94), AUC 0.80 (0.70–0.90) and average precision 0.50."
    )
