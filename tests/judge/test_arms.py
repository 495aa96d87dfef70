import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.judge import arms, counts, intervals, means, metrics
from pipeline.judge.tally import Multilabel, Predictions


def simulate(seed: int, rows: int = 300) -> arms.Rows:
    rng = np.random.default_rng(seed)
    labels = rng.choice(3, rows, p=[0.1, 0.3, 0.6])
    scores = np.exp(rng.normal(size=(rows, 3)) + 1.5 * np.eye(3)[labels])
    probabilities = scores / scores.sum(axis=1, keepdims=True)
    return arms.Rows(Predictions(labels, probabilities), np.arange(rows) % 2, intervals.codes(np.arange(rows) // 3))


def simulate_labels(seed: int, rows: int = 300) -> arms.Rows:
    rng = np.random.default_rng(seed)
    marks = (rng.random((rows, 3)) < [0.1, 0.3, 0.6]).astype(np.int8)
    probabilities = 1 / (1 + np.exp(-rng.normal(size=(rows, 3)) - 2 * marks + 1))
    marks[rng.random((rows, 3)) < 0.2] = -1
    return arms.Rows(Multilabel(marks, probabilities), np.arange(rows) % 2, intervals.codes(np.arange(rows) // 3))


VAL, TEST = simulate(1), simulate(2)
JUDGED = arms.judge(VAL, TEST, "quadratic", 200, 0.95, 0)


def test_figures_are_those_of_the_pooled_rows_and_of_each_fold():
    pooled = metrics.score(TEST.predictions.labels, TEST.predictions.probabilities)
    assert JUDGED.figures["test"]["kappa"] == pytest.approx(pooled["kappa"], rel=1e-5)
    assert list(JUDGED.figures["val"]) == list(metrics.METRICS)
    assert list(JUDGED.figures["folds"]) == ["0", "1"]
    even = metrics.score(VAL.predictions.labels[::2], VAL.predictions.probabilities[::2])
    assert JUDGED.figures["folds"]["0"]["val"] == pytest.approx(even, rel=1e-5)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), rows=st.integers(90, 300))
def test_every_test_figure_lies_in_its_interval(seed, rows):
    test = arms.judge(VAL, simulate(seed, rows), "quadratic", 200, 0.95, 0).figures["test"]
    for name in metrics.METRICS:
        assert test[f"{name}_low"] <= test[name] <= test[f"{name}_high"], name
        assert test[f"{name}_low"] < test[f"{name}_high"], name


def test_calibration_error_of_calibrated_probabilities_lies_in_its_interval_and_not_below_zero():
    probabilities = np.random.default_rng(0).dirichlet([1, 2, 4], 400)
    labels = (np.random.default_rng(1).random(400)[:, None] > probabilities.cumsum(axis=1)).sum(axis=1)
    rows = arms.Rows(Predictions(labels, probabilities), np.zeros(400, int), np.arange(400))
    test = arms.judge(rows, rows, "none", 200, 0.95, 0).figures["test"]
    assert 0 <= test["ece_low"] <= test["ece"] <= test["ece_high"]


def test_figures_have_six_digits():
    assert arms.rounded(0.123456789) == 0.123457
    values = [*JUDGED.figures["test"].values(), *JUDGED.figures["val"].values()]
    assert all(value == arms.rounded(value) for value in values)


def test_the_table_of_classes_counts_rows_patients_and_predictions():
    table = JUDGED.classwise
    assert list(table)[:8] == ["n", "rows", "patients", "few", "predicted", "recall", "recall_low", "recall_high"]
    ranged = ["recall", "specificity", "precision", "f1", "auc", "average_precision"]
    assert [name for name in table if f"{name}_low" in table and f"{name}_high" in table] == ranged
    assert set(metrics.CLASSWISE) - set(ranged) == {"prevalence_ratio"} <= set(table)
    assert table["n"].sum() == table["predicted"].sum() == 300
    assert (table["rows"] == 300).all()
    assert (table["patients"] <= np.minimum(table["n"], 100)).all()
    for name in ranged:
        assert (table[f"{name}_low"] < table[name]).all(), name
        assert (table[name] < table[f"{name}_high"]).all(), name
    np.testing.assert_allclose(table["prevalence_ratio"], table["predicted"] / table["n"])


def test_the_same_seed_gives_two_arms_the_same_draws():
    again = arms.judge(VAL, TEST, "quadratic", 200, 0.95, 0)
    assert all((again.draws[name] == JUDGED.draws[name]).all() for name in metrics.METRICS)
    other = arms.judge(VAL, TEST, "quadratic", 200, 0.95, 1)
    assert (other.draws["auc"] != JUDGED.draws["auc"]).any()


@settings(max_examples=4, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_every_test_figure_of_labels_lies_in_its_interval(seed):
    judged = arms.judge(simulate_labels(1), simulate_labels(seed), "quadratic", 200, 0.95, 0)
    test = judged.figures["test"]
    for name in metrics.METRICS:
        assert test[f"{name}_low"] <= test[name] <= test[f"{name}_high"], name
        assert test[f"{name}_low"] < test[f"{name}_high"], name


def test_the_table_of_labels_counts_what_is_known_of_each():
    rows = simulate_labels(2)
    marks, predicted = rows.predictions.labels, rows.predictions.probabilities > 0.5
    judged = arms.judge(rows, rows, "quadratic", 50, 0.95, 0)
    assert judged.classwise["n"].tolist() == (marks == 1).sum(axis=0).tolist()
    assert judged.classwise["rows"].tolist() == (marks >= 0).sum(axis=0).tolist()
    assert judged.classwise["predicted"].tolist() == (predicted & (marks >= 0)).sum(axis=0).tolist()
    assert judged.classwise["patients"][0] == len(set(rows.patients[marks[:, 0] == 1]))
    even = metrics.score(marks[::2], rows.predictions.probabilities[::2])
    assert judged.figures["folds"]["0"]["test"] == pytest.approx(even, rel=1e-5)


def test_draws_of_labels_are_those_of_the_rows_written_as_often():
    rows = simulate_labels(5, 150)
    drawn = intervals.bootstrap(rows.predictions, rows.patients, metrics.METRICS, 3, 7)
    times = counts.drawn(50, 3, 7)[0][rows.patients]
    for number in range(3):
        written = np.repeat(np.arange(150), times[:, number])
        expected = metrics.score(rows.predictions.labels[written], rows.predictions.probabilities[written])
        assert {name: values[number] for name, values in drawn.items()} == pytest.approx(expected, rel=1e-5)


def decided(rows: arms.Rows, seed: int) -> arms.Rows:
    """Decisions that have little to do with the probabilities."""
    of, rng = rows.predictions, np.random.default_rng(seed)
    shape = of.labels.shape
    chosen = rng.random(shape) < 0.5 if len(shape) == 2 else rng.integers(0, 3, shape)
    return arms.Rows(type(of)(of.labels, of.probabilities, chosen), rows.folds, rows.patients)


@pytest.mark.parametrize("make", [simulate, simulate_labels])
def test_figures_of_decisions_take_them_and_the_others_the_probabilities(make):
    val, test = make(1), make(2)
    plain = arms.judge(val, test, "quadratic", 100, 0.95, 0)
    other = arms.judge(decided(val, 3), decided(test, 4), "quadratic", 100, 0.95, 0)
    for part in ("val", "test"):
        for name in metrics.METRICS:
            same = plain.figures[part][name] == other.figures[part][name]
            assert same == (name not in metrics.DECIDED), (part, name)
    fold = other.figures["folds"]["0"]["test"]
    assert fold["accuracy"] != plain.figures["folds"]["0"]["test"]["accuracy"]
    assert fold["auc"] == plain.figures["folds"]["0"]["test"]["auc"]
    chosen, known = decided(test, 4).predictions.decided, test.predictions.known
    counts = (chosen & known).sum(axis=0) if chosen.ndim == 2 else np.bincount(chosen, minlength=3)
    assert other.classwise["predicted"].tolist() == counts.tolist()
    assert decided(test, 4).predictions.confusion.sum() == known.sum() if chosen.ndim == 2 else 300


@pytest.mark.parametrize("interval", ["percentile", "bca"])
@pytest.mark.parametrize("make", [simulate, simulate_labels])
def test_draws_taken_from_other_decisions_are_those_that_would_be_drawn(make, interval):
    val, test = make(1), decided(make(2), 4)
    plain = arms.judge(val, make(2), "quadratic", 100, 0.95, 0, None, interval)
    alone, like = (arms.judge(val, test, "quadratic", 100, 0.95, 0, of, interval) for of in (None, plain))
    assert alone.figures == like.figures
    assert bool(alone.left_out) == (interval == "bca")
    for one, other in ((alone.draws, like.draws), (alone.left_out, like.left_out)):
        assert list(one) == list(other)
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])
    for name, values in alone.classwise.items():
        np.testing.assert_array_equal(values, like.classwise[name])


def test_bca_intervals_of_an_arm_are_those_of_its_draws_and_jackknife_save_that_of_calibration_error():
    plain = arms.judge(VAL, TEST, "quadratic", 200, 0.95, 0)
    moved = arms.judge(VAL, TEST, "quadratic", 200, 0.95, 0, None, "bca")
    point = metrics.point(TEST.predictions, metrics.METRICS)
    for name in metrics.METRICS:
        behind = means.rests_on(name, moved.draws, moved.classwise["patients"], moved.patients)
        expected = intervals.ends(moved.draws[name], point[name], moved.left_out[name], 0.95, behind)
        found = [moved.figures["test"][f"{name}{end}"] for end in ("_low", "_high")]
        assert (found == pytest.approx(expected, rel=1e-5)) == (name != "ece")
    same = {
        name for name in metrics.METRICS if plain.figures["test"][f"{name}_low"] == moved.figures["test"][f"{name}_low"]
    }
    assert "ece" in same
    assert len(same) < 4
    assert moved.left_out["kappa"].shape == (100,)


def test_the_class_of_the_fewest_patients_stands_behind_the_means():
    labels, patients = np.array([0, 0, 0, 1, 1, 1, 1, 2, 2]), np.array([0, 1, 2, 3, 3, 3, 4, 5, 6])
    rows = arms.Rows(Predictions(labels, np.eye(4)[labels]), np.zeros(9, int), patients)
    assert arms.judge(rows, rows, "none", 20, 0.95, 0).figures["rarest"] == {"rows": 4, "patients": 2}


def test_a_figure_is_better_when_its_paired_interval_lies_above_zero():
    labels, patients = VAL.predictions.labels, VAL.patients
    right = arms.Rows(Predictions(labels, np.eye(3)[labels]), VAL.folds, patients)
    wrong = labels.copy()
    wrong[:3] = (wrong[:3] + 1) % 3  # one patient's images: as often drawn as not
    nearly = arms.Rows(Predictions(labels, np.eye(3)[wrong]), VAL.folds, patients)
    how = ("macro_f1", "quadratic", 400, 0.95, 0)
    assert arms.is_better(right, VAL, *how)
    assert not arms.is_better(VAL, right, *how)
    assert not arms.is_better(right, nearly, *how)
    assert not arms.is_better(VAL, VAL, *how)
