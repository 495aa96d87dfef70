import dataclasses
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import pytest

from pipeline import artifacts, engine, params, storage
from pipeline.errors import PipelineError
from pipeline.heads.classifiers import HEADS
from pipeline.heads.resamplers import RESAMPLERS
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
            assert fold["counts_natural"][name] == (marks == 1).sum()
            assert fold["absent_natural"][name] == (marks == 0).sum()
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


@pytest.mark.parametrize(("worth", "processes"), [(0, True), (3600, False)])
def test_processes_fit_what_is_long_and_give_the_bits_and_warnings_of_one(given, monkeypatch, worth, processes):
    pair = {"resampler": "smote", "head": {"name": "linear_svm", "C": 1, "max_iter": 1}}
    given = dataclasses.replace(given, arms={"unfinished": pair})
    one = dataclasses.replace(given, engine=dataclasses.replace(given.engine, workers=1))
    fit.run(one, "unfinished")
    predictions, report = artifacts.load_fit("unfinished")
    assert any(said.startswith("ConvergenceWarning: stopped after 1 steps") for said in report["warnings"])
    started = []
    monkeypatch.setattr(engine, "Parallel", lambda **how: started.append(how) or joblib.Parallel(**how))
    monkeypatch.setattr(fit, "WORTH", worth)
    fit.run(given, "unfinished")
    again, report_again = artifacts.load_fit("unfinished")
    pd.testing.assert_frame_equal(again, predictions)
    assert report_again["warnings"] == report["warnings"]
    assert bool(started) == processes


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


def plain_index():
    """The same images with one of two classes each, of one patient alike."""
    index = artifacts.load_index()
    sick = index.groupby("group")["label_Mass"].transform("max") == artifacts.PRESENT
    plain = index.drop(columns=artifacts.label_columns(index))
    plain["label"] = np.where(sick, "sick", "healthy")
    artifacts.save_index(plain)
    return plain


def changed(given, **sections):
    """Params with other values in these sections; of fit, `search` too."""
    for name, values in sections.items():
        section = getattr(given, name)
        given = dataclasses.replace(
            given, **{name: values if isinstance(section, dict) else dataclasses.replace(section, **values)}
        )
    return given


def test_views_of_training_images_are_resampled_too_and_not_predicted(given):
    """Real and augmented rows of the minority → SMOTE → head."""
    index, splits = plain_index(), artifacts.load_splits()
    fit.run(given, ARM)
    predictions, report = artifacts.load_fit(ARM)
    for fold in report["folds"]:
        train = splits.query("fold == @fold['fold'] and role == 'train'")["image_id"]
        counts = index[index["image_id"].isin(train)]["label"].value_counts()
        assert fold["counts_before"] == {"healthy": 2 * counts["healthy"], "sick": 2 * counts["sick"]}
        assert set(fold["counts_after"].values()) == {2 * counts.max()}
        assert fold["counts_natural"] == {"healthy": counts["healthy"], "sick": counts["sick"]}
    assert not predictions.duplicated(["fold", "image_id"]).any()


@pytest.mark.parametrize("pool", ["mean", "max"])
def test_exams_are_learned_and_predicted_as_one_by_the_name_of_their_first_image(given, pool):
    index = plain_index()
    index["exam"] = index["group"] + "e"
    artifacts.save_index(index)
    fit.run(changed(given, fit={"unit": "exam", "pool": pool}), ARM)
    predictions, report = artifacts.load_fit(ARM)
    first = index.groupby("exam")["image_id"].first()
    assert set(predictions["image_id"]) <= set(first)
    assert predictions.groupby("fold").size().tolist() == [48, 48]  # of 120 exams of 3 images, two fifths
    for fold in report["folds"]:
        assert fold["units"] == {"unit": "exam", "pool": pool, "units": 120, "images": 360}
        assert sum(fold["counts_before"].values()) == 144


def test_views_of_a_patient_side_by_side_are_filled_where_they_lack_and_that_is_on_record(given):
    index = plain_index()
    index["laterality"], index["view"] = "L", np.resize(["CC", "MLO", "CC"], len(index))
    index.loc[index.index[:30], "view"] = "CC"  # the first ten patients have no MLO
    artifacts.save_index(index)
    fit.run(changed(given, fit={"unit": "patient", "pool": "side_by_side"}), ARM)
    predictions, report = artifacts.load_fit(ARM)
    assert len(predictions) == 96
    here = artifacts.load_splits().query("fold == 0").merge(index[["image_id", "group"]])
    lacking = here[here["group"].isin(index["group"][:30])].groupby("role")["group"].nunique()
    filled = lacking["train"] * 2 + lacking["val"] + lacking["test"]  # training ones with a view each
    assert report["folds"][0]["units"]["views"] == [
        {"view": "L CC", "filled_with_training_mean": 0},
        {"view": "L MLO", "filled_with_training_mean": filled},
    ]
    models = joblib.load(artifacts.FITS / ARM / "head.joblib")
    assert models[0][0].scaling.mean.shape == (24,)


