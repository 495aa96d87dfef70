import numpy as np
import pandas as pd
import pytest

from pipeline import artifacts
from pipeline.contest import pooling
from pipeline.contest.pooling import Units
from pipeline.errors import PipelineError

INDEX = pd.DataFrame(
    {
        "image_id": list("abcdefg"),
        "group": ["p", "p", "p", "q", "q", "r", "r"],
        "exam": ["1", "1", "2", "1", "1", "3", "3"],  # two patients' exams may have one number
        "view": ["CC", "MLO", "CC", "CC", "CC", "CC", "CC"],
    }
)


def predictions(**more) -> pd.DataFrame:
    table = pd.DataFrame({"image_id": list("abcdefg"), "fold": 0, "role": ["test"] * 5 + ["val"] * 2})
    table["label"] = ["low", "low", "low", "high", "high", "low", "low"]
    given = np.array([0.9, 0.5, 0.2, 0.4, 0.8, 0.7, 0.1])
    return table.assign(p_low=given, p_high=1 - given, **more)


def united(judged="exam", learned="image", how="mean", **change) -> pd.DataFrame:
    return pooling.unite({"arm": predictions(**change)}, INDEX, Units(judged, learned, how))["arm"]


def test_images_of_an_exam_are_one_row_with_the_first_ones_name():
    found = united()
    assert found["image_id"].tolist() == ["a", "c", "d", "f"]
    assert found["images"].tolist() == [2, 1, 2, 2]
    assert found["label"].tolist() == ["low", "low", "high", "low"]
    assert found["role"].tolist() == ["test", "test", "test", "val"]
    np.testing.assert_allclose(found["p_low"], [0.7, 0.2, 0.6, 0.4])
    np.testing.assert_allclose(found["p_low"] + found["p_high"], 1)


def test_images_of_a_patient_are_pooled_as_asked_for():
    assert united("patient")["images"].tolist() == [3, 2, 2]
    np.testing.assert_allclose(united("patient", how="max")["p_low"], [0.9 / 1.7, 0.8 / 1.4, 0.7 / 1.6])
    np.testing.assert_allclose(united("patient", how="vote")["p_low"], [2 / 3, 1 / 2, 1 / 2])  # of equals, the first


def test_each_fold_has_its_own_units():
    both = pd.concat([predictions(), predictions().assign(fold=1, p_low=0.25, p_high=0.75)]).sort_values(
        ["image_id", "fold"]
    )
    found = pooling.unite({"arm": both.reset_index(drop=True)}, INDEX, Units("patient", "image", "mean"))["arm"]
    assert found[["image_id", "fold"]].to_numpy().tolist() == [[i, fold] for i in "adf" for fold in (0, 1)]
    np.testing.assert_allclose(found["p_low"], [1.6 / 3, 0.25, 0.6, 0.25, 0.4, 0.25])


def test_what_was_learned_as_one_stays_as_it_is_and_has_the_images_of_the_index():
    of_exams = predictions().iloc[[0, 2, 3, 5]].reset_index(drop=True)
    found = pooling.unite({"arm": of_exams}, INDEX, Units("exam", "exam", "vote"))["arm"]
    pd.testing.assert_frame_equal(found.drop(columns="images"), of_exams)
    assert found["images"].tolist() == [2, 1, 2, 2]
    of_patients = pooling.unite({"arm": of_exams}, INDEX, Units("patient", "exam", "mean"))["arm"]
    assert of_patients["images"].tolist() == [3, 2, 2]
    np.testing.assert_allclose(of_patients["p_low"], [0.55, 0.4, 0.7])
    assert united("image")["images"].tolist() == [1] * 7


def test_a_label_is_present_where_any_image_has_it_and_missing_where_none_is_known():
    marks = {"y_low": [0, 1, -1, -1, -1, 0, 0], "y_high": [0, 0, 1, 0, -1, 0, 0]}
    found = united("patient", how="max", **marks)
    assert found["y_low"].tolist() == [1, -1, 0]
    assert found["y_high"].tolist() == [1, 0, 0]
    assert found["label"].tolist() == ["low|high", artifacts.NO_FINDING, artifacts.NO_FINDING]
    np.testing.assert_allclose(found["p_low"], [0.9, 0.8, 0.7])  # not divided: labels don't exclude each other


def test_a_unit_of_two_classes_is_refused():
    labels = ["low", "high", "low", "high", "high", "low", "low"]
    with pytest.raises(
        PipelineError,
        match=r"evaluate\.unit: 1 of 3 patients have images of more than one class\n  Remedy: use evaluate.unit: image",
    ):
        united("patient", label=labels)


def test_exams_that_are_not_told_apart_are_refused():
    with pytest.raises(PipelineError, match=r"evaluate.unit: 7 of 7 images have neither accession nor study"):
        pooling.unite({"arm": predictions()}, INDEX.assign(exam=""), Units("exam", "image", "mean"))


def test_a_unit_has_the_value_that_all_of_its_images_have():
    first = pd.Series(list("acdf"))
    assert pooling.values(first, INDEX, "view", "exam").tolist() == ["mixed", "CC", "CC", "CC"]
    assert pooling.values(first, INDEX, "view", "patient").tolist() == ["mixed", "mixed", "CC", "CC"]
    assert pooling.values(pd.Series(list("bab")), INDEX, "view", "image").tolist() == ["MLO", "CC", "MLO"]
