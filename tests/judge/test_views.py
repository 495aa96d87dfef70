import numpy as np
import pytest
from sklearn.metrics import f1_score, roc_auc_score

from pipeline.judge import metrics, views
from pipeline.judge.arms import Rows, judge
from pipeline.judge.tally import Multilabel, Predictions

CLASSES = ["a", "b", "c", "d"]
VIEW = {"low": ["a", "b"], "high": ["d", "c"]}


@pytest.fixture
def rows() -> Rows:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 120)
    scores = np.exp(rng.normal(size=(120, 4)) + 1.5 * np.eye(4)[labels])
    given = scores / scores.sum(axis=1, keepdims=True)
    return Rows(
        Predictions(labels, given, (given * [3, 1, 1, 1]).argmax(axis=1)), np.arange(120) % 2, np.arange(120) // 3
    )


def test_merged_classes_have_the_sum_of_their_probabilities_and_the_decisions_that_were_taken(rows):
    merged, given = views.merged(rows, VIEW, CLASSES).predictions, rows.predictions
    np.testing.assert_allclose(merged.probabilities[:, 1], given.probabilities[:, 2] + given.probabilities[:, 3])
    np.testing.assert_allclose(merged.probabilities.sum(axis=1), 1)
    np.testing.assert_array_equal(merged.labels, given.labels >= 2)
    np.testing.assert_array_equal(merged.predicted, given.decided >= 2)
    assert (merged.predicted != merged.probabilities.argmax(axis=1)).any()
    found = metrics.point(merged, metrics.METRICS)
    assert found["macro_f1"] == pytest.approx(f1_score(given.labels >= 2, given.decided >= 2, average="macro"))
    assert found["auc"] == pytest.approx(roc_auc_score(given.labels >= 2, merged.probabilities[:, 1]))


def test_the_order_of_groups_is_that_of_the_view(rows):
    turned = views.merged(rows, dict(reversed(VIEW.items())), CLASSES)
    np.testing.assert_array_equal(turned.predictions.labels, rows.predictions.labels < 2)


@pytest.mark.parametrize("interval", ["percentile", "bca"])
def test_figures_of_all_rows_are_those_of_the_arm(rows, interval):
    expected = judge(rows, rows, "quadratic", 200, 0.9, 3, interval=interval).figures["test"]
    wanted = {name: metrics.METRICS[name] for name in ("kappa", "auc", "brier")}
    found = views.figures(rows, wanted, 200, 0.9, 3, interval)
    for name, three in found.items():
        assert three == pytest.approx([expected[f"{name}{end}"] for end in ("", "_low", "_high")], rel=1e-5)


def test_some_rows_keep_their_decisions_and_only_their_patients_are_drawn(rows):
    here = rows.patients % 4 == 1
    kept = views.some(rows, here)
    np.testing.assert_array_equal(kept.predictions.decided, rows.predictions.decided[here])
    np.testing.assert_array_equal(kept.folds, rows.folds[here])
    assert np.unique(kept.patients).tolist() == list(range(10))
    labels = Rows(Multilabel(np.ones((4, 2), np.int8), np.ones((4, 2))), np.zeros(4, int), np.array([3, 3, 5, 6]))
    assert views.some(labels, np.array([True, False, True, False])).patients.tolist() == [0, 1]
