import dataclasses
import json
import logging
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline import artifacts, choices, params
from pipeline.contest import standing
from pipeline.errors import PipelineError
from pipeline.judge import comparison, metrics
from pipeline.params import Params
from pipeline.stages import evaluate, results

ROOT = Path(__file__).parents[2]
CLASSES = ["A", "B", "C"]
ARMS = {"none-logistic": 1.0, "smote-logistic": 2.0}  # how well each one separates the classes
ROWS = 240


@pytest.fixture
def given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """Two fitted arms over two folds, in a folder of their own."""
    monkeypatch.chdir(tmp_path)
    write_index()
    for arm, strength in ARMS.items():
        write_fit(arm, fitted(strength))
    whole = params.load(ROOT / "params.yaml")
    return dataclasses.replace(
        whole,
        grid=params.Grid(resamplers=["none", "smote"], heads=["logistic"], arms=[]),
        evaluate=dataclasses.replace(whole.evaluate, draws=100, decisions=[]),
    )


def labels() -> np.ndarray:
    return np.random.default_rng(0).choice(3, ROWS, p=[0.1, 0.3, 0.6])


def write_index(rename: str = "g") -> None:
    index = pd.DataFrame(
        {name: "" if kind == "str" else 0 for name, kind in artifacts.INDEX_COLUMNS.items()}, index=range(ROWS)
    )
    index["image_id"] = [f"{number:04d}" for number in range(ROWS)]
    index["group"] = [f"{rename}{number // 3 * 37 % 101}" for number in range(ROWS)]
    artifacts.save_index(index)


