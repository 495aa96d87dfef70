import numpy as np
import pytest
import sklearn.metrics as sk
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.judge import intervals, metrics
from pipeline.judge.tally import BINS, Multilabel, Predictions, Tally, Weights

LABELS = np.array([0, 0, 1, 1, 2, 2])
PREDICTED = np.array([0, 1, 1, 1, 2, 0])
PROBABILITIES = np.array([[0.2, 0.2, 0.2]] * 6) + 0.4 * np.eye(3)[PREDICTED]


def simulate(seed: int, rows: int, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels with every class there, and probabilities in quarters, so that many are equal."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, rows - classes)])
    share = np.full((rows, classes), 0.5 / (classes - 1))
    share[np.arange(rows), labels] = 0.5
    return labels, rng.multinomial(4, share) / 4


def reference(labels: np.ndarray, probabilities: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    predicted, one_hot = probabilities.argmax(1), np.eye(probabilities.shape[1])[labels]
    of = {"sample_weight": weight}
    each = [(one_hot[:, number], probabilities[:, number]) for number in range(probabilities.shape[1])]
    each = each[1:] if len(each) == 2 else each
    return {
        "macro_f1": sk.f1_score(labels, predicted, average="macro", zero_division=0, **of),
        "kappa": sk.cohen_kappa_score(labels, predicted, weights="quadratic", **of),
        "balanced_accuracy": sk.balanced_accuracy_score(labels, predicted, **of),
        "balanced_accuracy_adjusted": sk.balanced_accuracy_score(labels, predicted, adjusted=True, **of),
        "auc": np.mean([sk.roc_auc_score(own, score, **of) for own, score in each]),
        "average_precision": np.mean([sk.average_precision_score(own, score, **of) for own, score in each]),
        "accuracy": sk.accuracy_score(labels, predicted, **of),
        "brier": np.average(((probabilities - one_hot) ** 2).sum(1), weights=weight),
        "log_loss": sk.log_loss(labels, probabilities, **of),
        "ece": np.mean([classwise_error(own, score, weight) for own, score in each]),
    }


def classwise_error(own: np.ndarray, score: np.ndarray, weight: np.ndarray) -> float:
    bins = np.digitize(score, np.arange(1, BINS) / BINS)
    filled = [bins == number for number in range(BINS) if weight[bins == number].sum() > 0]
    return sum(
        weight[here].sum()
        / weight.sum()
        * abs(np.average(own[here], weights=weight[here]) - np.average(score[here], weights=weight[here]))
        for here in filled
    )


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(6, 60), classes=st.integers(2, 5))
def test_every_metric_is_that_of_scikit_learn_with_these_sample_weights(seed, rows, classes):
    labels, probabilities = simulate(seed, rows, classes)
    weights = np.random.default_rng(seed).integers(0, 4, (rows, 3)).astype(float)
    weights[:classes] += 1
    tally = Tally(Predictions(labels, probabilities), Weights(weights))
    figures = {name: metric(tally) for name, metric in metrics.METRICS.items()}
    for draw in range(3):
        expected = reference(labels, probabilities, weights[:, draw])
        assert {name: values[draw] for name, values in figures.items()} == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", metrics.METRICS | metrics.CLASSWISE)
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_row_of_weight_two_is_the_row_written_twice_and_order_plays_no_part(name, seed):
    labels, probabilities = simulate(seed, 30, 3)
    times = np.random.default_rng(seed).integers(0, 3, 30)
    metric = (metrics.METRICS | metrics.CLASSWISE)[name]
    weighted = metric(Tally(Predictions(labels, probabilities), Weights(times[:, None].astype(float))))
    written = np.random.default_rng(seed).permutation(np.repeat(np.arange(30), times))
    plain = metric(Tally(Predictions(labels[written], probabilities[written]), Weights(np.ones((len(written), 1)))))
    np.testing.assert_allclose(weighted, plain, atol=1e-12)


def test_six_rows_by_hand():
    figures = metrics.score(LABELS, PROBABILITIES)
    assert list(figures) == [
        "macro_f1",
        "kappa",
        "balanced_accuracy",
        "balanced_accuracy_adjusted",
        "auc",
        "average_precision",
        "accuracy",
        "brier",
        "log_loss",
        "ece",
    ]
    assert all(type(value) is float for value in figures.values())
    assert figures["macro_f1"] == pytest.approx((1 / 2 + 4 / 5 + 2 / 3) / 3)
    assert figures["balanced_accuracy"] == pytest.approx(2 / 3)
    assert figures["balanced_accuracy_adjusted"] == pytest.approx(1 / 2)
    assert figures["accuracy"] == pytest.approx(4 / 6)
    assert figures["auc"] == pytest.approx((5 / 8 + 7 / 8 + 6 / 8) / 3)
    assert figures["average_precision"] == pytest.approx((5 / 12 + 2 / 3 + 2 / 3) / 3)
    assert figures["brier"] == pytest.approx((4 * 0.24 + 2 * 1.04) / 6)
    assert figures["log_loss"] == pytest.approx(-(4 * np.log(0.6) + 2 * np.log(0.2)) / 6)


@pytest.mark.parametrize(("weighting", "expected"), [("quadratic", 2 / 7), ("linear", 2 / 5), ("none", 1 / 2)])
def test_kappa_by_hand(weighting, expected):
    assert metrics.score(LABELS, PROBABILITIES, kappa=weighting)["kappa"] == pytest.approx(expected)


def test_figures_per_class_by_hand():
    figures = metrics.point(Predictions(LABELS, PROBABILITIES), metrics.CLASSWISE)
    assert figures["recall"] == pytest.approx([1 / 2, 1, 1 / 2])
    assert figures["specificity"] == pytest.approx([3 / 4, 3 / 4, 1])
    assert figures["precision"] == pytest.approx([1 / 2, 2 / 3, 1])
    assert figures["f1"] == pytest.approx([1 / 2, 4 / 5, 2 / 3])
    assert figures["prevalence_ratio"] == pytest.approx([1, 3 / 2, 1 / 2])


def test_calibration_error_is_the_gap_between_probability_and_frequency():
    probabilities = np.tile([0.25, 0.75], (8, 1))
    assert metrics.score(np.array([0, 1] * 4), probabilities)["ece"] == pytest.approx(0.25)
    assert metrics.score(np.array([0, 1, 1, 1] * 2), probabilities)["ece"] == pytest.approx(0)


def test_a_certain_mistake_costs_36_nats_and_not_infinity():
    figures = metrics.score(np.array([0, 1]), np.array([[1.0, 0.0], [1.0, 0.0]]))
    assert figures["log_loss"] == pytest.approx(36.0437 / 2, abs=1e-4)


def test_equal_scores_count_half_for_the_area_and_have_the_prevalence_as_precision():
    figures = metrics.score(np.array([0, 0, 0, 1]), np.full((4, 2), 0.5))
    assert figures["auc"] == 0.5
    assert figures["average_precision"] == pytest.approx(1 / 4)
    three = metrics.score(np.array([0, 0, 1, 2]), np.full((4, 3), 1 / 3))
    assert three["average_precision"] == pytest.approx((2 / 4 + 1 / 4 + 1 / 4) / 3)


def test_a_class_without_weight_in_a_draw_has_its_figure_of_the_sample_in_means():
    labels, probabilities = simulate(0, 40, 3)
    weights = np.column_stack([np.ones(40), labels != 2]).astype(float)
    tally = Tally(Predictions(labels, probabilities), Weights(weights))
    here, predicted = labels != 2, probabilities.argmax(1)
    assert (predicted[here] == 2).any()
    recalls = [(predicted[labels == number] == number).mean() for number in (0, 1)]
    recalls.append((predicted[~here] == 2).mean())
    f1 = [*sk.f1_score(labels[here], predicted[here], labels=[0, 1], average=None)]
    f1.append(sk.f1_score(labels, predicted, labels=[2], average="macro"))
    auc = [sk.roc_auc_score(labels[here] == number, probabilities[here, number]) for number in (0, 1)]
    auc.append(sk.roc_auc_score(labels == 2, probabilities[:, 2]))
    assert metrics.balanced_accuracy(tally)[1] == pytest.approx(np.mean(recalls))
    assert metrics.balanced_accuracy_adjusted(tally)[1] == pytest.approx((np.mean(recalls) - 1 / 3) / (2 / 3))
    assert metrics.macro_f1(tally)[1] == pytest.approx(np.mean(f1))
    assert metrics.auc(tally)[1] == pytest.approx(np.mean(auc))
    assert np.isnan(metrics.recall(tally)[1, 2])
    assert not np.isnan(metrics.recall(tally)[0]).any()


def test_an_arm_that_never_names_a_rare_class_is_no_better_in_draws_without_it():
    labels = np.repeat([0, 1], [60, 3])
    constant = Predictions(labels, np.tile([0.9, 0.1], (63, 1)))
    draws = intervals.bootstrap(constant, np.arange(63), {"macro_f1": metrics.macro_f1}, 500, 0)["macro_f1"]
    assert draws.max() <= 0.5


def test_what_is_not_defined_is_nan_and_says_nothing_on_the_way():
    one_class = metrics.score(np.zeros(4, int), np.tile([0.9, 0.1], (4, 1)))
    assert np.isnan([one_class[name] for name in ("kappa", "balanced_accuracy_adjusted", "auc")]).all()
    assert (one_class["accuracy"], one_class["macro_f1"]) == (1, 1)
    never = metrics.point(Predictions(np.array([0, 1]), np.tile([0.9, 0.1], (2, 1))), metrics.CLASSWISE)
    assert np.isnan(never["precision"][1])
    assert never["f1"][1] == 0
    weightless = Tally(Predictions(LABELS, PROBABILITIES), Weights(np.zeros((6, 2))))
    assert all(np.isnan(metric(weightless)).all() for metric in metrics.METRICS.values())


def test_the_selection_key_follows_the_order_of_its_names_and_puts_the_undefined_last():
    better, worse = {"kappa": 0.5, "auc": 0.7}, {"kappa": 0.5, "auc": 0.6}
    undefined = {"kappa": float("nan"), "auc": 0.99}
    order = sorted([undefined, worse, better], key=lambda of: metrics.selection_key(of, ["kappa", "auc"]))
    assert order == [undefined, worse, better]
    assert metrics.selection_key(better, ["auc", "kappa"]) == (0.7, 0.5)


def simulate_labels(seed: int, rows: int, count: int, missing: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Marks with every label present, absent and, where asked for, missing; probabilities in eighths."""
    rng = np.random.default_rng(seed)
    marks = rng.integers(0, 2, (rows, count))
    probabilities = (marks * rng.integers(0, 5, (rows, count)) + rng.integers(0, 5, (rows, count))) / 8
    marks[rng.random((rows, count)) < missing] = -1
    marks[:2] = [[0], [1]]
    return marks.astype(np.int8), probabilities


def label_reference(marks: np.ndarray, probabilities: np.ndarray, weight: np.ndarray) -> dict[str, float]:
    """scikit-learn on the indicator matrix, or of each label where it takes no matrix."""
    predicted, of = (probabilities > 0.5).astype(int), {"sample_weight": weight}
    columns = [(marks[:, i], predicted[:, i], probabilities[:, i]) for i in range(marks.shape[1])]
    balanced = [sk.balanced_accuracy_score(own, said, **of) for own, said, _ in columns]
    return {
        "macro_f1": np.mean([sk.f1_score(own, said, zero_division=0, **of) for own, said, _ in columns]),
        "kappa": np.mean([sk.cohen_kappa_score(own, said, **of) for own, said, _ in columns]),
        "balanced_accuracy": np.mean(balanced),
        "balanced_accuracy_adjusted": 2 * np.mean(balanced) - 1,
        "auc": sk.roc_auc_score(marks, probabilities, average="macro", **of),
        "average_precision": sk.average_precision_score(marks, probabilities, average="macro", **of),
        "accuracy": np.mean([sk.accuracy_score(own, said, **of) for own, said, _ in columns]),
        "brier": np.mean([sk.brier_score_loss(own, p, scale_by_half=False, **of) for own, _, p in columns]),
        "log_loss": np.mean([sk.log_loss(own, np.stack([1 - p, p], 1), **of) for own, _, p in columns]),
        "ece": np.mean([classwise_error(own, p, weight) for own, _, p in columns]),
    }


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(4, 60), count=st.integers(2, 5))
def test_every_metric_of_labels_is_that_of_scikit_learn_on_the_indicator_matrix(seed, rows, count):
    marks, probabilities = simulate_labels(seed, rows, count)
    weights = np.random.default_rng(seed).integers(0, 4, (rows, 3)).astype(float)
    weights[:2] += 1
    figures = metrics.measure(Multilabel(marks, probabilities), Weights(weights), metrics.METRICS)
    for draw in range(3):
        weight = weights[:, draw]
        expected = label_reference(marks, probabilities, weight)
        matrix = sk.f1_score(marks, probabilities > 0.5, average="macro", zero_division=0, sample_weight=weight)
        assert expected["macro_f1"] == pytest.approx(matrix)
        assert {name: values[draw] for name, values in figures.items()} == pytest.approx(expected, abs=1e-12)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_a_missing_mark_masks_its_label_alone(seed):
    marks, probabilities = simulate_labels(seed, 40, 3, missing=0.4)
    each = [
        label_reference(marks[known, i, None], probabilities[known, i, None], np.ones(known.sum()))
        for i, known in enumerate((marks >= 0).T)
    ]
    expected = {name: np.mean([of[name] for of in each]) for name in metrics.METRICS}
    assert metrics.score(marks, probabilities) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", metrics.METRICS)
def test_one_label_is_judged_as_a_task_of_two_classes_save_that_its_f1_is_of_being_present(name):
    marks, probabilities = simulate_labels(1, 60, 1)
    two = np.concatenate([1 - probabilities, probabilities], axis=1)
    alone, label = metrics.score(marks[:, 0], two), metrics.score(marks, probabilities)
    if name == "macro_f1":
        of_classes = metrics.point(Predictions(marks[:, 0], two), metrics.CLASSWISE)["f1"]
        assert label[name] == pytest.approx(of_classes[1])
        assert alone[name] == pytest.approx(of_classes.mean())
    else:
        assert label[name] == alone[name]


MARKS = np.array([[1, 1, 0, 0], [1, 0, 0, 0], [1, 0, -1, -1]], np.int8).T
GIVEN = np.array([[0.9, 0.4, 0.6, 0.1], [0.5, 0.2, 0.1, 0.8], [0.6, 0.4, 0.9, 0.9]]).T


def test_labels_by_hand():
    figures = metrics.score(MARKS, GIVEN)
    assert figures["macro_f1"] == pytest.approx((1 / 2 + 0 + 1) / 3)
    assert figures["kappa"] == pytest.approx((0 + (1 - 2 * 4 / (1 * 3 + 3 * 1)) + 1) / 3)
    assert figures["balanced_accuracy"] == pytest.approx((1 / 2 + (0 + 2 / 3) / 2 + 1) / 3)
    assert figures["auc"] == pytest.approx((3 / 4 + 2 / 3 + 1) / 3)
    assert figures["average_precision"] == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2 + 1) / 3)
    assert figures["accuracy"] == pytest.approx((2 / 4 + 2 / 4 + 1) / 3)
    brier = [2 * np.mean(np.square(gap)) for gap in ([0.1, 0.6, 0.6, 0.1], [0.5, 0.2, 0.1, 0.8], [0.4, 0.4])]
    assert figures["brier"] == pytest.approx(np.mean(brier))


def test_figures_per_label_are_those_of_being_present():
    figures = metrics.point(Multilabel(MARKS, GIVEN), metrics.CLASSWISE)
    assert figures["recall"] == pytest.approx([1 / 2, 0, 1])
    assert figures["specificity"] == pytest.approx([1 / 2, 2 / 3, 1])
    assert figures["precision"] == pytest.approx([1 / 2, 0, 1])
    assert figures["f1"] == pytest.approx([1 / 2, 0, 1])
    assert figures["prevalence_ratio"] == pytest.approx([1, 1, 1])


def test_a_label_without_both_answers_in_a_draw_has_its_figure_of_the_sample_in_means():
    marks, probabilities = simulate_labels(2, 30, 3)
    weights = np.column_stack([np.ones(30), marks[:, 2] == 0, np.zeros(30)]).astype(float)
    figures = metrics.measure(Multilabel(marks, probabilities), Weights(weights), metrics.METRICS)
    here = marks[:, 2] == 0
    both, third = (
        metrics.score(marks[here, :2], probabilities[here, :2]),
        metrics.score(marks[:, 2:], probabilities[:, 2:]),
    )
    expected = {name: (2 * both[name] + third[name]) / 3 for name in both}
    assert {name: values[1] for name, values in figures.items()} == pytest.approx(expected)
    assert all(np.isnan(values[2]) for values in figures.values())


def test_of_two_classes_a_probability_too_small_for_its_complement_still_ranks():
    probabilities = np.array([[1.0, 1e-20], [1.0, 1e-19], [1.0, 1e-18]])
    assert metrics.score(np.array([0, 0, 1]), probabilities)["auc"] == 1
