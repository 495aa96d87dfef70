import numpy as np
import pytest
from sklearn.preprocessing import StandardScaler

from pipeline.heads import scaling


@pytest.fixture
def features():
    rng = np.random.default_rng(0)
    return (rng.normal(size=(10_000, 5)) * [1, 100, 0.01, 1, 0] + [0, 5, 1e3, -3, 0.1]).astype(np.float32)


def test_it_is_the_scaling_of_scikit_learn(features):
    scaled = scaling.fit(features[:9000]).scale(features.copy())
    expected = StandardScaler().fit(features[:9000].astype(np.float64)).transform(features.astype(np.float64))
    np.testing.assert_allclose(scaled[:, [0, 1, 3, 4]], expected[:, [0, 1, 3, 4]], atol=2e-5)
    np.testing.assert_allclose(scaled[:, 2], expected[:, 2], atol=0.02)  # 1000 ± 0.01 has three digits in float32
    assert scaled.dtype == np.float32


def test_it_works_in_place(features):
    assert scaling.fit(features).scale(features) is features


def test_a_constant_feature_becomes_zero(features):
    features[:, 1] = np.float32(0.1)
    assert (scaling.fit(features).scale(features)[:, 1] == 0).all()


def test_a_missing_value_becomes_the_mean_of_the_others(features):
    features[::2, 0], features[:, 3] = np.nan, np.nan
    learned = scaling.fit(features)
    assert learned.mean[0] == pytest.approx(features[1::2, 0].mean(), abs=1e-6)
    scaled = learned.scale(features.copy())
    assert (scaled[::2, 0] == 0).all()
    assert (scaled[:, 3] == 0).all()
    assert scaled[1::2, 0].std() == pytest.approx(1, abs=1e-4)


def test_rows_of_a_mapped_table_are_copied(features, tmp_path):
    np.save(tmp_path / "x.npy", features)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    taken = scaling.take(mapped, np.array([3, 1]))
    np.testing.assert_array_equal(taken, features[[3, 1]])
    assert type(taken) is np.ndarray
    assert taken.flags.writeable
