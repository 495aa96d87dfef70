import dataclasses

import numpy as np
import pandas as pd
import pytest
from imports import ROOT

from pipeline import params, splitting
from pipeline.splitting.strata import TEST, TRAIN, VAL

SPLIT = dataclasses.replace(params.load(ROOT / "params.yaml").split, folds=3, tries=2)


def given_split(roles):
    index = pd.DataFrame({"split": roles, "label": ["A", "B"] * (len(roles) // 2)})
    return index.assign(group=[f"g{n // 2}" for n in range(len(index))], image_id=index.index.astype(str), path="x.png")


def test_the_summary_counts_images_and_patients_and_names_what_is_absent():
    index = given_split(["train"] * 4 + ["val"] * 2 + ["test"] * 2)
    index.loc[4:5, "label"] = "A"
    (roles,) = splitting.split_as_given(index, ["A", "B"], 0.2, 3, 0)
    summary = splitting.describe(index, ["A", "B"], [roles], 0)
    assert summary["folds"][0]["roles"]["val"] == {"images": 2, "patients": 1, "classes": {"A": 2, "B": 0}}
    assert summary["folds"][0]["worst_drift"] is summary["folds"][0]["worst_class"] is None  # four patients: not judged
    assert summary["warnings"] == ["fold 0: class B has no image in val"]


def test_the_summary_counts_what_has_a_label_what_has_none_and_what_is_not_known():
    rows = [("a", 1, 0), ("a", 0, 0), ("b", 1, 1), ("c", 0, -1), ("d", 0, 1)]
    index = pd.DataFrame(rows, columns=["group", "label_Mass", "label_Edema"]).assign(label="", path="x", split="")
    roles = np.array([TRAIN, TRAIN, TRAIN, VAL, TEST])
    summary = splitting.describe(index, ["Mass", "Edema"], [roles], 0)
    assert summary["folds"][0]["roles"] == {
        "train": {
            "images": 3,
            "patients": 2,
            "classes": {"Mass": 2, "Edema": 1},
            "without": 1,
            "missing": {"Mass": 0, "Edema": 0},
        },
        "val": {
            "images": 1,
            "patients": 1,
            "classes": {"Mass": 0, "Edema": 0},
            "without": 1,
            "missing": {"Mass": 0, "Edema": 1},
        },
        "test": {
            "images": 1,
            "patients": 1,
            "classes": {"Mass": 0, "Edema": 1},
            "without": 0,
            "missing": {"Mass": 0, "Edema": 0},
        },
    }
    assert summary["warnings"] == [
        "fold 0: label Mass has no image in val",
        "fold 0: label Edema has no image in val",
        "fold 0: absence of label Edema has no image in val",
        "fold 0: label Mass has no image in test",
        "fold 0: absence of label Edema has no image in test",
    ]


@pytest.mark.parametrize(("honour", "folds"), [(True, 1), (False, 3)])
def test_the_users_split_is_taken_unless_it_is_not_to_be_honoured(honour, folds):
    index = given_split((["train"] * 4 + ["val"] * 2 + ["test"] * 2) * 6)
    index["group"] = index["group"] + index["split"]
    splits, summary = splitting.split(index, ["A", "B"], dataclasses.replace(SPLIT, honour=honour))
    assert (summary["honoured"], len(summary["folds"]), len(splits)) == (honour, folds, folds * len(index))
    assert list(splits) == ["image_id", "fold", "role"]
    assert (splits["role"].to_numpy()[: len(index)] == index["split"]).all() == honour


def test_the_log_tells_the_roles_of_each_fold_and_the_worst_drift():
    index = given_split(["train"] * 4 + ["val"] * 2 + ["test"] * 2)
    _, summary = splitting.split(index, ["A", "B"], SPLIT)
    assert splitting.lines(summary) == [
        "the labels bring their own split: split.folds, split.repeats and split.test are not used",
        "fold 0: train 4 of 2 patients, val 2 of 1 patients, test 2 of 1 patients; "
        "worst ratio drift not judged, since every class has few patients",
    ]
    summary["folds"][0] |= {"worst_drift": 0.034, "worst_class": "B"}
    assert splitting.lines(summary)[1].endswith("worst ratio drift 3.4% (B)")