def fitted(strength: float) -> pd.DataFrame:
    scores = np.exp(np.random.default_rng(1).normal(size=(ROWS, 3)) + strength * np.eye(3)[labels()])
    table = pd.DataFrame({"image_id": [f"{number:04d}" for number in range(ROWS)]})
    table["fold"] = np.arange(ROWS) // 6 % 2
    table["role"] = np.where(np.arange(ROWS) // 3 % 2, "test", "val")
    table["label"] = np.array(CLASSES, dtype=object)[labels()]
    columns = [f"p_{name}" for name in CLASSES]
    return table.join(pd.DataFrame(scores / scores.sum(axis=1, keepdims=True), columns=columns))


def write_fit(arm: str, predictions: pd.DataFrame) -> None:
    seconds = [{"fold": fold, "seconds_resample": 0.25, "seconds_fit": 1.0} for fold in (0, 1)]
    artifacts.save_fit(arm, predictions, [], {"folds": seconds})


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(artifacts.EVALUATION / name, converters={"image_id": str})


def written() -> dict[str, bytes]:
    files = [artifacts.METRICS, artifacts.COMPARISON, *sorted(artifacts.EVALUATION.iterdir())]
    return {file.name: file.read_bytes() for file in files}


def test_metrics_json_has_every_figure_of_every_arm_and_fold(given):
    evaluate.run(given)
    content = json.loads(artifacts.METRICS.read_text())
    assert content["selected"] == "smote-logistic"
    assert list(content["arms"]) == list(ARMS)
    ends = {f"{name}{end}" for name in metrics.METRICS for end in ("_low", "_high")}
    for arm, strength in ARMS.items():
        of = content["arms"][arm]
        assert set(of) == {"val", "test", "folds", "rarest"}
        assert set(of["test"]) == set(metrics.METRICS) | ends
        assert set(of["folds"]) == {"0", "1"}
        test = fitted(strength).query("role == 'test'")
        codes = test["label"].map(CLASSES.index).to_numpy()
        expected = metrics.score(codes, test[["p_A", "p_B", "p_C"]].to_numpy())
        assert {name: of["test"][name] for name in metrics.METRICS} == pytest.approx(expected, rel=1e-5)


def test_the_tables_agree_with_each_other(given):
    evaluate.run(given)
    counts = json.loads((artifacts.EVALUATION / "confusion.json").read_text())
    predictions, table = read("predictions.csv"), read("per_class.csv").set_index(["arm", "class"])
    assert counts["classes"] == CLASSES
    crossed = pd.crosstab(predictions["actual"], predictions["predicted"]).to_numpy()
    np.testing.assert_array_equal(counts["smote-logistic"], crossed)
    for arm in ARMS:
        np.testing.assert_array_equal(np.sum(counts[arm], axis=1), table.loc[arm, "n"])
        np.testing.assert_array_equal(np.sum(counts[arm], axis=0), table.loc[arm, "predicted"])
    assert list(predictions["image_id"]) == sorted(fitted(1).query("role == 'test'")["image_id"])
    wanted = {
        "roc.csv": ["class", "fpr", "tpr", "low", "high"],
        "pr.csv": ["class", "recall", "precision", "low", "high"],
    }
    for name, columns in wanted.items():
        assert list(read(name).columns) == columns
        assert list(read(name)["class"].unique()) == CLASSES
    assert json.loads((artifacts.EVALUATION / "collapse.json").read_text())["smote-logistic"] == []


def test_arms_are_compared_with_the_selected_one_and_their_baseline(given):
    evaluate.run(given)
    table = pd.read_csv(artifacts.COMPARISON)
    assert list(table.columns) == list(comparison.COLUMNS)
    assert list(zip(table["arm"], table["reference"], strict=True)) == (
        [("none-logistic", "smote-logistic")] * 3 + [("smote-logistic", "none-logistic")] * 3
    )
    assert list(table["verdict"]) == ["worse"] * 3 + ["better"] * 3
    test = json.loads(artifacts.METRICS.read_text())["arms"]
    gain = test["smote-logistic"]["test"]["macro_f1"] - test["none-logistic"]["test"]["macro_f1"]
    assert table["difference"][3] == pytest.approx(gain, rel=1e-4)


def test_the_table_of_arms_has_their_order_their_baseline_and_their_seconds(given):
    evaluate.run(given)
    table = pd.read_csv(artifacts.EVALUATION / "arms.csv")
    assert list(table["arm"]) == ["smote-logistic", "none-logistic"]
    assert list(table["selected"]) == [True, False]
    assert list(table["baseline"]) == ["none-logistic", "none-logistic"]
    assert list(table["seconds"]) == [2.5, 2.5]


def test_a_note_says_how_many_equal_arms_differ_by_chance(given):
    evaluate.run(dataclasses.replace(given, evaluate=dataclasses.replace(given.evaluate, confidence=0.9)))
    note = json.loads((artifacts.EVALUATION / "notes.json").read_text())["comparison"]
    assert "among arms that are all equal, any is called better or worse in about 10 of 100 data sets." in note


def test_a_stale_arm_is_not_read_and_no_baseline_is_no_fault(given):
    write_fit("smote-mlp", fitted(9))
    evaluate.run(dataclasses.replace(given, grid=params.Grid(resamplers=["smote"], heads=["logistic"], arms=[])))
    assert list(json.loads(artifacts.METRICS.read_text())["arms"]) == ["smote-logistic"]
    assert pd.read_csv(artifacts.COMPARISON).empty
    assert pd.read_csv(artifacts.EVALUATION / "arms.csv")["baseline"].isna().all()


def test_the_arm_is_chosen_on_validation_whatever_it_does_on_test(given):
    swapped = fitted(2.0)
    good, bad = fitted(2.0), fitted(0.0)
    columns = ["p_A", "p_B", "p_C"]
    on_val = swapped["role"] == "val"
    swapped.loc[on_val, columns] = bad.loc[on_val, columns]
    write_fit("smote-logistic", swapped)
    bad.loc[on_val, columns] = good.loc[on_val, columns]
    write_fit("none-logistic", bad)
    evaluate.run(given)
    content = json.loads(artifacts.METRICS.read_text())
    assert content["selected"] == "none-logistic"
    assert content["arms"]["none-logistic"]["test"]["kappa"] < content["arms"]["smote-logistic"]["test"]["kappa"]


def test_neither_the_names_of_patients_nor_the_order_of_rows_nor_a_second_run_changes_a_byte(given):
    evaluate.run(given)
    first = written()
    write_index(rename="another")
    for arm, strength in ARMS.items():
        write_fit(arm, fitted(strength).sample(frac=1, random_state=5))
    evaluate.run(given)
    assert written() == first
    evaluate.run(dataclasses.replace(given, evaluate=dataclasses.replace(given.evaluate, seed=1)))
    assert written()["metrics.json"] != first["metrics.json"]


def test_a_class_without_test_rows_is_reported_and_left_out(given, caplog):
    for arm, strength in ARMS.items():
        predictions = fitted(strength)
        write_fit(arm, predictions[(predictions["role"] == "val") | (predictions["label"] != "A")])
    with caplog.at_level(logging.WARNING):
        evaluate.run(given)
    assert caplog.messages == ["no test row of class A: means over classes leave it out"]
    row = read("per_class.csv").set_index(["arm", "class"]).loc[("none-logistic", "A")]
    assert (row["n"], row["patients"]) == (0, 0)
    assert row[["recall", "recall_low", "precision"]].isna().tolist() == [True, True, row["predicted"] == 0]
    assert "A" not in set(read("roc.csv")["class"])
    assert json.loads(artifacts.METRICS.read_text())["arms"]["none-logistic"]["test"]["macro_f1"] > 0


def test_an_arm_with_other_rows_is_refused(given):
    write_fit("smote-logistic", fitted(2.0).iloc[:-1])
    with pytest.raises(PipelineError, match="fits/smote-logistic: its images, folds, roles, labels or classes"):
        evaluate.run(given)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p_A": np.nan}, "240 of 240 rows hold no probabilities that sum to 1"),
        ({"p_A": -0.5}, "240 of 240 rows hold no probabilities that sum to 1"),
        ({"label": "D"}, "has no probability of class D"),
        ({"role": "test"}, "has no val row"),
        ({"image_id": [f"x{number}" for number in range(ROWS)]}, "240 predictions are of images that index"),
    ],
)
def test_predictions_that_cannot_be_judged_are_refused(given, change, message):
    for arm, strength in ARMS.items():
        write_fit(arm, fitted(strength).assign(**change))
    with pytest.raises(PipelineError, match=message):
        evaluate.run(given)