def test_labels_of_an_exam_are_those_of_any_of_its_images(given):
    fit.run(changed(given, fit={"unit": "patient"}), ARM)
    predictions, _ = artifacts.load_fit(ARM)
    index = artifacts.load_index().set_index("image_id")
    marks = index.groupby("group")[[f"label_{name}" for name in labelled.LABELS]].max()
    expected = marks.loc[index.loc[predictions["image_id"], "group"]].to_numpy()
    np.testing.assert_array_equal(predictions[[f"y_{name}" for name in labelled.LABELS]], expected)
    present = predictions["y_Mass"] == 1
    assert predictions.loc[present, "label"].str.contains("Mass").all()
    assert not predictions.loc[~present, "label"].str.contains("Mass").any()


def test_labels_that_data_classes_lacks_are_refused(given):
    sick = (plain_index()["label"] == "sick").sum()
    wanted = rf"{sick} images have labels that are not in it \(sick\)"
    with pytest.raises(PipelineError, match=wanted):
        fit.run(changed(given, data={"classes": ["healthy", "ill"]}), ARM)


def test_a_class_that_no_fold_learns_is_refused_and_one_that_one_fold_lacks_is_noted(given):
    index, splits = plain_index(), artifacts.load_splits()
    summary = storage.load_json(artifacts.SPLITS_SUMMARY, "split")
    rare = index["group"].isin(index.loc[index["label"] == "sick", "group"].unique()[:4])
    index["label"] = index["label"].mask(rare, "rare")
    artifacts.save_index(index)
    train = splits["image_id"].isin(index.loc[rare, "image_id"]) & (splits["role"] == "train")
    splits.loc[train & (splits["fold"] == 0), "role"] = "val"
    artifacts.save_splits(splits, summary)
    fit.run(given, ARM)
    predictions, report = artifacts.load_fit(ARM)
    assert "class rare: no training row: its probability is 0" in report["folds"][0]["warnings"]
    assert (predictions.query("fold == 0")["p_rare"] == 0).all()
    splits.loc[train, "role"] = "val"
    artifacts.save_splits(splits, summary)
    with pytest.raises(PipelineError, match="class rare has no training row in any fold"):
        fit.run(given, ARM)


def test_exams_with_images_of_several_classes_and_images_without_exam_are_refused(given):
    index = plain_index()
    with pytest.raises(PipelineError, match="576 of 576 images have neither accession nor study"):
        fit.run(changed(given, fit={"unit": "exam"}), ARM)
    index.loc[0, "label"] = "healthy" if index.loc[0, "label"] == "sick" else "sick"
    artifacts.save_index(index)
    with pytest.raises(PipelineError, match="1 of 120 patients have images of more than one class"):
        fit.run(changed(given, fit={"unit": "patient"}), ARM)


def test_lists_are_chosen_from_in_every_fold_and_label_and_reported(given):
    heads = {"logistic": {"C": [1e-6, 0.1], "max_iter": 1000}}
    fit.run(changed(given, heads=heads), "none-logistic")
    _, report = artifacts.load_fit("none-logistic")
    for fold in report["folds"]:
        assert [record["label"] for record in fold["searched"]] == list(labelled.LABELS)
        assert all(len(record["candidates"]) == 2 and record["fits"] == 6 for record in fold["searched"])
        assert fold["searched"][0]["chosen"] == {"head.C": 0.1}


@pytest.mark.parametrize(
    "arm", [{"vote": ["none-logistic", "smote-logistic"]}, {"stack": ["none-logistic", "smote-logistic"], "C": 1.0}]
)
@pytest.mark.parametrize("multilabel", [True, False])
def test_an_arm_made_of_arms_is_fitted_like_any_other(given, arm, multilabel):
    if not multilabel:
        plain_index()
    fit.run(changed(given, arms={"both": arm}, heads={"logistic": {"C": 1.0, "max_iter": 1000}}), "both")
    predictions, report = artifacts.load_fit("both")
    assert set(next(iter(arm.values()))) == set(report[next(iter(arm))])
    probabilities = predictions.filter(like="p_")
    assert probabilities.notna().all(axis=None)
    label = "p_Mass" if multilabel else "p_sick"
    present = predictions["y_Mass"] == 1 if multilabel else predictions["label"] == "sick"
    assert predictions.loc[present, label].mean() > predictions.loc[~present, label].mean() + 0.05


