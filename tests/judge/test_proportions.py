import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from pipeline.judge import proportions


def ends(share: float, variance: float, rows: int, patients: int) -> tuple[float, float]:
    of = (np.array([value]) for value in (share, variance, rows, patients))
    low, high = proportions.ends(*of, 0.95)
    return float(low[0]), float(high[0])


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(2, 500), found=st.data())
def test_rows_that_are_independent_have_the_exact_interval_of_scipy(rows, found):
    hits = found.draw(st.integers(0, rows))
    share = hits / rows
    expected = stats.binomtest(hits, rows).proportion_ci(0.95, "exact")
    found = ends(share, share * (1 - share) / rows, rows, rows)
    assert found == pytest.approx((expected.low, expected.high))


def test_all_found_of_three_patients_may_be_less_than_a_third():
    """0.05/2 to the power of one third, by hand: how many images each has plays no part."""
    assert ends(1.0, 0.0, 30, 3) == (pytest.approx(0.2924, abs=1e-4), 1)
    assert ends(0.0, 0.0, 30, 3) == (0, pytest.approx(0.7076, abs=1e-4))


def test_images_that_agree_count_as_one():
    """16 of 20, in fours that agree: 4 of 5, and the variance has 4 degrees of freedom: (2.093 / 2.776)^2 of these."""
    of_groups = 0.8 * 0.2 / 5
    size = proportions.effective(*(np.array([value]) for value in (0.8, of_groups, 20, 5)), 0.95)
    assert size == pytest.approx(5 * (2.0930 / 2.7764) ** 2, rel=1e-4)
    low, high = ends(0.8, of_groups, 20, 5)
    assert low < ends(0.8, 0.8 * 0.2 / 20, 20, 20)[0]
    assert high > ends(0.8, 0.8 * 0.2 / 20, 20, 20)[1]


def test_a_share_that_hardly_varies_counts_no_more_rows_than_there_are():
    size = proportions.effective(*(np.array([value]) for value in (0.5, 1e-6, 40, 40)), 0.95)
    assert size == pytest.approx(40)


def test_no_row_has_no_interval():
    assert np.isnan(ends(np.nan, 0.0, 0, 0)).all()


@settings(max_examples=40, deadline=None)
@given(share=st.integers(0, 60), spread=st.floats(0, 2), rows=st.integers(1, 90), patients=st.integers(1, 90))
def test_no_interval_has_width_zero_and_each_holds_its_share(share, spread, rows, patients):
    share, patients = share / 60, min(rows, patients)
    low, high = ends(share, spread * share * (1 - share) / rows, rows, patients)
    assert 0 <= low <= share <= high <= 1
    assert high - low > 0.01
