import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.choices import Decision
from pipeline.errors import PipelineError
from pipeline.heads.deciding import cuts, variants
from pipeline.heads.deciding.calibration import Shares
from pipeline.heads.deciding.variants import Role

CLASSES = ["A", "B", "C"]
NATURAL = Shares(np.array([0.1, 0.3, 0.6]), np.array([0.1, 0.3, 0.6]))
BALANCED = Shares(np.array([0.1, 0.3, 0.6]), np.full(3, 1 / 3))
SELECT = ["balanced_accuracy_adjusted", "kappa"]
THRESHOLDS = Decision("thresholds", {"metric": "macro_f1"})


def simulate(seed: int, strength: float, rows: int = 120, folds: int = 2) -> Role:
    """Three rows of each patient."""
    rng = np.random.default_rng(seed)
    patients = np.arange(rows) // 3
    labels = rng.choice(3, patients.max() + 1, p=[0.15, 0.3, 0.55])[patients]
    scores = np.exp(rng.normal(size=(rows, 3)) + strength * np.eye(3)[labels])
    return Role(labels, scores / scores.sum(axis=1, keepdims=True), patients % folds, patients)


@pytest.mark.parametrize("metric", ["balanced_accuracy_adjusted", "kappa"])
def test_a_rule_on_noise_gains_nothing_on_validation(metric):
    def value(rows: Role, decided: np.ndarray) -> float:
        goal = cuts.objective(metric, rows.labels, 3, "none")
        return goal(decided, rows.labels)

    crossed, fooled, plain = [], [], []
    for seed in range(25):
        val = simulate(seed, 0.0, folds=1)
        decision = Decision("thresholds", {"metric": metric})
        made = variants.make(decision, val, val, {0: NATURAL}, "none", CLASSES)
        crossed.append(value(val, made.val.decided))
        fooled.append(value(val, made.test.decided))  # as test rows, they are decided by what they taught
        plain.append(value(val, val.probabilities.argmax(axis=1)))
    assert np.mean(fooled) > np.mean(plain) + 0.05
    assert np.mean(crossed) < np.mean(plain) + 0.02


@pytest.mark.parametrize("decision", [THRESHOLDS, Decision("argmax", {}, "vector"), Decision("argmax", {}, "isotonic")])
def test_what_is_said_of_patients_on_validation_is_not_fitted_on_them(decision):
    val, test, shares = simulate(0, 1.0, folds=1), simulate(1, 1.0, folds=1), {0: NATURAL}
    first = variants.make(decision, val, test, shares, "none", CLASSES)
    turn = variants.groups(val.labels, val.patients)
    moved = 0
    for patient in range(0, 40, 3):
        own = val.patients == patient
        swapped = np.where(own[:, None], val.probabilities[:, ::-1], val.probabilities)
        again = variants.make(
            decision, Role(val.labels, swapped, val.folds, val.patients), test, shares, "none", CLASSES
        )
        mates = (turn == turn[own][0]) & ~own
        np.testing.assert_array_equal(again.val.probabilities[mates], first.val.probabilities[mates])
        np.testing.assert_array_equal(again.val.certainty[mates], first.val.certainty[mates])
        moved += (again.val.certainty[turn != turn[own][0]] != first.val.certainty[turn != turn[own][0]]).any()
    assert moved > 10


@settings(max_examples=50, deadline=None)
@given(patients=st.integers(1, 30), seed=st.integers(0, 10**6), labels=st.booleans())
def test_groups_part_patients_evenly_and_spread_those_of_the_rarest_class(patients, seed, labels):
    rng = np.random.default_rng(seed)
    of = np.sort(rng.integers(0, patients, 3 * patients))
    truth = rng.integers(-1, 2, (len(of), 3)) if labels else rng.choice(3, len(of), p=[0.1, 0.3, 0.6])
    turn = variants.groups(truth, of)
    each = {patient: set(turn[of == patient].tolist()) for patient in np.unique(of).tolist()}
    assert all(len(found) == 1 for found in each.values())
    sizes = np.bincount([found.pop() for found in each.values()])
    assert len(sizes) == min(5, len(each))
    assert sizes.max() - sizes.min() <= 1
    if not labels:
        rarest = np.bincount(truth, minlength=3).argmin()
        having = np.unique(of[truth == rarest])
        groups = [turn[of == patient][0] for patient in having]
        assert len(set(groups)) == min(5, len(having))


def test_the_only_patient_of_a_fold_is_decided_by_argmax_on_validation():
    val, test = simulate(0, 1.0, rows=3, folds=1), simulate(1, 1.0, folds=1)
    made = variants.make(THRESHOLDS, val, test, {0: NATURAL}, "none", CLASSES)
    np.testing.assert_array_equal(made.val.decided, val.probabilities.argmax(axis=1))
    np.testing.assert_array_equal(made.val.probabilities, val.probabilities)


