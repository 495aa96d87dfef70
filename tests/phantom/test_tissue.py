"""What a phantom breast looks like."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.phantom import tissue

SHAPE = (160, 128)


def breast(density, view="CC", laterality="L", seed=0, size=1.0):
    return tissue.mammogram(density, size, view, laterality, SHAPE, np.random.default_rng(seed))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000), view=st.sampled_from(["CC", "MLO"]))
def test_more_dense_tissue_makes_the_same_breast_brighter(seed, view):
    means = [breast(density, view, seed=seed).mean() for density in (0.1, 0.4, 0.7, 1.0)]
    assert np.all(np.diff(means) > 0)


@pytest.mark.parametrize("view", ["CC", "MLO"])
def test_the_chest_wall_of_a_right_breast_is_the_right_edge(view):
    left, right = breast(0.5, view, "L"), breast(0.5, view, "R")
    assert np.array_equal(left, right[:, ::-1])
    assert left[:, 0].mean() > 0.2
    assert left[:, -1].max() < 1e-6


def test_only_the_oblique_view_shows_the_pectoral_muscle_in_its_upper_corner():
    corner = np.s_[:12, :12]
    assert breast(0.1, "MLO")[corner].mean() > 0.5
    assert breast(0.1, "CC")[corner].max() == 0


@settings(max_examples=20, deadline=None)
@given(density=st.floats(-0.2, 1.3), size=st.floats(0.5, 1.5), seed=st.integers(0, 100))
def test_any_breast_is_finite_has_air_around_it_and_keeps_to_its_shape(density, size, seed):
    image = breast(density, size=size, seed=seed)
    assert image.shape == SHAPE
    assert image.dtype == np.float32
    assert np.isfinite(image).all()
    assert 0 < (image > 0).mean() < 0.9


@pytest.mark.parametrize("gain", [0.2, 1.0, 3.0])
def test_exposed_values_keep_to_twelve_bits(gain):
    values = tissue.exposed(breast(1.0), gain, 1.0, 1.0, np.random.default_rng(0))
    assert values.dtype == np.uint16
    assert values.max() <= 4095
    assert len(np.unique(values)) > 50


def test_noise_falls_off_as_the_power_law_says():
    noise = tissue.power_law((256, 256), 3.0, np.random.default_rng(0))
    assert noise.mean() == pytest.approx(0, abs=1e-4)
    assert noise.std() == pytest.approx(1, abs=1e-4)
    power = np.abs(np.fft.fft2(noise))[0, 1:100] ** 2 + np.abs(np.fft.fft2(noise))[1:100, 0] ** 2
    slope = np.polyfit(np.log(np.arange(4, 100)), np.log(power[3:]), 1)[0]
    assert slope == pytest.approx(-3, abs=0.4)
