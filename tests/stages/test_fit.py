import dataclasses
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

from pipeline import artifacts, params, storage
from pipeline.errors import PipelineError
from pipeline.params import Params
from pipeline.stages import fit
from tests.stages import labelled

ROOT = Path(__file__).parents[2]
ARM = "smote-logistic"


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Features of three labels over two folds, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    labelled.write()
    whole = params.load(ROOT / "params.yaml")
    return dataclasses.replace(whole, engine=dataclasses.replace(whole.engine, workers=2))


def test_predictions_of_labels_have_what_is_known_and_a_probability_of_each(given):
    fit.run(given, ARM)
    predictions, report = artifacts.load_fit(ARM)
    columns = [f"{kind}_{name}" for kind in "yp" for name in labelled.LABELS]
    assert list(predictions.columns) == ["image_id", "fold", "role", "label", *columns]
    index = artifacts.load_index().set_index("image_id").loc[predictions["image_id"]]
    for name in labelled.LABELS:
        assert predictions[f"y_{name}"].dtype == np.int8
        assert predictions[f"y_{name}"].tolist() == index[f"label_{name}"].tolist()
        assert predictions[f"p_{name}"].between(0, 1).all()
    assert predictions["label"].tolist() == index["label"].tolist()
    sums = predictions[[f"p_{name}" for name in labelled.LABELS]].sum(axis=1)
    assert sums.min() < 0.9
    assert sums.max() > 1.1
    assert report["classes"] == list(labelled.LABELS)


def test_only_the_validation_and_test_images_of_a_fold_are_predicted_and_each_once(given):
    fit.run(given, ARM)
    predictions, _ = artifacts.load_fit(ARM)
    wanted = artifacts.load_splits().query("role != 'train'")
    keys = ["fold", "image_id", "role"]
    expected = wanted[keys].sort_values(keys, ignore_index=True)
    pd.testing.assert_frame_equal(predictions[keys].sort_values(keys, ignore_index=True), expected, check_dtype=False)


def test_counts_are_those_of_present_training_rows_with_their_views_before_and_after_resampling(given):
    fit.run(given, ARM)
    _, report = artifacts.load_fit(ARM)
    index, splits = artifacts.load_index(), artifacts.load_splits()
    for fold in report["folds"]:
        train = index["image_id"].isin(splits.query("fold == @fold['fold'] and role == 'train'")["image_id"])
        for name in labelled.LABELS:
            marks = index.loc[train, f"label_{name}"]
            assert fold["counts_before"][name] == 2 * (marks == 1).sum()
            assert fold["counts_after"][name] == 2 * (marks == 0).sum()
    heads = joblib.load(artifacts.FITS / ARM / "head.joblib")
    assert [len(models) for models in heads] == [3, 3]


def test_views_of_images_that_are_not_trained_on_teach_nothing(given):
    fit.run(given, ARM)
    before, _ = artifacts.load_fit(ARM)
    features = artifacts.load_features()
    splits = artifacts.load_splits()
    never = set(features.rows["image_id"]) - set(splits.query("role == 'train'")["image_id"])
    values = np.array(features.values["shared"])
    values[(features.rows["view"] == 1) & features.rows["image_id"].isin(never)] = 1e6
    artifacts.save_features({"shared": values}, features.rows, features.manifest["made_by"])
    fit.run(given, ARM)
    assert len(never) == 72  # of 360: validated in one fold, tested in the other
    pd.testing.assert_frame_equal(artifacts.load_fit(ARM)[0], before)


def test_two_runs_give_the_same_predictions_and_another_seed_gives_others(given):
    tables = []
    for seed in (0, 0, 1):
        fit.run(dataclasses.replace(given, fit=dataclasses.replace(given.fit, seed=seed)), ARM)
        tables.append(artifacts.load_fit(ARM)[0])
    pd.testing.assert_frame_equal(tables[0], tables[1])
    assert not tables[0].equals(tables[2])


def test_a_label_that_no_training_row_has_is_predicted_as_a_constant_and_noted(given):
    index = artifacts.load_index()
    index["label_Hernia"] = index["label_Hernia"].clip(upper=0)
    artifacts.save_index(index)
    fit.run(given, ARM)
    predictions, report = artifacts.load_fit(ARM)
    assert (predictions.groupby("fold")["p_Hernia"].nunique() == 1).all()
    assert predictions["p_Hernia"].max() < 0.02
    note = "label Hernia: present in none of the training rows, the same probability"
    assert all(any(said.startswith(note) for said in fold["warnings"]) for fold in report["folds"])


def test_features_that_are_not_finite_are_refused(given):
    features = artifacts.load_features()
    values = np.array(features.values["shared"])
    values[0, 0] = np.nan
    artifacts.save_features({"shared": values}, features.rows, features.manifest["made_by"])
    with pytest.raises(PipelineError, match="1 of 720 rows have values that are not finite, first those of 0000"):
        fit.run(given, ARM)


def test_a_fold_without_training_rows_is_refused(given):
    splits = artifacts.load_splits()
    splits.loc[(splits["fold"] == 1) & (splits["role"] == "train"), "role"] = "val"
    artifacts.save_splits(splits, storage.load_json(artifacts.SPLITS_SUMMARY, "split"))
    with pytest.raises(PipelineError, match="fit, fold 1: 0 training rows and 360 rows to predict have features"):
        fit.run(given, ARM)


def test_a_task_of_two_classes_keeps_one_head_and_probabilities_that_sum_to_one(given):
    index = artifacts.load_index()
    plain = index.drop(columns=artifacts.label_columns(index))
    plain["label"] = np.where(index["label_Mass"] == artifacts.PRESENT, "sick", "healthy")
    artifacts.save_index(plain)
    fit.run(given, ARM)
    predictions, _ = artifacts.load_fit(ARM)
    assert list(predictions.columns) == ["image_id", "fold", "role", "label", "p_healthy", "p_sick"]
    np.testing.assert_allclose(predictions[["p_healthy", "p_sick"]].sum(axis=1), 1)


def test_two_labels_of_the_same_images_get_synthetic_rows_of_their_own(given):
    index = artifacts.load_index()
    index["label_Nodule"] = index["label_Mass"]
    artifacts.save_index(index)
    fit.run(given, ARM)
    predictions, _ = artifacts.load_fit(ARM)
    assert (predictions["p_Nodule"] != predictions["p_Mass"]).any()
    assert np.corrcoef(predictions["p_Nodule"], predictions["p_Mass"])[0, 1] > 0.99
