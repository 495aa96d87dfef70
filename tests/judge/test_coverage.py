"""How often intervals hold the truth, in simulated data sets whose patients have several images that are alike."""

import numpy as np
import pytest

from pipeline.judge import classwise, intervals, metrics
from pipeline.judge.tally import Predictions

MEANS = {name: metrics.METRICS[name] for name in ("macro_f1", "balanced_accuracy", "auc")}
SETS, DRAWS = 500, 400


def simulate(seed: int, patients: int) -> tuple[Predictions, np.ndarray]:
    """One to five images per patient, most of them of the patient's class; half of a score's variance is the patient's.

    Of 100 patients 15, 35 and 50 have each class.
    """
    rng = np.random.default_rng(seed)
    of = np.repeat(np.arange(patients), rng.integers(1, 6, patients))
    shares, rows = [0.15, 0.35, 0.5], len(of)
    usual, other = rng.choice(3, patients, p=shares)[of], rng.choice(3, rows, p=shares)
    labels = np.where(rng.random(rows) < 0.1, other, usual)
    alike = rng.normal(size=(patients, 3))[of] + rng.normal(size=(rows, 3))
    scores = np.exp(1.6 * np.eye(3)[labels] + 0.8 * alike + [0, 0.4, 0.8])
    return Predictions(labels, scores / scores.sum(axis=1, keepdims=True)), of


def truth(wanted: dict[str, metrics.Metric]) -> dict[str, np.ndarray]:
    """Figures of 600,000 patients."""
    each = [metrics.point(simulate(10**6 + seed, 200_000)[0], wanted) for seed in range(3)]
    return {name: np.mean([of[name] for of in each], axis=0) for name in wanted}


def test_intervals_of_95_percent_hold_the_truth_in_93_to_97_of_100_data_sets():
    true, held = truth(MEANS), {(name, kind): 0 for name in MEANS for kind in ("percentile", "bca")}
    for seed in range(SETS):
        given, patients = simulate(seed, 400)
        draws = intervals.bootstrap(given, patients, MEANS, DRAWS, 0)
        left_out, point = intervals.jackknife(given, patients, MEANS), metrics.point(given, MEANS)
        for name in MEANS:
            for kind, left in (("percentile", None), ("bca", left_out[name])):
                low, high = intervals.ends(draws[name], point[name], left, 0.95)
                held[name, kind] += bool(low <= true[name] <= high)
    expected = {
        ("macro_f1", "percentile"): 476,
        ("macro_f1", "bca"): 473,
        ("balanced_accuracy", "percentile"): 471,
        ("balanced_accuracy", "bca"): 470,
        ("auc", "percentile"): 472,
        ("auc", "bca"): 470,
    }
    assert held == pytest.approx(expected, abs=2)  # sums of other machines differ in their last bits
    assert all(0.93 <= count / SETS <= 0.97 for count in held.values())


def test_shares_of_a_class_of_nine_patients_are_held_where_percentiles_are_too_narrow():
    wanted = {name: metrics.CLASSWISE[name] for name in classwise.SHARES}
    true, held = truth(wanted), {(name, kind): 0 for name in wanted for kind in ("ours", "percentile")}
    for seed in range(200):
        given, patients = simulate(seed, 60)
        draws, point = intervals.bootstrap(given, patients, wanted, DRAWS, 0), metrics.point(given, wanted)
        table = classwise.table(given, patients, point, draws, {}, 0.95)
        for name in classwise.SHARES:
            low, high = intervals.percentiles(draws[name], 0.95)
            held[name, "percentile"] += bool(low[0] <= true[name][0] <= high[0])
            held[name, "ours"] += bool(table[f"{name}_low"][0] <= true[name][0] <= table[f"{name}_high"][0])
    assert [held[name, "ours"] for name in classwise.SHARES] == pytest.approx([193, 197, 199, 191], abs=2)
    assert [held[name, "percentile"] for name in classwise.SHARES] == pytest.approx([175, 175, 190, 179], abs=2)