def refuses(random_state: int) -> None:
    raise ValueError("it does not suit me\nat all")


def test_an_arm_that_cannot_be_fitted_says_why_in_its_report_and_leaves_no_predictions(given, monkeypatch, caplog):
    monkeypatch.setitem(HEADS, "refuses", refuses)
    fit.run(changed(given, heads={"refuses": {}}), "smote-refuses")
    predictions, report = artifacts.load_fit("smote-refuses")
    assert predictions is None
    assert report["failure"] == {
        "where": "smote-refuses, fold 0",
        "what": "ValueError: it does not suit me\nat all",
        "remedy": "mend the values of this arm",
    }
    assert report["resampler"]["name"] == "smote"
    assert [path.name for path in (artifacts.FITS / "smote-refuses").iterdir()] == ["fit.json"]
    assert "it does not suit me" in caplog.text


def test_an_arm_fitted_again_leaves_nothing_of_its_failure(given, monkeypatch):
    monkeypatch.setitem(RESAMPLERS, "refuses", lambda rows, random_state: refuses(0))
    fit.run(changed(given, resamplers={"refuses": {}}), "refuses-logistic")
    monkeypatch.setitem(RESAMPLERS, "refuses", RESAMPLERS["none"])
    fit.run(changed(given, resamplers={"refuses": {}}), "refuses-logistic")
    predictions, report = artifacts.load_fit("refuses-logistic")
    assert predictions is not None
    assert "failure" not in report


def test_a_mistake_in_the_code_is_no_failure_of_an_arm(given, monkeypatch):
    def broken(rows, random_state):
        raise KeyError("a mistake")

    monkeypatch.setitem(RESAMPLERS, "broken", broken)
    with pytest.raises(KeyError, match="a mistake"):
        fit.run(changed(given, resamplers={"broken": {}}), "broken-logistic")


def test_a_name_in_the_values_that_is_no_class_is_the_failure_of_its_arm_alone(given):
    plain_index()
    values = {"smote": {"k_neighbors": 5, "strategy": {"sik": 200}}}
    fit.run(changed(given, resamplers=values), ARM)
    predictions, report = artifacts.load_fit(ARM)
    assert predictions is None
    assert report["failure"] == {
        "where": "params.yaml, resamplers.smote.strategy",
        "what": "there is no class sik; did you mean sick?",
        "remedy": "use the names of the classes: healthy, sick",
    }


def test_an_arm_that_there_is_not_is_an_error(given):
    with pytest.raises(PipelineError, match=r"there is no arm 'smote-logistik'.*did you mean smote-logistic\?"):
        fit.run(given, "smote-logistik")


def test_fits_that_memory_does_not_hold_at_once_follow_each_other_and_give_the_same(given, monkeypatch):
    fit.run(given, ARM)
    before, asked = artifacts.load_fit(ARM)[0], []
    monkeypatch.setattr(fit.memory, "available", lambda: 4 * 432 * 12 * 4 * 1.5)  # of 432 training rows of a fold
    monkeypatch.setattr(fit, "WORTH", 0)
    monkeypatch.setattr(
        fit.engine, "map", lambda work, items, workers, *_, **__: asked.append(workers) or map(work, items)
    )
    fit.run(given, ARM)
    assert asked == [1]
    pd.testing.assert_frame_equal(artifacts.load_fit(ARM)[0], before)


def test_where_the_system_does_not_tell_its_memory_as_many_fit_at_once_as_asked_for(given, monkeypatch):
    monkeypatch.setattr(fit.memory, "available", lambda: float("inf"))
    monkeypatch.setattr(fit, "WORTH", 0)
    asked = []
    monkeypatch.setattr(
        fit.engine, "map", lambda work, items, workers, *_, **__: asked.append(workers) or map(work, items)
    )
    fit.run(given, ARM)
    assert asked == [2]


def test_a_fit_that_will_take_long_says_so_before(given, monkeypatch, caplog):
    monkeypatch.setattr(fit.budget, "seconds", lambda *_: 1800.0)
    fit.run(given, ARM)
    assert "smote-logistic: about 180 minutes of one core, or more" in caplog.text  # 2 folds of 3 labels