def test_a_missing_fit_names_the_stage_that_makes_it(given):
    grid = params.Grid(resamplers=["none"], heads=["lightgbm"], arms=[])
    with pytest.raises(PipelineError, match="run `dvc repro fit@none-lightgbm`"):
        evaluate.run(dataclasses.replace(given, grid=grid))


def judging(whole: Params, **change: object) -> Params:
    return dataclasses.replace(whole, evaluate=dataclasses.replace(whole.evaluate, **change))


def write_units() -> None:
    """Three images to an exam, which have one class, and two exams to a patient; scanners differ within patients."""
    index = artifacts.load_index()
    place = np.arange(ROWS)
    index["exam"], index["group"] = [f"e{i // 3}" for i in place], [f"g{i // 6}" for i in place]
    index["manufacturer"] = np.where(place % 6 < 3, "Umbra", "Petrel")
    index["view"] = np.where(place < 12, "CC", "MLO")
    index[artifacts.ATTRIBUTE + "sex"] = np.where(place % 12 < 6, "F", "")
    artifacts.save_index(index)
    for arm, strength in ARMS.items():
        table = fitted(strength)
        first = place // 6 * 6
        table = table.assign(label=table["label"].to_numpy()[first], fold=0, role=np.where(first % 12, "test", "val"))
        write_fit(arm, table)


