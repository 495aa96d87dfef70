import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.judge import counts, intervals, metrics
from pipeline.judge.counts import Counts
from pipeline.judge.tally import Multilabel, Predictions, Tally, Weights


def flat(times: np.ndarray, draws: int) -> np.ndarray:
    """(P, draws) of (blocks, P, WIDTH)."""
    return np.concatenate(list(times), axis=1)[:, :draws]


@settings(max_examples=30, deadline=None)
@given(patients=st.integers(1, 60), draws=st.integers(1, 150), seed=st.integers(0, 100))
def test_a_draw_takes_as_many_patients_as_there_are(patients, draws, seed):
    times = counts.drawn(patients, draws, seed)
    assert (flat(times, draws).sum(axis=0, dtype=int) == patients).all()
    assert times.sum(dtype=int) == patients * draws
    assert not times.flags.writeable


def test_one_patient_is_always_drawn_and_hundreds_of_times_is_not_too_often():
    assert flat(counts.drawn(1, 3, 0), 3).tolist() == [[1, 1, 1]]
    assert flat(counts.drawn(300, 500, 0), 500).max() < 10


def test_the_draws_of_one_seed_begin_alike_and_zero_is_a_seed():
    few, many = flat(counts.drawn(50, 70, 0), 70), flat(counts.drawn(50, 200, 0), 200)
    np.testing.assert_array_equal(few, many[:, :70])
    assert (few != flat(counts.drawn(50, 70, 1), 70)).any()


def test_patients_are_left_out_one_by_one_or_in_200_groups_of_nearly_the_same_size():
    times, draws = counts.left_out(5)
    np.testing.assert_array_equal(flat(times, draws), 1 - np.eye(5))
    times, draws = counts.left_out(450)
    missing = 1 - flat(times, draws)
    assert draws == 200
    assert (missing.sum(axis=1) == 1).all()
    assert sorted(set(missing.sum(axis=0))) == [2, 3]


def simulate(seed: int, rows: int = 90) -> tuple[Predictions, Multilabel, np.ndarray]:
    """Probabilities with few digits, so that many are equal; patients whose rows stand anywhere."""
    rng = np.random.default_rng(seed)
    labels, patients = rng.integers(0, 4, rows), intervals.codes(rng.integers(0, 25, rows))
    probabilities = rng.multinomial(5, [0.25] * 4, rows) / 5
    marks = rng.integers(-1, 2, (rows, 3)).astype(np.int8)
    return Predictions(labels, probabilities), Multilabel(marks, rng.integers(0, 9, (rows, 3)) / 8), patients


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), kind=st.integers(0, 1))
def test_counted_patients_give_the_figures_of_rows_with_these_weights(seed, kind):
    *both, patients = simulate(seed)
    count, draws = int(patients.max()) + 1, 70
    for times in (counts.drawn(count, draws, seed), counts.left_out(count)[0]):
        width = min(draws, count) if times.shape[0] == 1 else draws
        weights = flat(times, width)[patients].astype(float)
        every = metrics.METRICS | {f"{name}_of_class": metric for name, metric in metrics.CLASSWISE.items()}
        found = metrics.measure(both[kind], Counts(times, width, patients), every)
        expected = metrics.measure(both[kind], Weights(weights), every)
        for name, values in expected.items():
            np.testing.assert_allclose(found[name], values, rtol=2e-6, atol=1e-7, err_msg=name)
            assert found[name].dtype == np.float64


def test_areas_and_counts_are_exact():
    of, _, patients = simulate(3, 4000)
    times = counts.drawn(int(patients.max()) + 1, 64, 0)
    tallies = Tally(of, Counts(times, 64, patients)), Tally(of, Weights(times[0][patients].astype(float)))
    np.testing.assert_array_equal(tallies[0].confusion, tallies[1].confusion)
    for one, other in zip(*(tally.areas for tally in tallies), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13)


def test_a_draw_without_rows_of_a_class_or_of_others_has_no_area():
    of = Predictions(np.array([0, 0, 1, 1]), np.array([[0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.4, 0.6]]))
    times = np.zeros((1, 3, counts.WIDTH), np.uint8)
    times[0, :, :4] = np.array([[1, 0, 0], [0, 0, 2], [1, 1, 1], [0, 1, 3]]).T
    auc, precision = Tally(of, Counts(times, 4, np.array([0, 1, 1, 2]))).areas
    assert auc[:, 0] == pytest.approx([np.nan, np.nan, 7 / 8, (1 + 3 / 2) / 4], nan_ok=True)
    assert precision[:, 0] == pytest.approx([np.nan, 1, 5 / 6, (1 + 3 * 4 / 5) / 4], nan_ok=True)


def test_no_row_at_all_has_no_figure():
    of = Multilabel(np.array([[1, -1], [0, -1], [1, -1]], np.int8), np.array([[0.9, 0.5], [0.1, 0.5], [0.8, 0.5]]))
    found = intervals.bootstrap(of, np.arange(3), {"recall": metrics.recall, "auc": metrics.auc}, 20, 0)
    assert np.isnan(found["recall"][:, 1]).all()
    assert (found["auc"][~np.isnan(found["auc"])] == 1).all()


def test_compiled_loops_are_loaded_by_a_bootstrap_alone():
    code = (
        "import sys, numpy as np; from pipeline.judge import arms, curves, intervals, metrics; "
        "from pipeline.judge.tally import Predictions; labels = np.array([0, 1]); "
        "metrics.score(labels, np.eye(2)); assert 'numba' not in sys.modules; "
        "intervals.bootstrap(Predictions(labels, np.eye(2)), labels, {'recall': metrics.recall}, 2, 0); "
        "assert 'numba' not in sys.modules; "
        "intervals.bootstrap(Predictions(labels, np.eye(2)), labels, {'auc': metrics.auc}, 2, 0); "
        "sys.exit('numba' not in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
