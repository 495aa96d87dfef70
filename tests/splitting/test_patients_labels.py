"""Splits of images with several labels."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline import splitting
from pipeline.errors import PipelineError
from pipeline.splitting.strata import TEST, TRAIN, VAL

NAMES = ["Effusion", "Mass", "Edema", "Hernia"]


def cohort(rng, patients, shares, missing=0.0, tail=1.5, most=60):
    """Index of patients with 1 to `most` images, a heavy tail, whose labels depend on the patient."""
    images = np.minimum(1 + np.floor(0.8 * np.exp(tail * rng.normal(size=patients))), most).astype(int)
    rows = np.repeat(np.arange(patients), images)
    inclined = rng.normal(size=(patients, len(shares)))[rows]
    latent = 0.7 * inclined + 0.7 * rng.normal(size=inclined.shape)
    codes = (latent > np.quantile(latent, 1 - np.array(shares), axis=0).diagonal()).astype(np.int8)
    codes[rng.random(codes.shape) < missing] = -1
    columns = {f"label_{name}": codes[:, number] for number, name in enumerate(NAMES[: len(shares)])}
    ids = [f"i{number:05}" for number in range(len(rows))]
    return pd.DataFrame({"image_id": ids, "group": rows.astype(str), "label": "", "split": "", "path": "x", **columns})


def shares(index, roles):
    """Share of the rows with each label that each role has, (3, L)."""
    present = index.filter(like="label_").to_numpy() == 1
    return np.stack([present[roles == role].sum(0) for role in range(3)]) / present.sum(0)


@given(st.integers(0, 2**31), st.integers(1, 4), st.sampled_from([0.0, 0.3]))
@settings(max_examples=15, deadline=None)
def test_no_patient_is_in_two_roles_and_every_label_is_there_and_not_there_in_each(seed, folds, missing):
    index = cohort(np.random.default_rng(seed), 120, [0.4, 0.2, 0.12, 0.1], missing)
    split = splitting.split_by_patient(index, NAMES, folds, 1, 0.2, 0.2, 3, seed)
    assert len(split) == folds
    for roles in split:
        assert (index.assign(role=roles).groupby("group")["role"].nunique() == 1).all()
        for role in (TRAIN, VAL, TEST):
            codes = index.filter(like="label_").to_numpy()[roles == role]
            assert (codes == 1).any(0).all()
            assert (codes == 0).any(0).all()


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_the_share_of_every_label_holds_and_so_do_those_of_images_and_patients(missing):
    index = cohort(np.random.default_rng(1), 4000, [0.18, 0.05, 0.02, 0.01], missing)
    (roles,) = splitting.split_by_patient(index, NAMES, 1, 1, 0.1, 0.2, 5, 0)
    wanted = np.array([0.7, 0.1, 0.2])
    assert ((index.filter(like="label_") == 1).sum()[["label_Edema", "label_Hernia"]] < [300, 150]).all()
    np.testing.assert_allclose(shares(index, roles)[:, :2], np.outer(wanted, [1, 1]), rtol=0.05)
    np.testing.assert_allclose(shares(index, roles)[:, 2:], np.outer(wanted, [1, 1]), rtol=0.10)
    np.testing.assert_allclose(np.bincount(roles) / len(roles), wanted, rtol=0.05)
    patients = index.assign(role=roles).drop_duplicates("group")["role"].value_counts(normalize=True).sort_index()
    np.testing.assert_allclose(patients, wanted, rtol=0.2)


def test_where_a_label_is_missing_its_known_absence_is_shared_out_too():
    index = cohort(np.random.default_rng(2), 3000, [0.2, 0.1], 0.0)
    half = index["group"].astype(int) % 2 == 0
    index.loc[half, "label_Mass"] = -1
    (roles,) = splitting.split_by_patient(index, NAMES[:2], 1, 1, 0.1, 0.2, 3, 0)
    known = np.bincount(roles[index["label_Mass"] == 0]) / (index["label_Mass"] == 0).sum()
    np.testing.assert_allclose(known, [0.7, 0.1, 0.2], rtol=0.03)


def test_each_image_is_tested_in_exactly_one_fold_of_each_repeat():
    index = cohort(np.random.default_rng(3), 200, [0.3, 0.2])
    split = splitting.split_by_patient(index, NAMES[:2], 4, 2, 0.2, 0.2, 2, 0)
    tested = np.sum([roles == TEST for roles in split], axis=0)
    assert (len(split), set(tested.tolist())) == (8, {2})


def test_validation_is_carved_out_of_the_training_rows_of_the_users_split():
    index = cohort(np.random.default_rng(4), 400, [0.3, 0.1])
    index["split"] = np.where(index["group"].astype(int) < 100, "test", "train")
    (roles,) = splitting.split_as_given(index, NAMES[:2], 0.25, 5, 0)
    assert ((roles == TEST) == (index["split"] == "test")).all()
    kept = shares(index, roles)[:2]
    np.testing.assert_allclose(kept[1] / kept.sum(0), [0.25, 0.25], rtol=0.05)
    assert (index.assign(role=roles).groupby("group")["role"].nunique() == 1).all()


def test_a_label_that_one_patient_has_or_lacks_is_refused_by_name():
    index = cohort(np.random.default_rng(5), 60, [0.4, 0.3, 0.3])
    index["label_Mass"] = (index["group"] == "7").astype("int8")
    index["label_Edema"] = (index["group"] != "9").astype("int8")
    few, lack = (int((index["group"] == name).sum()) for name in "79")
    message = (
        rf"fewer than two patients have .*: label Mass \({few} images\), absence of label Edema \({lack} images\)\n"
        r"  Remedy: add patients, or leave the label out by data.classes"
    )
    with pytest.raises(PipelineError, match=message):
        splitting.split_by_patient(index, NAMES[:3], 1, 1, 0.2, 0.2, 3, 0)


def test_labels_that_no_assignment_spreads_are_refused_by_name():
    """Four patients, of whom the same one has all images of a label that three have."""
    rows = [("a", 1, 1), ("a", 0, 0), ("b", 1, 0), ("b", 0, 1)]
    index = pd.DataFrame(rows, columns=["group", "label_Mass", "label_Edema"]).assign(label="", path="x", split="")
    message = r"gives every role its labels; absent: .*; patients per label: \{'Mass': 2, 'Edema': 2\}"
    with pytest.raises(PipelineError, match=message):
        splitting.split_by_patient(index, ["Mass", "Edema"], 1, 1, 0.2, 0.2, 3, 0)
