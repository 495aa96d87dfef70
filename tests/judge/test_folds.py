import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import integrate, stats

from pipeline.judge import folds

GAPS = np.array([0.02, 0.05, 0.01, 0.04, 0.03])  # mean 0.03, variance 0.00025


def test_p_is_that_of_the_corrected_resampled_t_test():
    # t = 0.03 / sqrt((1/5 + 1/4) · 0.00025) = 2.8284, 4 degrees of freedom
    assert folds.tell(GAPS, 0.25, 0.01).p_folds == pytest.approx(2 * stats.t.sf(2.8284271, 4))
    assert folds.tell(GAPS, 0.25, 0.01).p_folds == pytest.approx(0.0474207, abs=1e-6)


def test_without_test_rows_the_correction_is_nothing_and_p_that_of_the_paired_t_test():
    other = np.array([0.6, 0.5, 0.55, 0.7, 0.65])
    assert folds.tell(GAPS, 0, 0.01).p_folds == pytest.approx(stats.ttest_rel(other + GAPS, other).pvalue)


def test_the_posterior_is_the_mass_of_student_t_beyond_and_within_the_region():
    told = folds.tell(GAPS, 0.25, 0.01)
    posterior = 4, 0.03, np.sqrt(0.45 * 0.00025)
    masses = [integrate.quad(lambda x: stats.t.pdf(x, *posterior), *ends)[0] for ends in ((0.01, 3), (-0.01, 0.01))]
    assert (told.better, told.same) == pytest.approx(tuple(masses), abs=1e-6)
    assert told.worse == pytest.approx(stats.t.cdf(-0.01, *posterior))
    assert told.better == pytest.approx(0.933791, abs=1e-6)


@given(st.lists(st.floats(-1, 1), min_size=2, max_size=8), st.floats(0, 1), st.floats(0, 0.1))
def test_turning_arms_round_turns_better_and_worse_and_the_three_sum_to_one(gaps, ratio, rope):
    one, other = (folds.tell(sign * np.array(gaps), ratio, rope) for sign in (1, -1))
    assert sum(one[1:]) == pytest.approx(1)
    assert all(-1e-12 <= value <= 1 + 1e-12 for value in one)
    assert (one.better, one.same, one.worse) == pytest.approx((other.worse, other.same, other.better), abs=1e-9)
    assert one.p_folds == other.p_folds


def test_more_test_rows_to_training_rows_tell_less():
    assert [folds.tell(GAPS, ratio, 0.01).p_folds for ratio in (0, 0.25, 1)] == sorted(
        folds.tell(GAPS, ratio, 0.01).p_folds for ratio in (0, 0.25, 1)
    )


def test_a_difference_without_spread_is_taken_as_known():
    assert folds.tell(np.full(3, 0.3), 0.5, 0.01) == (0, 1, 0, 0)
    assert folds.tell(np.full(3, -0.3), 0.5, 0.01) == (0, 0, 0, 1)
    assert folds.tell(np.full(3, 0.005), 0.5, 0.01) == (0, 0, 1, 0)
    assert folds.tell(np.zeros(3), 0.5, 0) == (1, 0, 1, 0)
    assert folds.tell(0.1 + 0.2 - np.full(10, 0.1), 0.1, 0.01) == (0, 1, 0, 0)


@pytest.mark.parametrize(("gaps", "ratio"), [([0.1], 0.5), ([], 0.5), ([0.1, np.nan], 0.5), ([0.1, 0.2], np.nan)])
def test_one_fold_or_an_unknown_ratio_tells_nothing(gaps, ratio):
    assert np.isnan(folds.tell(np.array(gaps, np.float64), ratio, 0.01)).all()


def test_a_fold_that_lacks_the_figure_does_not_count():
    assert folds.tell(np.append(GAPS, np.nan), 0.25, 0.01) == folds.tell(GAPS, 0.25, 0.01)


def test_figures_are_those_of_test_by_fold():
    of = {"0": {"val": {"kappa": 9}, "test": {"kappa": 0.1}}, "1": {"val": {"kappa": 9}, "test": {"kappa": 0.2}}}
    np.testing.assert_array_equal(folds.figures(of, "kappa"), [0.1, 0.2])
