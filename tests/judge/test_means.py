from typing import Any

import numpy as np
import pytest

from pipeline.judge import classwise, intervals, means, metrics
from pipeline.judge.tally import Predictions

OF_RECALL = means.OF_CLASS + "recall"


def varying(*spreads: float) -> np.ndarray:
    """Draws (2, K) whose variances are the squares of these."""
    return np.array([[-1.0], [1.0]]) * spreads


def test_a_mean_of_classes_alike_rests_on_the_patients_of_all_of_them():
    assert means.behind(varying(1, 1, 1), np.array([11, 11, 11])) == pytest.approx(1 + 30)


def test_a_mean_that_hangs_on_one_class_rests_on_its_patients():
    assert means.behind(varying(0.001, 1, 0.001), np.array([500, 6, 500])) == pytest.approx(6, rel=1e-3)


def test_degrees_of_freedom_are_those_of_welch_and_satterthwaite():
    patients, spreads = np.array([4, 21]), np.array([0.3, 0.1])
    parts = spreads**2 * patients / (patients - 1)  # 0.12, 0.0105
    assert means.behind(varying(*spreads), patients) == pytest.approx(1 + parts.sum() ** 2 / (parts**2 / [3, 20]).sum())
    assert means.behind(varying(*spreads), patients) == pytest.approx(4.54390, abs=1e-4)


def test_classes_that_no_draw_has_or_that_do_not_vary_have_no_part():
    draws = varying(1, 1, 0)
    draws[:, 1] = np.nan
    assert means.behind(draws, np.array([9, 0, 40])) == pytest.approx(9)
    assert means.behind(varying(0, 0), np.array([9, 40])) == 49


def test_figures_that_are_no_means_over_classes_rest_on_all_patients():
    assert means.rests_on("kappa", {}, np.array([3, 3]), 80) == 80
    assert set(means.PARTS) | {"macro_f1", "kappa", "accuracy", "brier", "log_loss", "ece"} == set(metrics.METRICS)
    assert set(means.PARTS.values()) <= set(metrics.CLASSWISE)


def test_intervals_of_balanced_accuracy_hold_the_truth_more_often_with_the_patients_that_it_rests_on():
    wanted = {"balanced_accuracy": metrics.balanced_accuracy, OF_RECALL: metrics.recall}
    truth = float(metrics.point(simulated(np.random.default_rng(0), 300)[0], wanted)["balanced_accuracy"])
    held = [holds(truth, *simulated(np.random.default_rng(seed + 1), 1), wanted, seed) for seed in range(200)]
    wider, plain = np.mean(held, axis=0)
    assert plain == pytest.approx(0.75, abs=0.03)
    assert wider == pytest.approx(0.845, abs=0.03)


def holds(truth: float, given: Predictions, patients: np.ndarray, wanted: Any, seed: int) -> list[bool]:
    """Whether the interval holds the truth, with and without the patients that the figure rests on."""
    point, draws = metrics.point(given, wanted), intervals.bootstrap(given, patients, wanted, 200, seed)
    (name, point), behind = next(iter(point.items())), classwise.patients_with(given.present, patients)
    rests_on = means.rests_on(name, draws, behind, 68)
    each = [intervals.ends(draws[name], point, None, 0.95, of) for of in (rests_on, None)]
    return [bool(low <= truth <= high) for low, high in each]


def simulated(rng: np.random.Generator, times: int) -> tuple[Predictions, np.ndarray]:
    """Five images of each patient, who has one class and is hard or easy; 4, 4 and 60 patients of the classes."""
    classes = np.repeat([0, 1, 2], [4 * times, 4 * times, 60 * times])
    of = np.repeat(np.arange(len(classes)), 5)
    scores = 2 * np.eye(3)[classes[of]] + rng.normal(0, 0.7, (len(classes), 3))[of] + rng.normal(0, 0.5, (len(of), 3))
    return Predictions(classes[of], np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)), of