def test_exams_are_judged_as_one_by_the_mean_of_their_images(given):
    write_units()
    evaluate.run(judging(given, unit="exam"))
    tested = fitted(2.0)[np.arange(ROWS) // 6 % 2 == 1]
    exam = tested.index.to_numpy() // 3
    pooled = tested[["p_A", "p_B", "p_C"]].groupby(exam).mean().to_numpy()
    labels_ = tested["label"].to_numpy()[::6].repeat(2)
    codes = np.array([CLASSES.index(name) for name in labels_])
    found = json.loads(artifacts.METRICS.read_text())["arms"]["smote-logistic"]["test"]
    expected = metrics.score(codes, pooled)
    assert {name: found[name] for name in metrics.METRICS} == pytest.approx(expected, rel=1e-5)
    predictions = read("predictions.csv")
    assert json.loads((artifacts.EVALUATION / "notes.json").read_text())["unit"] == "exam"
    assert predictions["images"].tolist() == [3] * 40
    assert predictions["image_id"].tolist() == [f"{number:04d}" for number in tested.index[::3]]
    table = read("per_class.csv").query("arm == 'none-logistic'")
    assert (table["n"].sum(), table["patients"].sum()) == (40, 20)


def test_patients_judged_as_one_tune_their_decisions_on_patients(given):
    write_counted({})
    write_units()
    for arm in ARMS:
        table = artifacts.load_fit(arm)[0]
        folds = [{"fold": 0, "seconds_resample": 0, "seconds_fit": 0, "counts_before": COUNTS, "counts_after": COUNTS}]
        artifacts.save_fit(arm, table, [], {"folds": folds})
    evaluate.run(judging(given, unit="patient", pool="vote"))
    assert read("predictions.csv")["images"].tolist() == [6] * 20
    fitted_ = json.loads((artifacts.EVALUATION / "decisions.json").read_text())["variants"]
    assert {"none-logistic+thresholds", "none-logistic+tilt"} <= set(fitted_)
    counts = json.loads((artifacts.EVALUATION / "confusion.json").read_text())
    assert {np.sum(counts[name]) for name in fitted_} == {20}
    assert len(read("cases.csv")) <= 20


def test_views_merge_classes_for_every_leading_arm(given):
    write_counted({"smote-logistic": dict.fromkeys("ABC", 60)})
    view = {"spread": {"low": ["B", "A"], "high": ["C"]}}
    evaluate.run(judging(given, groups=view))
    found, arms = read("groups.csv"), read("arms.csv")
    assert found.columns.tolist() == ["view", "arm", "metric", "value", "low", "high"]
    assert set(found["arm"]) == set(arms[arms["leading"]]["arm"])
    test = fitted(2.0).query("role == 'test'")
    plain = test[["p_A", "p_B", "p_C"]].to_numpy()
    row = found[(found["arm"] == "smote-logistic")].set_index("metric")
    expected = metrics.score(
        (test["label"] == "C").to_numpy().astype(int), np.stack([plain[:, :2].sum(1), plain[:, 2]], 1)
    )
    assert row.loc["auc", "value"] == pytest.approx(expected["auc"], rel=1e-5)
    assert (row["low"] <= row["value"]).all()
    assert (row["value"] <= row["high"]).all()


def test_a_view_that_leaves_a_class_out_is_refused_before_anything_is_judged(given):
    view = {"spread": {"low": ["A"], "high": ["C", "D"]}}
    with pytest.raises(
        PipelineError, match=r"groups.spread: there is no class D.*class B is in no group\n.*are A, B, C"
    ):
        evaluate.run(judging(given, groups=view))
    assert not artifacts.METRICS.exists()


def test_subgroups_have_figures_where_there_are_patients_enough(given):
    write_units()
    evaluate.run(judging(given, subgroups=["manufacturer", "view", "sex"]))
    found = read("subgroups.csv")
    assert found.columns.tolist() == ["column", "value", "n", "patients", "events", "metric", "figure", "low", "high"]
    found["value"] = found["value"].fillna("")
    counts = found.drop_duplicates(["column", "value"])[["column", "value", "n", "patients"]]
    assert counts.to_numpy().tolist() == [
        ["manufacturer", "Petrel", 60, 20],
        ["manufacturer", "Umbra", 60, 20],
        ["view", "CC", 6, 1],
        ["view", "MLO", 114, 19],
        ["sex", "", 120, 20],
    ]
    few = found[found["patients"] < 10]
    assert few[["metric", "figure", "low", "high"]].isna().all(axis=None)
    assert len(few) == 1
    of = found[(found["value"] == "Umbra")].set_index("metric")
    test = fitted(2.0)[(np.arange(ROWS) // 6 % 2 == 1) & (np.arange(ROWS) % 6 < 3)]
    assert of.loc["macro_f1", "low"] < of.loc["macro_f1", "figure"] < of.loc["macro_f1", "high"]
    assert of["n"].iloc[0] == len(test)


def test_units_whose_images_differ_are_a_value_of_their_own(given):
    write_units()
    evaluate.run(judging(given, unit="patient", subgroups=["manufacturer"]))
    assert set(read("subgroups.csv")["value"]) == {"mixed"}


@pytest.mark.parametrize("name", ["manufacturr", "group", "label"])
def test_a_subgroup_that_is_no_column_is_refused_with_those_there_are(given, name):
    write_units()
    with pytest.raises(PipelineError) as error:
        evaluate.run(judging(given, subgroups=[name]))
    text = str(error.value)
    assert f"index.parquet has no column {name}" in text
    assert ("did you mean manufacturer?" in text) == (name == "manufacturr")
    assert "there are frame, modality," in text
    assert text.rstrip().split("; more")[0].endswith("sex")


def test_calibration_and_worst_cases_are_told_of_the_right_arms(given):
    write_counted({"smote-logistic": dict.fromkeys("ABC", 60)})
    evaluate.run(given)
    arms, of = read("arms.csv"), read("calibration.csv")
    selected = arms[arms["selected"]]["arm"].iloc[0]
    assert set(of["arm"]) == {*ARMS, "smote-logistic+prior"}  # tilts and thresholds have the probabilities of their arm
    assert of["class"].tolist() == CLASSES * 3
    shown = [selected] if selected != "smote-logistic+prior" else [selected, "smote-logistic"]
    assert read("reliability.csv")["arm"].unique().tolist() == shown
    brier = json.loads(artifacts.METRICS.read_text())["arms"]["none-logistic"]["test"]["brier"]
    assert of[of["arm"] == "none-logistic"]["brier"].sum() == pytest.approx(brier, rel=1e-4)
    benefit, worst = read("net_benefit.csv"), read("cases.csv")
    assert benefit["class"].unique().tolist() == CLASSES
    assert set(worst["kind"]) == {"error", "doubt"}
    actual = fitted(1).set_index("image_id")["label"]
    assert worst["actual"].tolist() == actual[worst["image_id"]].tolist()


COUNTS = {"A": 10, "B": 30, "C": 60}


def write_counted(after: dict[str, dict[str, int]], table=fitted) -> None:
    """The arms with the counts of their training rows."""
    for arm, strength in ARMS.items():
        counts = {"counts_before": COUNTS, "counts_after": after.get(arm, COUNTS)}
        folds = [{"fold": fold, "seconds_resample": 0.25, "seconds_fit": 1.0, **counts} for fold in (0, 1)]
        artifacts.save_fit(arm, table(strength), [], {"folds": folds, "head": {"name": "logistic"}})


def deciding(whole: Params, *entries: object) -> Params:
    decisions = [choices.decision(entry) for entry in entries]
    return dataclasses.replace(whole, evaluate=dataclasses.replace(whole.evaluate, decisions=decisions))


def test_arms_without_resampling_have_moved_operating_points_and_others_a_corrected_prior(given):
    write_counted({"smote-logistic": dict.fromkeys("ABC", 60)})
    evaluate.run(given)
    content = json.loads(artifacts.METRICS.read_text())
    added = ["none-logistic+thresholds", "none-logistic+tilt", "smote-logistic+prior"]
    assert sorted(content["arms"]) == sorted([*ARMS, *added])
    plain, moved = (content["arms"][name]["test"] for name in ("none-logistic", "none-logistic+tilt"))
    for name in metrics.METRICS:
        assert (plain[name] == moved[name]) == (name not in metrics.DECIDED), name
    table = read("arms.csv").fillna("").set_index("arm")
    assert table.loc[added, "decision"].tolist() == ["thresholds", "tilt", "prior"]
    assert table.loc[added, "of"].tolist() == ["none-logistic", "none-logistic", "smote-logistic"]
    assert table.loc[added, "baseline"].tolist() == ["none-logistic"] * 3
    assert table.loc[added, "seconds"].tolist() == [2.5] * 3
    assert table.loc[list(ARMS), "leading"].all()
    for name in ("collapse.json", "confusion.json"):
        assert set(added) <= set(json.loads((artifacts.EVALUATION / name).read_text()))
    assert set(added) <= set(read("per_class.csv")["arm"])
    fitted_ = json.loads((artifacts.EVALUATION / "decisions.json").read_text())
    assert fitted_["classes"] == CLASSES
    assert sorted(fitted_["variants"]) == added
    ratios = np.array(fitted_["variants"]["smote-logistic+prior"]["1"]["calibrator"]["ratios"])
    np.testing.assert_allclose(ratios, np.array([0.1, 0.3, 0.6]) * 3)


def test_a_single_arm_has_the_baseline_of_its_head_and_a_vote_has_none(given):
    write_counted({})
    for arm, of in {
        "fewer": {"head": {"name": "logistic"}},
        "other": {"head": {"name": "logistic", "C": 2}},
        "all": {},
    }.items():
        folds = [{"fold": fold, "seconds_resample": 0.25, "seconds_fit": 1.0} for fold in (0, 1)]
        artifacts.save_fit(arm, fitted(1.5), [], {"folds": folds, **of})
    grid = params.Grid(resamplers=["none"], heads=["logistic"], arms=["fewer", "other", "all"])
    evaluate.run(dataclasses.replace(given, grid=grid))
    table = read("arms.csv").fillna("").set_index("arm")["baseline"]
    assert table[["fewer", "other", "all"]].tolist() == ["none-logistic", "", ""]


def test_figures_of_a_variant_are_those_of_its_decided_classes_and_calibrated_probabilities(given):
    write_counted({"smote-logistic": dict.fromkeys("ABC", 60)})
    evaluate.run(given)
    test = fitted(2.0).query("role == 'test'")
    corrected = test[["p_A", "p_B", "p_C"]].to_numpy() * [0.1, 0.3, 0.6]
    expected = metrics.score(
        test["label"].map(CLASSES.index).to_numpy(), corrected / corrected.sum(axis=1, keepdims=True)
    )
    of = json.loads(artifacts.METRICS.read_text())["arms"]
    found, plain = of["smote-logistic+prior"]["test"], of["smote-logistic"]["test"]
    assert {name: found[name] for name in metrics.METRICS} == pytest.approx(expected, rel=1e-5)
    assert all(found[f"{name}_low"] != plain[f"{name}_low"] for name in ("brier", "log_loss", "auc", "kappa"))
    counts = json.loads((artifacts.EVALUATION / "confusion.json").read_text())["smote-logistic+prior"]
    np.testing.assert_array_equal(np.sum(counts, axis=0), np.bincount(corrected.argmax(axis=1), minlength=3))


def test_selection_goes_over_decisions_and_the_selected_one_is_drawn(given):
    write_counted({})
    entry = {"name": "cost", "matrix": [[0, 9, 9], [9, 0, 9], [0, 0, 0]], "calibrate": "temperature"}
    cheap = deciding(given, entry, {"name": "sensitivity", "class": "A", "least": 1.0}, "vector")
    cheap = dataclasses.replace(cheap, grid=params.Grid(resamplers=["none"], heads=["logistic"], arms=[]))
    evaluate.run(cheap)
    content, counts = (
        json.loads((artifacts.EVALUATION.parent / name).read_text())
        for name in ("metrics.json", "evaluation/confusion.json")
    )
    names = {f"none-logistic+{name}" for name in ("thresholds", "tilt", "temperature+cost", "sensitivity", "vector")}
    assert set(content["arms"]) == {"none-logistic", *names}
    unproven = json.loads((artifacts.EVALUATION / "notes.json").read_text())["unproven"]
    proven = {name: of["val"]["balanced_accuracy_adjusted"] for name, of in content["arms"].items()}
    assert content["selected"] == max(proven.keys() - unproven, key=proven.__getitem__)
    assert sum(row[2] for row in counts["none-logistic+temperature+cost"]) == 0
    predicted = read("predictions.csv")
    np.testing.assert_array_equal(
        pd.crosstab(predicted["actual"], predicted["predicted"]).reindex(columns=CLASSES, fill_value=0),
        counts[content["selected"]],
    )
    flags = json.loads((artifacts.EVALUATION / "collapse.json").read_text())
    points = {clause["operating_point"] for name in flags for clause in flags[name]}
    assert "temperature+cost" in points
    assert points <= {"argmax", *(name.partition("+")[2] for name in names)}


def test_a_decision_tuned_on_validation_is_selected_only_if_it_is_surely_better_there(given, monkeypatch):
    write_counted({}, skewed)
    alone = dataclasses.replace(given, grid=params.Grid(resamplers=["none"], heads=["logistic"], arms=[]))

    def outcome() -> tuple[str, list[str]]:
        evaluate.run(alone)
        notes = json.loads((artifacts.EVALUATION / "notes.json").read_text())
        return json.loads(artifacts.METRICS.read_text())["selected"], notes["unproven"]

    tuned = ["none-logistic+thresholds", "none-logistic+tilt"]
    assert outcome() == ("none-logistic", tuned)
    figures = json.loads(artifacts.METRICS.read_text())["arms"]
    assert max(figures, key=lambda name: figures[name]["val"]["balanced_accuracy_adjusted"]) in tuned
    monkeypatch.setattr(standing, "is_better", lambda one, other, *_: one is not other)
    selected, unproven = outcome()
    assert selected in tuned
    assert unproven == []


def skewed(strength: float) -> pd.DataFrame:
    """Probabilities that follow the shares of the classes."""
    table, columns = fitted(strength), ["p_A", "p_B", "p_C"]
    weighted = table[columns].to_numpy() * [0.1, 0.3, 0.6]
    return table.assign(**dict(zip(columns, (weighted / weighted.sum(axis=1, keepdims=True)).T, strict=True)))


def test_arms_are_compared_with_the_best_decision_of_their_baseline(given):
    write_counted({"smote-logistic": dict.fromkeys("ABC", 60)}, skewed)
    evaluate.run(given)
    table, arms = pd.read_csv(artifacts.COMPARISON), read("arms.csv")
    best = arms[arms["of"] == "none-logistic"]["arm"].iloc[0]
    assert best in ("none-logistic+tilt", "none-logistic+thresholds")
    against = table[table["reference"] == best]["arm"].unique().tolist()
    assert against == ["smote-logistic"]
    assert {best, "smote-logistic"} <= set(table[table["reference"] == "none-logistic"]["arm"])


def test_what_is_gained_by_answering_less_is_told_of_the_selected_arm(given):
    evaluate.run(deciding(given, {"name": "reject", "coverage": 0.85}))
    table = read("reject.csv")
    assert table["coverage"].tolist() == [1, 0.95, 0.9, 0.85, 0.8, 0.7, 0.6, 0.5]
    assert list(table.columns[-3:]) == ["rejected_A", "rejected_B", "rejected_C"]
    found = json.loads(artifacts.METRICS.read_text())["arms"]
    assert list(found) == list(ARMS)
    assert table["macro_f1"][0] == pytest.approx(found["smote-logistic"]["test"]["macro_f1"], rel=1e-5)
    assert table["risk"][0] == pytest.approx(1 - found["smote-logistic"]["test"]["accuracy"], rel=1e-4)
    assert table["risk"].iloc[-1] < 0.7 * table["risk"][0]


def test_an_arm_that_could_not_be_fitted_is_left_out_and_told(given, caplog, capsys):
    error = PipelineError("smote-logistic, fold 0", "1 class in all rows", "give more rows")
    artifacts.save_failure("smote-logistic", error, {"arm": "smote-logistic"})
    with caplog.at_level(logging.WARNING):
        evaluate.run(given)
    assert caplog.messages == ["evaluate: smote-logistic could not be fitted and is left out: 1 class in all rows"]
    assert list(json.loads(artifacts.METRICS.read_text())["arms"]) == ["none-logistic"]
    failed = json.loads((artifacts.EVALUATION / "notes.json").read_text())["failed"]
    assert failed == {"smote-logistic": vars(error)}
    results.run(given)
    assert "smote-logistic could not be fitted: 1 class in all rows" in capsys.readouterr().out
    artifacts.save_failure("none-logistic", error, {"arm": "none-logistic"})
    with pytest.raises(
        PipelineError, match=r"none of 2 arms could be fitted; none-logistic: 1 class.*\n.*give more rows"
    ):
        evaluate.run(given)


LABELS = ["Mass", "Nodule"]


def marks() -> np.ndarray:
    rng = np.random.default_rng(2)
    known = (rng.random((ROWS, 2)) < [0.5, 0.2]).astype(np.int8)
    known[rng.random((ROWS, 2)) < 0.15] = artifacts.MISSING
    return known


def fitted_labels(strength: float) -> pd.DataFrame:
    table = fitted(strength)[["image_id", "fold", "role"]]
    present = [[name for name, mark in zip(LABELS, row, strict=True) if mark == 1] for row in marks()]
    table["label"] = ["|".join(row) or artifacts.NO_FINDING for row in present]
    table = table.join(pd.DataFrame(marks(), columns=[f"y_{name}" for name in LABELS]))
    scores = np.random.default_rng(3).normal(size=(ROWS, 2)) + strength * marks() - strength / 2
    return table.join(pd.DataFrame(1 / (1 + np.exp(-scores)), columns=[f"p_{name}" for name in LABELS]))


@pytest.fixture
def of_labels(given) -> Params:
    """Two arms that predict two labels, which are not known of every image."""
    for arm, strength in ARMS.items():
        write_fit(arm, fitted_labels(strength))
    return given


def test_labels_have_the_same_figures_in_metrics_json_as_classes(of_labels):
    evaluate.run(of_labels)
    content = json.loads(artifacts.METRICS.read_text())
    assert content["selected"] == "smote-logistic"
    for arm, strength in ARMS.items():
        of, test = content["arms"][arm], fitted_labels(strength).query("role == 'test'")
        known, given = (test[[f"{kind}_{name}" for name in LABELS]].to_numpy() for kind in "yp")
        assert {name: of["test"][name] for name in metrics.METRICS} == pytest.approx(
            metrics.score(known, given), rel=1e-5
        )
        assert set(of["folds"]) == {"0", "1"}


def test_the_tables_of_labels_agree_with_each_other(of_labels):
    evaluate.run(of_labels)
    counts = json.loads((artifacts.EVALUATION / "confusion.json").read_text())
    table = read("per_class.csv").set_index(["arm", "class"])
    for arm in ARMS:
        matrices = np.array(counts[arm])  # (L, 2, 2): by being present and being predicted
        assert matrices.shape == (2, 2, 2)
        assert matrices.sum(axis=(1, 2)).tolist() == table.loc[arm, "rows"].tolist()
        assert matrices[:, 1].sum(axis=1).tolist() == table.loc[arm, "n"].tolist()
        assert matrices[:, :, 1].sum(axis=1).tolist() == table.loc[arm, "predicted"].tolist()
        np.testing.assert_allclose(matrices[:, 1, 1] / table.loc[arm, "n"], table.loc[arm, "recall"], rtol=1e-5)
    predictions, test = read("predictions.csv"), fitted_labels(2.0).query("role == 'test'")
    assert predictions["actual"].tolist() == test["label"].tolist()
    both = (test["p_Mass"] > 0.5) & (test["p_Nodule"] > 0.5) & (test[["y_Mass", "y_Nodule"]] >= 0).all(axis=1)
    assert (predictions["predicted"] == "Mass|Nodule").tolist() == both.tolist()
    for name in ("roc.csv", "pr.csv"):
        assert list(read(name)["class"].unique()) == LABELS


def test_the_curves_of_two_classes_are_those_of_the_positive_one(given):
    for arm, strength in ARMS.items():
        table = fitted(strength).assign(label=lambda of: of["label"].where(of["label"] != "C", "B"))
        write_fit(arm, table.assign(p_B=table["p_B"] + table["p_C"]).drop(columns="p_C"))
    evaluate.run(given)
    assert read("roc.csv")["class"].unique().tolist() == ["B"]
    assert read("pr.csv")["class"].unique().tolist() == ["B"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"p_Mass": 1.5}, "240 of 240 rows hold no probabilities from 0 to 1"),
        ({"p_Mass": np.nan}, "240 of 240 rows hold no probabilities from 0 to 1"),
        ({"y_Hernia": 0}, "has not both y_ and p_ of label Hernia"),
        ({"y_Mass": -1, "y_Nodule": 0}, "no label is both present and absent in the val rows: there is nothing to"),
    ],
)
def test_predictions_of_labels_that_cannot_be_judged_are_refused(of_labels, change, message):
    for arm, strength in ARMS.items():
        write_fit(arm, fitted_labels(strength).assign(**change))
    with pytest.raises(PipelineError, match=message):
        evaluate.run(of_labels)


