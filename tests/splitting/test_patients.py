import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import splitting
from pipeline.errors import PipelineError
from pipeline.splitting import strata


def cohort(rng, patients, shares, most_images=4):
    """Index with one label per patient and 1 to `most_images` images each."""
    labels = rng.choice(len(shares), patients, p=shares)
    labels[: 5 * len(shares)] = np.repeat(np.arange(len(shares)), 5)  # five patients of each class at least
    images = rng.integers(1, most_images + 1, patients)
    rows = np.repeat(np.arange(patients), images)
    return pd.DataFrame(
        {
            "image_id": [f"i{n:05}" for n in range(len(rows))],
            "group": [f"g{n}" for n in rows],
            "label": [f"c{labels[n]}" for n in rows],
            "path": [f"{n}.dcm" for n in range(len(rows))],
            "split": "",
        }
    )


@given(st.integers(0, 2**31), st.integers(2, 5), st.integers(1, 4))
@settings(max_examples=25, deadline=None)
def test_no_patient_is_in_two_roles_and_every_class_is_in_every_role(seed, classes, folds):
    rng = np.random.default_rng(seed)
    index = cohort(rng, 60, rng.dirichlet(np.full(classes, 2.0)))
    names = [f"c{n}" for n in range(classes)]
    split = splitting.split_by_patient(index, names, folds, 1, 0.2, 0.2, 3, seed)
    assert len(split) == folds
    for roles in split:
        assert (index.assign(role=roles).groupby("group")["role"].nunique() == 1).all()
        present = index.assign(role=roles).groupby("role")["label"].nunique()
        assert present.loc[strata.TRAIN] == classes
        assert len(present) == 3


def test_each_image_is_tested_in_exactly_one_fold_of_each_repeat():
    index = cohort(np.random.default_rng(0), 100, [0.7, 0.2, 0.1])
    split = splitting.split_by_patient(index, ["c0", "c1", "c2"], 5, 2, 0.1, 0.2, 3, 0)
    tested = np.sum([roles == strata.TEST for roles in split], axis=0)
    assert len(split) == 10
    assert (tested == 2).all()


def test_shares_of_every_class_hold_within_five_percent():
    index = cohort(np.random.default_rng(1), 3000, [0.5, 0.3, 0.15, 0.05])
    names = [f"c{n}" for n in range(4)]
    (roles,) = splitting.split_by_patient(index, names, 1, 1, 0.1, 0.2, 3, 0)
    for name in names:
        of_class = roles[(index["label"] == name).to_numpy()]
        shares = np.bincount(of_class, minlength=3) / len(of_class)
        np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], rtol=0.05)


def test_the_split_depends_on_who_shares_a_patient_and_not_on_the_name_of_the_group():
    index = cohort(np.random.default_rng(2), 80, [0.6, 0.4])
    renamed = index.assign(group=index["group"].map(lambda group: f"{hash(group) % 10**9}-{group}"))
    one, other = (splitting.split_by_patient(of, ["c0", "c1"], 3, 1, 0.2, 0.2, 4, 7) for of in (index, renamed))
    np.testing.assert_array_equal(one, other)


def test_seeds_give_other_splits_and_the_same_seed_the_same():
    index = cohort(np.random.default_rng(3), 80, [0.6, 0.4])
    zero, again, one = (
        splitting.split_by_patient(index, ["c0", "c1"], 1, 1, 0.2, 0.2, 4, seed)[0] for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(zero, again)
    assert (zero != one).any()


def test_a_class_with_one_patient_is_refused_with_its_name_and_size():
    index = cohort(np.random.default_rng(4), 50, [0.5, 0.5])
    index.loc[index["group"] == "g20", "label"] = "rare"
    images = (index["group"] == "g20").sum()
    with pytest.raises(PipelineError, match=rf"fewer than two patients.*rare \({images} images\)\n  Remedy: add"):
        splitting.split_by_patient(index, ["c0", "c1", "rare"], 1, 1, 0.2, 0.2, 3, 0)


def test_fewer_patients_than_roles_are_refused_with_the_counts():
    rows = [("a", "A"), ("a", "B"), ("b", "A"), ("b", "B")]
    index = pd.DataFrame(rows, columns=["group", "label"]).assign(image_id=list("wxyz"), path="p", split="")
    with pytest.raises(PipelineError, match=r"absent: val, test; patients per class: \{'A': 2, 'B': 2\}"):
        splitting.split_by_patient(index, ["A", "B"], 1, 1, 0.2, 0.2, 3, 0)


def given_split(roles):
    index = pd.DataFrame({"split": roles, "label": ["A", "B"] * (len(roles) // 2)})
    return index.assign(group=[f"g{n // 2}" for n in range(len(index))], image_id=index.index, path="x.png")


def test_the_users_split_is_honoured():
    index = given_split(["train"] * 4 + ["val"] * 2 + ["test"] * 2)
    (roles,) = splitting.split_as_given(index, ["A", "B"], 0.2, 3, 0)
    assert roles.tolist() == [0, 0, 0, 0, 1, 1, 2, 2]


def test_validation_is_carved_out_of_training_by_patient_when_the_user_gives_none():
    index = given_split(["train"] * 40 + ["test"] * 10)
    (roles,) = splitting.split_as_given(index, ["A", "B"], 0.2, 3, 0)
    assert (roles[40:] == strata.TEST).all()
    assert np.bincount(roles, minlength=3).tolist() == [32, 8, 10]
    assert (index.assign(role=roles).groupby("group")["role"].nunique() == 1).all()


def test_a_patient_in_two_roles_of_the_users_split_is_refused_with_a_path():
    index = given_split(["train", "test"] * 4)
    with pytest.raises(PipelineError, match=r"4 patients are in more than one role, with images such as x\.png"):
        splitting.split_as_given(index, ["A", "B"], 0.2, 3, 0)


@pytest.mark.parametrize(
    ("roles", "message"),
    [(["train", ""] * 2, "2 images have no split"), (["train", "train"] * 2, "no image is in test")],
)
def test_an_incomplete_split_is_refused(roles, message):
    with pytest.raises(PipelineError, match=message):
        splitting.split_as_given(given_split(roles), ["A", "B"], 0.2, 3, 0)
