import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imports import ROOT
from ruamel.yaml import YAML

from pipeline import engine
from pipeline.errors import PipelineError
from pipeline.heads import arms
from pipeline.heads.classifiers import HEADS
from pipeline.heads.resamplers import RESAMPLERS
from pipeline.heads.rows import Rows

VALUES = YAML(typ="safe").load(ROOT / "params.yaml")
# The penalties of params.yaml suit features of a fine-tuned backbone; these suit a few well separated blobs.
VALUES["heads"] |= {
    "logistic": {"C": 1.0, "max_iter": 1000},
    "lightgbm": VALUES["heads"]["lightgbm"]
    | {"learning_rate": 0.2, "num_leaves": 15, "min_child_samples": 5, "colsample_bytree": 1.0},
    "mlp": {"epochs": 50},
}


def resample(name, X, y, seed=0, **changed):
    return arms.bind_resampler(name, {**VALUES["resamplers"][name], **changed})(
        Rows(X, y, np.arange(len(y))), random_state=np.random.RandomState(seed)
    )


def blobs(sizes, dimensions=6, seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(sizes)), sizes)
    X = rng.normal(size=(len(y), dimensions)) + 2 * rng.normal(size=(len(sizes), dimensions))[y]
    order = rng.permutation(len(y))
    return X[order].astype(np.float32), y[order]


@pytest.mark.parametrize("name", RESAMPLERS)
@given(st.lists(st.integers(1, 25), min_size=2, max_size=4), st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_real_rows_come_first_and_no_class_is_invented(name, sizes, seed):
    X, y = blobs(sizes, seed=seed)
    rows = resample(name, X, y, seed % 2**32)
    np.testing.assert_array_equal(rows.X[: len(X)], X)
    np.testing.assert_array_equal(rows.y[: len(y)], y)
    assert set(rows.y) == set(y)
    assert rows.X.dtype == np.float32
    assert np.isfinite(rows.X).all()
    if name != "none":
        assert set(np.bincount(rows.y)) == {max(sizes)}


@pytest.mark.parametrize("name", RESAMPLERS)
def test_equal_seeds_give_equal_rows(name):
    X, y = blobs([30, 12, 8])
    one, same, other = (resample(name, X, y, seed).X for seed in (3, 3, 4))
    np.testing.assert_array_equal(one, same)
    assert name == "none" or not np.array_equal(one, other)


@pytest.mark.parametrize("name", ["smote", "borderline_smote"])
def test_two_shifted_classes_do_not_get_the_same_offsets(name):
    """With an integer seed, imbalanced-learn draws the same positions for every class."""
    minority, shift = np.random.default_rng(0).normal(size=(10, 4)), np.array([6.0, 0, 0, 0])
    majority = np.random.default_rng(1).normal(size=(40, 4)) * 4
    X = np.concatenate([majority, minority, minority + shift]).astype(np.float32)
    rows = resample(name, X, np.repeat([0, 1, 2], [40, 10, 10]))
    one, other = (rows.X[60:][rows.y[60:] == label] for label in (1, 2))
    assert not np.allclose(one, other - shift.astype(np.float32), atol=1e-4)


def test_smote_puts_rows_between_two_rows_of_the_class():
    X = np.array([[0, 0], [1, 0], [9, 9], [9, 8], [8, 9], [8, 8], [7, 7]], np.float32)
    rows = resample("smote", X, np.array([1, 1, 0, 0, 0, 0, 0]), k_neighbors=1)
    added = rows.X[7:]
    assert len(added) == 3
    assert (added[:, 1] == 0).all()
    assert ((added[:, 0] >= 0) & (added[:, 0] <= 1)).all()


def test_a_class_too_small_for_the_neighbours_uses_those_it_has_and_says_so():
    X, y = blobs([20, 3])
    assert resample("smote", X, y).notes == {1: "2 neighbours instead of 5, since it has 3 rows"}


def test_a_class_of_one_row_is_repeated_and_says_so():
    X, y = blobs([20, 1])
    rows = resample("smote", X, y)
    assert rows.notes == {1: "one row, random_over instead of smote"}
    np.testing.assert_array_equal(rows.X[21:], np.repeat(X[y == 1], 19, axis=0))


def test_borderline_smote_starts_from_rows_in_danger_only():
    """Han et al. 2005: of the m nearest, at least half but not all are of the majority."""
    safe = np.array([[0, 0], [0.1, 0], [0, 0.1], [0.1, 0.1]])
    danger = np.array([[5.0, 0]])
    noise = np.array([[20.0, 0]])
    majority = np.concatenate(
        [[[5.2, 0], [5, 0.3]], 20 + np.random.default_rng(0).normal(size=(12, 2)) * [1, 0.1] * 0.1]
    )
    majority[2:, 1] -= 20
    X = np.concatenate([safe, danger, noise, majority]).astype(np.float32)
    y = np.array([1] * 6 + [0] * 14)
    rows = resample("borderline_smote", X, y, k_neighbors=2, m_neighbors=3)
    added = rows.X[20:]
    assert not rows.notes
    assert len(added) == 8
    assert (added[:, 0] > 0.05).all()  # on lines from (5, 0) to its neighbours among the safe rows
    assert (added[:, 0] <= 5).all()


def test_borderline_smote_without_a_row_in_danger_takes_smote_and_says_so():
    X = np.concatenate(
        [np.random.default_rng(0).normal(size=(30, 3)), 100 + np.random.default_rng(1).normal(size=(12, 3))]
    )
    rows = resample("borderline_smote", X.astype(np.float32), np.repeat([0, 1], [30, 12]))
    assert rows.notes == {1: "no row in danger, smote instead of borderline_smote"}
    assert (rows.y == 1).sum() == 30


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", HEADS)
def test_every_head_learns_and_gives_probabilities_of_all_classes(name):
    X, y = blobs([60, 40, 20])
    train, test = np.arange(90), np.arange(90, 120)
    head = arms.bind_head(name, VALUES["heads"][name])
    fitted = [
        arms.fit_fold(X, y, np.arange(len(y)), train, test, 4, arms.bind_resampler("none", {}), head, (0, 0))
        for _ in range(2)
    ]
    probabilities = fitted[0].probabilities
    assert probabilities.shape == (30, 4)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-5)
    assert (probabilities[:, 3] == 0).all()
    assert (probabilities.argmax(1) == y[test]).mean() > 0.8
    np.testing.assert_array_equal(probabilities, fitted[1].probabilities)