def test_an_arm_that_knows_other_labels_is_refused(of_labels):
    write_fit("smote-logistic", fitted_labels(2.0).assign(y_Mass=np.int8(0)))
    with pytest.raises(PipelineError, match="fits/smote-logistic: its images, folds, roles, labels or classes"):
        evaluate.run(of_labels)


def test_a_label_without_test_rows_is_reported_and_left_out(of_labels, caplog):
    for arm, strength in ARMS.items():
        table = fitted_labels(strength)
        table.loc[(table["role"] == "test") & (table["y_Nodule"] == 1), "y_Nodule"] = np.int8(-1)
        write_fit(arm, table)
    with caplog.at_level(logging.WARNING):
        evaluate.run(of_labels)
    assert caplog.messages == ["no test row with, or none without, Nodule: means over classes leave it out"]
    test = table.query("role == 'test'")
    alone = metrics.score(test[["y_Mass"]].to_numpy(), test[["p_Mass"]].to_numpy())
    found = json.loads(artifacts.METRICS.read_text())["arms"]["smote-logistic"]["test"]
    assert {name: found[name] for name in metrics.METRICS} == pytest.approx(alone, rel=1e-5)


def test_labels_have_thresholds_and_a_prior_of_their_own(of_labels):
    counts = {"counts_before": {"Mass": 50, "Nodule": 20}, "absent_before": {"Mass": 50, "Nodule": 80}}
    for arm, strength in ARMS.items():
        moved = {"Mass": 50, "Nodule": 80} if arm.startswith("smote") else counts["counts_before"]
        after = {"counts_after": moved, "absent_after": counts["absent_before"]}
        folds = [{"fold": fold, "seconds_resample": 0.25, "seconds_fit": 1.0, **counts, **after} for fold in (0, 1)]
        artifacts.save_fit(arm, fitted_labels(strength), [], {"folds": folds})
    evaluate.run(deciding(of_labels, {"name": "cost", "matrix": [[0, 1], [3, 0]]}))
    content = json.loads(artifacts.METRICS.read_text())["arms"]
    added = {"none-logistic+thresholds", "none-logistic+tilt", "smote-logistic+prior"}
    assert set(content) == {*ARMS, *added, "none-logistic+cost", "smote-logistic+cost"}
    test = fitted_labels(1.0).query("role == 'test'")
    known, given = (test[[f"{kind}_{name}" for name in LABELS]].to_numpy() for kind in "yp")
    table = read("per_class.csv").set_index(["arm", "class"])
    present = ((given >= 0.25) & (known >= 0)).sum(axis=0)
    assert table.loc["none-logistic+cost", "predicted"].tolist() == present.tolist()
    assert content["smote-logistic+prior"]["test"]["auc"] == pytest.approx(content["smote-logistic"]["test"]["auc"])
    assert list(read("reject.csv").columns[-2:]) == ["rejected_Mass", "rejected_Nodule"]


