import pytest

from pipeline.report import sentences, words

NAMES = words.metric_names("quadratic")


def gains(*verdicts):
    return {key: {"verdict": verdict} for key, verdict in zip(sentences.HEADLINE, verdicts, strict=True)}


@pytest.mark.parametrize(
    ("verdict", "ending"),
    [
        ("better", ", and has a better macro-F1 on test than the baseline none-mlp."),
        ("worse", ", but has a worse macro-F1 on test than the baseline none-mlp."),
        ("practically the same", ", but has practically the same macro-F1 on test as the baseline none-mlp."),
        (
            "can't tell",
            ", but these test images can't tell whether its macro-F1 is better than that of the baseline none-mlp.",
        ),
    ],
)
def test_the_first_sentence_repeats_the_verdict_on_macro_f1(verdict, ending):
    sentence = sentences.verdict("smote-mlp", "none-mlp", 9, gains(verdict, verdict, "can't tell"), NAMES)
    assert sentence == f"smote-mlp was selected on validation{ending}"


def test_a_verdict_by_another_metric_that_is_not_that_of_macro_f1_is_not_left_out():
    sentence = sentences.verdict("smote-mlp", "none-mlp", 9, gains("can't tell", "better", "worse"), NAMES)
    assert sentence.endswith(
        "that of the baseline none-mlp. By quadratic kappa it is better. By adjusted balanced accuracy it is worse."
    )


def test_without_a_baseline_the_first_sentence_claims_nothing():
    assert sentences.verdict("smote-mlp", None, 4, {}, NAMES) == "smote-mlp was selected on validation, from 4 arms."


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
    assert sentences.collapse(fired, NAMES) == text


def test_signs_of_an_epoch_read_as_words_and_unknown_ones_stay():
    assert sentences.signs("one_class burr cell; class_f1 A; macro_f1; new_clause B") == (
        "almost all predictions are burr cell; low F1 of A; low macro-F1; new_clause B"
    )
    assert sentences.signs("class_f1 {x}; {0}; kappa") == "low F1 of {x}; {0}; low kappa"  # a class is called {x}; {0}


def test_other_metrics_are_told_where_their_verdict_differs():
    rows = {
        key: {"metric": key, "difference": 0.1, "low": low, "high": 0.3, "verdict": verdict}
        for key, low, verdict in [
            ("macro_f1", -0.1, "can't tell"),
            ("kappa", -0.2, "can't tell"),
            ("balanced_accuracy_adjusted", 0.05, "better"),
        ]
    }
    assert sentences.against("the baseline none-mlp", rows, NAMES) == (
        "Against the baseline none-mlp: macro-F1 +0.10 (−0.10 to +0.30): can't tell; "
        "adjusted balanced accuracy +0.10 (+0.05 to +0.30): better."
    )


ROW = {"class": "A", "n": 25, "patients": 20, "recall": 0.56, "recall_low": 0.4, "recall_high": 0.7}
ROW |= {"predicted": 1032, "precision": 0.4}


def test_the_rarest_class_is_told_for_both_arms_with_intervals_and_how_often_they_predict_it():
    never = {**ROW, "recall": 0.0, "recall_low": 0.0, "recall_high": 0.0, "predicted": 0, "precision": float("nan")}
    assert sentences.rarest(
        "class A", "smote-mlp", ROW, "the baseline none-mlp", never, sentences.size(ROW, "image", 25)
    ) == (
        "The rarest class A (25 test images, 20 patients): "
        "smote-mlp finds 14 of 25, recall 0.56 (0.40–0.70), and predicts it 1,032 times, precision 0.40; "
        "the baseline none-mlp finds 0 of 25, recall 0.00 (0.00–0.00), and predicts it 0 times."
    )


def test_images_that_were_tested_several_times_are_told_apart_from_their_predictions():
    assert sentences.rarest(
        "class A", "smote-mlp", {**ROW, "predicted": 1}, "", None, sentences.size(ROW, "image", 5)
    ) == (
        "The rarest class A (5 test images, 20 patients, 25 predictions): "
        "smote-mlp finds 14 of 25, recall 0.56 (0.40–0.70), and predicts it 1 time, precision 0.40."
    )


def test_patients_that_are_judged_as_one_are_counted_once():
    assert sentences.size({**ROW, "n": 20}, "patient", 20) == "20 test patients"
    assert sentences.size({**ROW, "n": 40}, "patient", 20) == "20 test patients, 40 predictions"


def test_two_classes_are_told_as_sensitivity_and_specificity_of_the_positive_one():
    own = {**ROW, "class": "PNEUMONIA", "rows": 250}
    other = {"class": "normal", "recall": 0.9, "recall_low": 0.85, "recall_high": 0.94}
    figures = {"auc": 0.8, "auc_low": 0.7, "auc_high": 0.9, "average_precision": 0.5}
    assert sentences.positive("smote-mlp", own, other, figures) == (
        "PNEUMONIA is the positive class (10 % of the test cases): smote-mlp has sensitivity 0.56 (0.40–0.70), "
        "specificity 0.90 (0.85–0.94), AUC 0.80 (0.70–0.90) and average precision 0.50."
    )


def test_means_over_classes_tell_how_many_test_cases_stand_behind_the_rarest_and_the_most_frequent():
    rows = [{"class": name, "n": n} for name, n in (("a", 0), ("b", 1), ("c", 1200), ("d", 30))]
    assert sentences.stands_behind("classes", rows, "exam") == (
        "Means over 3 classes count each alike, b with 1 test exam as c with 1,200 test exams."
    )


def test_folds_tell_probabilities_of_better_same_and_worse():
    row = {"better": 0.8, "same": 0.15, "worse": 0.05, "p_folds": 0.2}
    assert sentences.over_folds(row, 5, 0.01) == (
        "Over 5 folds its macro-F1 is better with a probability of 80 %, practically the same (within ±0.01) 15 %, "
        "worse 5.0 % (corrected t-test: p = 0.20)."
    )
    assert sentences.over_folds({**row, "better": float("nan")}, 1, 0.01) == ""


def test_classes_with_few_patients_are_named_with_their_number():
    assert sentences.few([{"class": "a", "patients": 4}, {"class": "b", "patients": 1.0}]).startswith(
        "Few test patients: a (4), b (1)."
    )
    assert sentences.few([]) == ""


@pytest.mark.parametrize(
    ("tested", "told"),
    [
        (("image", 1000, 1000, 400), "On 1,000 test images of 400 patients (3 folds, pooled): macro-F1 0.60"),
        (("exam", 500, 1000, 1), "On 500 test exams (1,000 images) of 1 patient (3 folds, pooled): macro-F1 0.60"),
        (("patient", 400, 1000, 400), "On 400 test patients (1,000 images) (3 folds, pooled): macro-F1 0.60"),
    ],
)
def test_what_was_judged_as_one_is_told_with_its_images(tested, told):
    figures = dict.fromkeys(sentences.HEADLINE, 0.6)
    assert sentences.measured(figures, NAMES, sentences.Tested(*tested), 3).startswith(told)
