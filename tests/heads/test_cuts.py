from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.heads.deciding import cuts
from pipeline.judge import metrics, tally

METRICS = ("macro_f1", "kappa", "balanced_accuracy_adjusted")


def simulate(rows: int, classes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, rows)
    return rng.dirichlet(np.ones(classes), rows) * 0.6 + 0.4 * np.eye(classes)[labels], labels


def judged(metric: str, probabilities: np.ndarray, labels: np.ndarray, decided: np.ndarray, kappa: str) -> float:
    of = tally.predictions(labels, probabilities, decided)
    return float(metrics.point(of, {metric: metrics.registry(kappa)[metric]})[metric])


def unadjusted(value: float, labels: np.ndarray) -> float:
    chance = 1 / len(np.unique(labels))
    return chance + value * (1 - chance)


@settings(max_examples=40, deadline=None)
@given(
    rows=st.integers(2, 40),
    classes=st.integers(2, 5),
    seed=st.integers(0, 10**6),
    metric=st.sampled_from(METRICS),
    kappa=st.sampled_from(["quadratic", "linear", "none"]),
)
def test_the_objective_is_the_metric_of_the_judge(rows, classes, seed, metric, kappa):
    probabilities, labels = simulate(rows, classes, seed)
    decided = np.random.default_rng(seed).integers(0, classes, rows)
    goal = cuts.objective(metric, labels, classes, kappa)
    found = goal(decided, labels)
    expected = judged(metric, probabilities, labels, decided, kappa)
    if metric == "balanced_accuracy_adjusted":
        expected = unadjusted(expected, labels) if len(np.unique(labels)) > 1 else found
    assert found == pytest.approx(np.nan_to_num(expected))


@settings(max_examples=60, deadline=None)
@given(rows=st.integers(2, 25), seed=st.integers(0, 10**6), metric=st.sampled_from(METRICS), ties=st.booleans())
def test_the_cut_of_two_classes_is_the_best_of_all(rows, seed, metric, ties):
    probabilities, labels = simulate(rows, 2, seed)
    if ties:
        probabilities = np.round(probabilities, 1)
        probabilities[:, 0] = 1 - probabilities[:, 1]
    goal = cuts.objective(metric, labels, 2, "quadratic")
    weights = cuts.ascend(probabilities, labels, goal)
    scores = probabilities[:, 1]
    every = [(scores > cut).astype(int) for cut in [-1, *scores]]
    best = max(goal(decided, labels) for decided in every)
    assert goal((weights * probabilities).argmax(axis=1), labels) == pytest.approx(best)


@settings(max_examples=30, deadline=None)
@given(rows=st.integers(3, 30), seed=st.integers(0, 10**6), metric=st.sampled_from(METRICS), number=st.integers(0, 2))
def test_one_step_is_the_best_of_all_cuts_of_a_class_beside_the_others(rows, seed, metric, number):
    probabilities, labels = simulate(rows, 3, seed)
    weights = np.random.default_rng(seed).uniform(0.3, 3, 3)
    goal = cuts.objective(metric, labels, 3, "quadratic")
    cut, value = cuts._best_cut(probabilities, labels, weights, number, goal)

    def reached(weight: float) -> float:
        given = weights.copy()
        given[number] = weight
        return goal((given * probabilities).argmax(axis=1), labels)

    assert reached(cut) == pytest.approx(value)
    others = np.delete(weights * probabilities, number, axis=1).max(axis=1) / probabilities[:, number]
    assert value == pytest.approx(max(reached(w) for edge in others for w in (edge * 0.999999, edge * 1.000001)))


@pytest.mark.parametrize("metric", METRICS)
def test_weights_of_three_classes_come_near_the_best_of_a_fine_grid(metric):
    for seed in range(8):
        probabilities, labels = simulate(30, 3, seed)
        goal = cuts.objective(metric, labels, 3, "quadratic")

        def reached(weights, probabilities=probabilities, labels=labels, goal=goal):
            return goal((weights * probabilities).argmax(axis=1), labels)

        steps = np.exp(np.linspace(-2, 2, 41))
        best = max(reached(np.array([1, a, b])) for a, b in product(steps, steps))
        found = reached(cuts.ascend(probabilities, labels, goal))
        assert found >= reached(np.ones(3))
        assert found >= best - 0.04


def test_a_cut_lies_half_way_in_odds_and_argmax_stays_where_nothing_is_gained():
    # Odds of the second class: 1/9 and 1/4; only the higher row has it. The cut lies at 1/6.
    probabilities, labels = np.array([[0.9, 0.1], [0.8, 0.2]]), np.array([0, 1])
    goal = cuts.objective("macro_f1", labels, 2, "none")
    np.testing.assert_allclose(cuts.ascend(probabilities, labels, goal), [1, 6])
    right = np.array([[0.9, 0.1], [0.2, 0.8]])
    np.testing.assert_array_equal(cuts.ascend(right, labels, goal), [1, 1])


def test_of_a_label_f1_is_that_of_its_presence():
    labels = np.array([0, 0, 0, 1])
    goal = cuts.objective("macro_f1", labels, 2, "none", label=True)
    assert goal(np.array([0, 0, 1, 1]), labels) == pytest.approx(2 / 3)
    assert goal(np.zeros(4, int), labels) == 0
