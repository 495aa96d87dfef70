import subprocess
import sys
from inspect import signature

import joblib
import numpy as np
import pytest
from imports import ROOT
from ruamel.yaml import YAML
from threadpoolctl import threadpool_limits

from pipeline.errors import PipelineError
from pipeline.heads import refusals
from pipeline.heads.classifiers import HEADS, Constant
from pipeline.heads.entries import Entry
from tests.heads.made import NAMES, blobs

IN_FILE = YAML(typ="safe").load(ROOT / "params.yaml")["heads"]
# The penalties of params.yaml suit features of a fine-tuned backbone; these suit a few well separated blobs.
CHANGED = {
    "logistic": {"C": 1.0},
    "linear_svm": {"C": 1.0},
    "tau_norm": {"C": 1.0},
    "lightgbm": {"learning_rate": 0.2, "num_leaves": 15, "min_child_samples": 5, "colsample_bytree": 1.0},
    "mlp": {"weight_decay": 0.01, "patience": None},
    "random_forest": {"n_estimators": 20, "class_weight": None},
    "balanced_random_forest": {"n_estimators": 20},
    "balanced_bagging": {"n_estimators": 20},
    "easy_ensemble": {"n_estimators": 3},
    "rus_boost": {"n_estimators": 30},
    "hierarchical": {"base": {"name": "logistic", "C": 1.0}},
    "ordinal": {"base": {"name": "logistic", "C": 1.0}},
}
WEIGHTED = ("logistic", "linear_svm", "lightgbm", "mlp", "random_forest")


def make(name, seed=0, classes=4, **changed):
    values = {**IN_FILE[name], **CHANGED.get(name, {}), **changed}
    return Entry("heads", name, values, f"heads.{name}").bound(NAMES[:classes])(random_state=seed)


def test_params_yaml_has_an_entry_for_each_head_and_no_value_is_at_fault():
    assert set(IN_FILE) == set(HEADS)
    for name, values in IN_FILE.items():
        assert Entry("heads", name, values, f"heads.{name}").faults(multilabel=False) == []


@pytest.mark.parametrize("name", HEADS)
def test_every_head_learns_and_gives_probabilities_of_the_classes_that_it_saw(name):
    X, y = blobs([90, 60, 30], dimensions=8)
    y = y + (y > 0)  # no row of class 1
    head = make(name).fit(X[:140], y[:140])
    probabilities = head.predict_proba(X[140:])
    assert head.classes_.tolist() == [0, 2, 3]
    assert probabilities.shape == (40, 3)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, rtol=1e-5)
    assert (head.classes_[probabilities.argmax(axis=1)] == y[140:]).mean() > 0.8


@pytest.mark.parametrize("name", HEADS)
def test_equal_seeds_give_equal_bits_and_a_saved_head_predicts_the_same(name, tmp_path):
    X, y = blobs([60, 40, 20, 10], dimensions=8)
    with threadpool_limits(1):
        one, same = (make(name, seed=3).fit(X, y) for _ in range(2))
        joblib.dump(one, tmp_path / "head.joblib")
        expected = one.predict_proba(X)
        np.testing.assert_array_equal(same.predict_proba(X), expected)
        np.testing.assert_array_equal(joblib.load(tmp_path / "head.joblib").predict_proba(X), expected)


@pytest.mark.parametrize("name", HEADS)
def test_rows_are_read_and_not_changed(name, tmp_path):
    X, y = blobs([60, 40, 20, 10], dimensions=8)
    np.save(tmp_path / "X.npy", X)
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    expected = make(name).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(make(name).fit(mapped, y).predict_proba(mapped), expected)


@pytest.mark.parametrize("name", HEADS)
def test_a_class_of_one_row_and_constant_features_are_no_obstacle(name):
    X, y = blobs([60, 40, 20, 1], dimensions=8)
    X[:, 2:4] = 0
    probabilities = make(name).fit(X, y).predict_proba(X)
    assert np.isfinite(probabilities).all()
    assert (probabilities.argmax(axis=1) == y).mean() > 0.45


@pytest.mark.parametrize("name", WEIGHTED)
def test_costs_weigh_classes_by_the_sum_of_their_mistakes_and_a_dear_class_is_found_more_often(name):
    rng = np.random.default_rng(0)
    y = (rng.random(800) < 0.2).astype(int)
    X = (rng.normal(size=(800, 5)) + 0.6 * y[:, None]).astype(np.float32)
    how = [{}, {"cost": [[0.0, 1.0], [6.0, 0.0]]}, {"class_weight": {"B": 6.0}}, {"class_weight": "balanced"}]
    heads = [make(name, classes=2, **weights).fit(X[:400], y[:400]) for weights in how]
    plain, dear, heavy, balanced = (head.predict_proba(X[400:]) for head in heads)
    np.testing.assert_array_equal(dear, heavy)
    for weighted in (dear, balanced):
        assert weighted.argmax(axis=1).sum() > 1.2 * plain.argmax(axis=1).sum()


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_weight_of_a_class_without_rows_is_no_obstacle(name):
    X, y = blobs([60, 40, 20])
    assert make(name, class_weight={"D": 5.0}).fit(X, y).classes_.tolist() == [0, 1, 2]


@pytest.mark.parametrize("name", WEIGHTED)
def test_a_cost_matrix_that_makes_no_sense_is_refused_as_the_head_is_made(name):
    with pytest.raises(PipelineError, match="cost: a right answer costs something: class"):
        make(name, classes=2, cost=[[0.0, 1.0], [1.0, 2.0]])


@pytest.mark.parametrize("name", [name for name in HEADS if "patience" in signature(HEADS[name]).parameters])
def test_patience_makes_a_head_that_can_be_stopped(name):
    X, y = blobs([90, 60])
    assert not hasattr(make(name, classes=2, patience=None), "stopped")
    copy = make(name, classes=2, patience=2).stopped(X[:100], y[:100], X[100:], y[100:])
    assert copy.patience is None
    assert copy.fit(X, y).predict_proba(X).shape == (150, 2)


@pytest.mark.parametrize("name", sorted(set(HEADS) - {"random_forest", "balanced_random_forest", "balanced_bagging"}))
def test_missing_values_are_refused(name):
    X, y = blobs([60, 40, 20, 10])
    X[3, 1] = np.nan
    with pytest.raises(refusals.refusals(), match="NaN"):
        make(name).fit(X, y)


def test_no_head_but_its_own_loads_a_heavy_library():
    code = """
import sys
from pipeline.heads.classifiers import HEADS
assert not {"sklearn", "scipy", "lightgbm", "imblearn", "torch"} & set(sys.modules)
HEADS["logistic"](random_state=0, C=1.0)
assert "sklearn" in sys.modules and not {"lightgbm", "imblearn", "torch"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr


def test_a_constant_gives_every_row_the_same():
    np.testing.assert_allclose(Constant(0.2).predict_proba(np.zeros((3, 5))), [[0.8, 0.2]] * 3)
