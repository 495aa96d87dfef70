"""Who is in the phantom data set."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.phantom import plan

DENSITIES = {"A": 40, "B": 363, "C": 849, "D": 335}


@st.composite
def sizes(draw):
    count = draw(st.integers(12, 150))
    return draw(st.integers(count, 4 * count)), count


@given(size=sizes(), seed=st.integers(0, 2**32 - 1))
def test_every_patient_has_one_to_four_different_views_and_all_images_are_dealt(size, seed):
    images, count = size
    people = plan.patients(images, count, DENSITIES, 0.1, seed)
    assert sorted(patient.number for patient in people) == list(range(count))
    assert sum(len(patient.views) for patient in people) == images
    assert all(1 <= len(set(patient.views)) == len(patient.views) <= 4 for patient in people)


@pytest.mark.parametrize("seed", range(5))
def test_images_per_class_come_near_the_proportions(seed):
    people = plan.patients(1000, 400, DENSITIES, 0, seed)
    assert Counter(patient.label for patient in people) == {"A": 11, "B": 91, "C": 213, "D": 85}
    images = Counter(label for patient in people for label in [patient.label] * len(patient.views))
    expected = {name: 1000 * share / 1587 for name, share in DENSITIES.items()}
    assert all(abs(images[name] - expected[name]) < 8 for name in DENSITIES), images


@given(share=st.floats(0, 1), seed=st.integers(0, 1000))
def test_label_noise_moves_exactly_that_share_of_patients_by_one_class(share, seed):
    clean, noisy = (plan.patients(200, 100, DENSITIES, noise, seed) for noise in (0, share))
    place = list(DENSITIES).index
    steps = [abs(place(was.label) - place(now.label)) for was, now in zip(clean, noisy, strict=True)]
    assert sum(steps) == round(share * 100)
    assert max(steps) <= 1
    assert sorted(patient.views for patient in clean) == sorted(patient.views for patient in noisy)


def test_neighbouring_classes_overlap_and_distant_ones_hardly_do():
    density = {name: [] for name in DENSITIES}
    for patient in plan.patients(2000, 2000, dict.fromkeys(DENSITIES, 1), 0, 0):
        density[patient.label].append(patient.density)
    a, b, c = (np.array(density[name]) for name in "ABC")
    assert 0.02 < np.mean(a > b.mean() - (b.mean() - a.mean()) / 2) < 0.15
    assert np.mean(a > (b.mean() + c.mean()) / 2) < 0.001


def test_the_number_of_a_patient_tells_nothing_about_the_class():
    people = plan.patients(1000, 400, DENSITIES, 0, 0)
    ordered = [list(DENSITIES).index(patient.label) for patient in sorted(people, key=lambda patient: patient.number)]
    assert abs(np.corrcoef(ordered, np.arange(400))[0, 1]) < 0.15


@given(total=st.integers(4, 500), proportions=st.lists(st.floats(0.01, 100), min_size=2, max_size=4))
def test_apportioned_numbers_add_up_and_leave_no_class_empty(total, proportions):
    numbers = plan.apportion(total, np.array(proportions))
    assert numbers.sum() == total
    assert numbers.min() >= 1


def test_broken_patients_take_the_faults_by_turns():
    broken = plan.broken(3, 400, "C", ("truncated", "text"))
    assert [(patient.id, fault) for patient, fault in broken] == [
        ("DEMO-0400", "truncated"),
        ("DEMO-0401", "text"),
        ("DEMO-0402", "truncated"),
    ]
    assert {patient.label for patient, _ in broken} == {"C"}