def test_each_fold_is_decided_by_its_own_validation_rows():
    val, test = simulate(0, 1.0), simulate(1, 1.0)
    both = variants.make(THRESHOLDS, val, test, {0: NATURAL, 1: NATURAL}, "none", CLASSES)
    here = val.folds == 1, test.folds == 1
    alone = variants.make(THRESHOLDS, val.at(here[0]), test.at(here[1]), {1: NATURAL}, "none", CLASSES)
    np.testing.assert_array_equal(both.val.decided[here[0]], alone.val.decided)
    np.testing.assert_array_equal(both.test.decided[here[1]], alone.test.decided)
    assert both.fitted[1]["rule"]["kind"] == "Weights"
    np.testing.assert_array_equal(both.fitted[1]["rule"]["weights"], alone.fitted[1]["rule"]["weights"])


def test_what_validation_teaches_nothing_is_not_crossed():
    val, test = simulate(0, 1.0), simulate(1, 1.0)
    made = variants.make(variants.PRIOR, val, test, {0: BALANCED, 1: BALANCED}, "none", CLASSES)
    corrected = val.probabilities * [0.1, 0.3, 0.6]
    np.testing.assert_allclose(made.val.probabilities, corrected / corrected.sum(axis=1, keepdims=True))
    np.testing.assert_array_equal(made.val.decided, corrected.argmax(axis=1))


def test_labels_are_decided_each_on_its_own():
    rng = np.random.default_rng(0)
    marks = rng.integers(-1, 2, (60, 2)).astype(np.int8)
    role = Role(marks, rng.random((60, 2)), np.zeros(60, int), np.arange(60) // 2)
    shares = {0: Shares(np.array([0.3, 0.5]), np.array([0.5, 0.5]))}
    for decision in (THRESHOLDS, Decision("tilt", {"metric": "macro_f1"}, "vector"), variants.PRIOR):
        made = variants.make(decision, role, role, shares, "none", ["Mass", "Nodule"])
        assert made.val.decided.dtype == made.test.decided.dtype == bool
        assert made.test.decided.shape == made.test.certainty.shape == (60, 2)
    cut = variants.make(
        Decision("sensitivity", {"class": "Nodule", "least": 1.0}), role, role, shares, "none", ["Mass", "Nodule"]
    )
    assert cut.test.decided[marks[:, 1] == 1, 1].all()
    np.testing.assert_array_equal(cut.test.decided[:, 0], role.probabilities[:, 0] > 0.5)


def test_an_arm_that_learned_natural_shares_has_moved_operating_points_and_others_a_corrected_prior():
    names = [str(one) for one in variants.of_arm([], SELECT, {0: NATURAL})]
    assert names == ["thresholds", "tilt"]
    assert [str(one) for one in variants.of_arm([], SELECT, {0: NATURAL, 1: BALANCED})] == ["prior"]
    assert variants.of_arm([], SELECT, {}) == []
    given_ = [variants.PRIOR, Decision("argmax", {}, "temperature"), Decision("reject", {"coverage": 0.9})]
    assert [str(one) for one in variants.of_arm(given_, SELECT, {0: NATURAL})] == ["thresholds", "tilt", "temperature"]
    assert [str(one) for one in variants.of_arm(given_, SELECT, {0: BALANCED})] == ["prior", "prior", "temperature"]


def test_an_arm_without_resampling_is_tuned_also_where_views_or_weights_moved_its_shares():
    found = variants.of_arm([], SELECT, {0: BALANCED}, plain=True)
    assert [str(one) for one in found] == ["prior", "thresholds", "tilt"]


@pytest.mark.parametrize(
    ("select", "metric"),
    [
        (["balanced_accuracy", "kappa"], "balanced_accuracy_adjusted"),
        (["auc", "kappa"], "kappa"),
        (["auc", "average_precision"], "macro_f1"),
    ],
)
def test_what_is_tuned_is_tuned_for_what_selects(select, metric):
    assert variants.of_arm([], select, {0: NATURAL})[0].values == {"metric": metric}
    assert variants.of_arm([THRESHOLDS], select, {})[0].values == {"metric": "macro_f1"}


def test_a_class_that_is_not_there_and_shares_that_are_not_known_are_errors():
    val = simulate(0, 1.0)
    of = Decision("sensitivity", {"class": "AA", "least": 0.9})
    with pytest.raises(PipelineError, match=r"sensitivity: there is no class AA; did you mean A\?"):
        variants.make(of, val, val, {}, "none", CLASSES)
    for decision in (Decision("tilt", {"metric": "kappa"}), variants.PRIOR):
        with pytest.raises(PipelineError, match="the class shares of the training rows are not known"):
            variants.make(decision, val, val, {}, "none", CLASSES)