def test_only_training_rows_shape_what_is_fitted():
    """Whatever stands in the rows to predict, scaler, resampled counts and head stay the same."""
    X, y = blobs([60, 40, 20])
    other = X.copy()
    other[90:] = 1e6
    fitted = [
        arms.fit_fold(
            of,
            y,
            np.arange(len(y)),
            np.arange(90),
            np.arange(90, 120),
            3,
            arms.bind_resampler("smote", VALUES["resamplers"]["smote"]),
            arms.bind_head("logistic", VALUES["heads"]["logistic"]),
            (0, 0),
        )
        for of in (X, other)
    ]
    np.testing.assert_array_equal(fitted[0].scaler.mean_, fitted[1].scaler.mean_)
    np.testing.assert_array_equal(fitted[0].head.coef_, fitted[1].head.coef_)
    assert fitted[0].counts_before.sum() == 90
    assert set(fitted[0].counts_after) == {fitted[0].counts_before.max()}


def test_resampling_before_the_split_inflates_the_score_and_after_the_split_does_not():
    """The harness can see leakage: on pure noise an honest arm finds nothing, a leaking one does."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(240, 20)).astype(np.float32), np.repeat([0, 1], [200, 40])
    head = arms.bind_head("lightgbm", VALUES["heads"]["lightgbm"])
    over = arms.bind_resampler("random_over", {})

    def balanced_accuracy(X, y, resampler):
        rows = rng.permutation(len(y))
        train, test = rows[: len(y) // 2], rows[len(y) // 2 :]
        hit = (
            arms.fit_fold(X, y, np.arange(len(y)), train, test, 2, resampler, head, (0, 0)).probabilities.argmax(1)
            == y[test]
        )
        return np.mean([hit[y[test] == label].mean() for label in (0, 1)])

    leaked = over(Rows(X, y, np.arange(len(y))), random_state=np.random.RandomState(0))
    assert balanced_accuracy(leaked.X, leaked.y, arms.bind_resampler("none", {})) > 0.85
    assert abs(balanced_accuracy(X, y, over) - 0.5) < 0.12


def test_folds_in_parallel_give_the_same_bits_each_time():
    """Sums depend on the number of BLAS threads, and that on what the other folds do, unless it is fixed."""
    X, y = blobs([300, 200, 60], dimensions=300)
    head = arms.bind_head("logistic", VALUES["heads"]["logistic"])
    smote = arms.bind_resampler("smote", VALUES["resamplers"]["smote"])

    def fit(fold):
        return arms.fit_fold(
            X, y, np.arange(560), np.arange(400), np.arange(400, 560), 3, smote, head, (0, fold)
        ).probabilities

    def run():
        with arms.threads_each(1):
            return np.stack(list(engine.map(fit, range(4), 2, "folds", threads=True)))

    first = run()
    assert all(np.array_equal(run(), first) for _ in range(3))


def test_all_faults_of_the_grid_are_reported_at_once_with_what_there_is():
    grid = {"resamplers": ["smot", "smote"], "heads": ["logistic", "lightgbm", "mlp"]}
    heads = VALUES["heads"] | {"logistic": {"c": 1}, "mlp": VALUES["heads"]["mlp"] | {"hidden": "128"}}
    with pytest.raises(PipelineError) as error:
        arms.check({"smot": {}, "smote": {"k_neighbors": True}}, heads, grid)
    assert str(error.value).splitlines() == [
        "params.yaml: 4 in the grid:",
        "  - resamplers.smot: there is no such entry; there are none, random_over, smote, borderline_smote; "
        "did you mean smote?",
        "  - resamplers.smote.k_neighbors: must be of type int (got True)",
        "  - heads.logistic: takes C, max_iter (got c)",
        "  - heads.mlp.hidden: must be of type int (got '128')",
        "  Remedy: mend these entries, then run again",
    ]


def test_the_grid_of_the_repository_has_no_fault():
    arms.check(VALUES["resamplers"], VALUES["heads"], {"resamplers": list(RESAMPLERS), "heads": list(HEADS)})


@pytest.mark.parametrize(("name", "key", "value"), [("logistic", "C", -1.0), ("lightgbm", "num_leaves", 1)])
def test_a_value_that_a_library_refuses_is_one_of_the_refusals(name, key, value):
    X, y = blobs([20, 20])
    head = arms.bind_head(name, VALUES["heads"][name] | {key: value})
    caught = None
    try:
        arms.fit_fold(
            X, y, np.arange(40), np.arange(30), np.arange(30, 40), 2, arms.bind_resampler("none", {}), head, (0, 0)
        )
    except Exception as error:
        caught = error
    assert isinstance(caught, arms.refusals())


def fit_label(X, marks, train, predict, name="logistic", resampler="smote", seed=(0, 0, 0)):
    return arms.fit_label(
        X,
        np.asarray(marks, np.int8),
        np.arange(len(X)),
        train,
        predict,
        arms.bind_resampler(resampler, VALUES["resamplers"][resampler]),
        arms.bind_head(name, VALUES["heads"][name]),
        seed,
    )


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", HEADS)
def test_every_head_learns_a_label(name):
    X, y = blobs([100, 50])
    fitted = fit_label(X, y, np.arange(110), np.arange(110, 150), name)
    assert fitted.probabilities.shape == (40, 2)
    assert ((fitted.probabilities[:, 1] > 0.5) == (y[110:] == 1)).mean() > 0.8


def test_rows_where_a_label_is_not_known_teach_it_nothing_and_are_predicted_all_the_same():
    X, y = blobs([100, 50])
    marks, train, predict = y.astype(np.int8), np.arange(110), np.arange(110, 150)
    unknown = np.random.default_rng(0).permutation(150)[:60]
    marks[unknown] = -1
    other = X.copy()
    other[np.intersect1d(unknown, train)] = 1e6
    known = np.setdiff1d(train, unknown)
    one, same = fit_label(X, marks, train, predict), fit_label(other, marks, train, predict)
    np.testing.assert_array_equal(one.probabilities, same.probabilities)
    np.testing.assert_array_equal(one.probabilities, fit_label(X, y, known, predict).probabilities)
    assert one.counts_before.tolist() == np.bincount(y[known]).tolist()
    assert len(one.probabilities) == 40


@pytest.mark.parametrize(
    ("mark", "constant", "note"),
    [
        (0, 1 / 22, "present in none of the training rows, the same probability 0.0455 for every image"),
        (1, 21 / 22, "present in all of the training rows, the same probability 0.955 for every image"),
        (-1, 1 / 2, "known of none of the training rows, the same probability 0.5 for every image"),
    ],
)
def test_a_label_of_one_answer_gets_a_constant_probability_and_says_so(mark, constant, note):
    X, y = blobs([15, 15])
    marks = np.where(np.arange(30) < 20, mark, y)
    fitted = fit_label(X, marks, np.arange(20), np.arange(20, 30))
    np.testing.assert_allclose(fitted.probabilities, np.tile([1 - constant, constant], (10, 1)))
    np.testing.assert_array_equal(fitted.head.predict_proba(X[20:]), fitted.probabilities)
    assert fitted.notes == {1: note}


def test_labels_are_joined_in_their_order_with_the_counts_of_being_present():
    X, y = blobs([20, 3, 40])
    train, predict = np.arange(50), np.arange(50, 63)
    each = [fit_label(X, y == label, train, predict, seed=(0, 0, label)) for label in range(3)]
    each.append(fit_label(X, np.zeros(63), train, predict))
    joined = arms.join_labels(each)
    assert joined.probabilities.shape == (13, 4)
    np.testing.assert_array_equal(joined.probabilities[:, 2], each[2].probabilities[:, 1])
    assert joined.counts_before.tolist() == [*np.bincount(y[:50]).tolist(), 0]
    larger = [max((y[:50] == label).sum(), (y[:50] != label).sum()) for label in range(3)]
    assert joined.counts_after.tolist() == [*larger, 0]
    assert set(joined.notes) == {1, 3}
    assert joined.notes[1] == "1 neighbour instead of 5, since it has 2 rows"


def test_what_is_said_of_the_rows_without_a_label_says_so():
    X, y = blobs([3, 20])
    joined = arms.join_labels([fit_label(X, y, np.arange(23), np.arange(23))])
    assert joined.notes == {0: "rows without it: 2 neighbours instead of 5, since it has 3 rows"}


def test_labels_with_seeds_of_their_own_get_other_offsets():
    X, y = blobs([40, 10])
    one, same, other = (
        fit_label(X, y, np.arange(50), np.arange(50), seed=(0, 0, label)).probabilities for label in (0, 0, 1)
    )
    np.testing.assert_array_equal(one, same)
    assert not np.array_equal(one, other)