def test_each_label_is_told_how_far_it_can_be_trusted(of_labels):
    evaluate.run(judging(of_labels, subgroups=["modality"]))
    assert read("calibration.csv")["class"].tolist() == LABELS * 2
    assert read("reliability.csv")["class"].unique().tolist() == LABELS
    assert read("net_benefit.csv")["class"].unique().tolist() == LABELS
    worst, test = read("cases.csv"), fitted_labels(2.0).set_index("image_id")
    assert set(worst["actual"]) <= {"Mass", "no Mass", "Nodule", "no Nodule"}
    for row in worst[worst["kind"] == "error"].to_dict("records"):
        label = row["actual"].removeprefix("no ")
        assert test.loc[row["image_id"], f"y_{label}"] == (0 if row["actual"].startswith("no ") else 1)
        assert (test.loc[row["image_id"], f"p_{label}"] > 0.5) == (not row["predicted"].startswith("no "))
    of = read("subgroups.csv")
    nodules = int((test.query("role == 'test'")["y_Nodule"] == 1).sum())
    assert of[["n", "events"]].drop_duplicates().to_numpy().tolist() == [[120, nodules]]


def test_what_was_learned_as_one_is_judged_as_one_unless_said_otherwise(given):
    write_units()
    for arm, strength in ARMS.items():
        table = artifacts.load_fit(arm)[0].iloc[::3].reset_index(drop=True)
        write_fit(arm, table.assign(p_A=strength / 8, p_B=0.25, p_C=0.75 - strength / 8))
    of_exams = dataclasses.replace(given, fit=dataclasses.replace(given.fit, unit="exam"))
    evaluate.run(of_exams)
    assert read("predictions.csv")["images"].tolist() == [3] * 40
    evaluate.run(judging(of_exams, unit="patient"))
    assert read("predictions.csv")["images"].tolist() == [6] * 20
