import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline import __main__, artifacts, choices, params
from pipeline.errors import PipelineError
from pipeline.judge import comparison
from pipeline.stages import compare, evaluate

CLASSES = ["A", "B", "C"]
ROWS = 240
COUNTS = {"A": 8, "B": 24, "C": 48}
BALANCED = dict.fromkeys(CLASSES, 48)
WHOLE = params.load(Path(__file__).parents[2] / "params.yaml")
HOW = dataclasses.replace(WHOLE.evaluate, draws=200, decisions=[choices.decision("thresholds")])
GRID = params.Grid(resamplers=["none", "smote"], heads=["logistic"], arms=["copy"])
PARAMS = dataclasses.replace(WHOLE, grid=GRID, evaluate=HOW)


@pytest.fixture(scope="module")
def fits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three arms over two folds, one much better than the others, which are the same; `evaluate` has run."""
    folder = tmp_path_factory.mktemp("fits")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        index = {name: "" if kind == "str" else 0 for name, kind in artifacts.INDEX_COLUMNS.items()}
        numbers = np.arange(ROWS)
        table = pd.DataFrame(index, index=numbers)
        artifacts.save_index(
            table.assign(image_id=[f"{n:04d}" for n in numbers], group=[f"g{n // 3}" for n in numbers])
        )
        for arm, strength, after in (
            ("none-logistic", 0.8, COUNTS),
            ("smote-logistic", 3, BALANCED),
            ("copy", 0.8, COUNTS),
        ):
            fold = {"seconds_resample": 0, "seconds_fit": 0, "counts_before": COUNTS, "counts_after": after}
            report = {"folds": [{"fold": number, **fold} for number in (0, 1)], "head": {"name": "logistic"}}
            artifacts.save_fit(arm, predictions(strength), [], report)
        evaluate.run(PARAMS)
    return folder


@pytest.fixture(autouse=True)
def here(fits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(fits)
    monkeypatch.delenv("COLUMNS", raising=False)


def predictions(strength: float) -> pd.DataFrame:
    rng, numbers = np.random.default_rng(1), np.arange(ROWS)
    labels = rng.choice(3, ROWS, p=[0.1, 0.3, 0.6])
    scores = np.exp(rng.normal(size=(ROWS, 3)) + strength * np.eye(3)[labels])
    table = pd.DataFrame({"image_id": [f"{n:04d}" for n in numbers], "fold": numbers // 6 % 2})
    table["role"] = np.where(numbers // 3 % 2, "test", "val")
    table["label"] = np.array(CLASSES, dtype=object)[labels]
    return table.join(
        pd.DataFrame(scores / scores.sum(axis=1, keepdims=True), columns=[f"p_{name}" for name in CLASSES])
    )


def printed(capsys: pytest.CaptureFixture[str], arm: str, reference: str, how=HOW) -> list[str]:
    compare.run(dataclasses.replace(PARAMS, evaluate=how), arm, reference)
    return capsys.readouterr().out.splitlines()


def rows(path: Path, **where: str) -> list[dict[Any, Any]]:
    every = pd.read_csv(path).to_dict("records")
    return [row for row in every if all(row[name] == value for name, value in where.items())]


def cells(lines: list[str], title: str) -> list[str]:
    return next(re.split(r"\s{2,}", line.strip()) for line in lines if re.match(rf"\s*{title}\s{{2,}}", line))


def test_a_better_arm_is_called_so_with_the_figures_and_differences_of_evaluate(capsys):
    lines = printed(capsys, "smote-logistic", "none-logistic")
    assert lines[0] == "smote-logistic against none-logistic, on 120 test images of 40 patients (2 folds, pooled)"
    arms = json.loads(artifacts.METRICS.read_text())["arms"]
    each = [arms[name]["test"] for name in ("smote-logistic", "none-logistic")]
    row = rows(artifacts.COMPARISON, arm="smote-logistic", reference="none-logistic", metric="kappa")[0]
    values = ["{kappa:.3f} ({kappa_low:.2f}–{kappa_high:.2f})".format(**of) for of in each]
    span = f"{row['low']:+.3f} to {row['high']:+.3f}"
    assert cells(lines, "kappa") == ["kappa", *values, f"{row['difference']:+.3f} ({span})", "< 0.001"]
    assert f"kappa: smote-logistic is better than none-logistic: the difference lies from {span}." in lines
    posterior = "better with probability {better:.2f}, practically the same {same:.2f}, worse {worse:.2f}"
    assert f"  Folds: {posterior}; p {{p_folds:.3f}}.".format(**row) in lines
    assert "95% intervals over patients" in lines[-1]


def test_an_image_that_is_tested_in_several_folds_counts_once(fits, tmp_path, monkeypatch, capsys):
    shutil.copytree(fits, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for arm in ("none-logistic", "smote-logistic"):
        table, report = artifacts.load_fit(arm)
        assert table is not None
        again = table.assign(fold=table["fold"] + 2)
        folds = [{**fold, "fold": fold["fold"] + 2} for fold in report["folds"]]
        artifacts.save_fit(arm, pd.concat([table, again]), [], {**report, "folds": [*report["folds"], *folds]})
    shutil.rmtree(artifacts.FITS / "copy")
    lines = printed(capsys, "smote-logistic", "none-logistic")
    assert lines[0].endswith(", on 120 test images of 40 patients (4 folds, pooled)")


def test_the_other_way_round_it_is_worse(capsys):
    lines = printed(capsys, "none-logistic", "smote-logistic")
    assert (
        sum("none-logistic is worse than smote-logistic: the difference lies from -0." in line for line in lines) == 3
    )


def test_recall_of_the_rarest_classes_stands_beside_the_patients_behind_it(capsys):
    lines = printed(capsys, "smote-logistic", "none-logistic")
    names = ("smote-logistic", "none-logistic")
    each = [rows(artifacts.EVALUATION / "per_class.csv", **{"arm": name, "class": "A"})[0] for name in names]
    recalls = ["{recall:.3f} ({recall_low:.2f}–{recall_high:.2f})".format(**row) for row in each]
    assert cells(lines, "A") == ["A", str(each[0]["n"]), f"{each[0]['patients']} (few)", *recalls]
    start = next(number for number, line in enumerate(lines) if "recall of the rarest" in line)
    assert [line.split()[0] for line in lines[start + 2 : start + 5]] == ["A", "B", "C"]


def test_a_pair_that_evaluate_did_not_compare_is_compared(capsys):
    pairs = pd.read_csv(artifacts.COMPARISON)[["arm", "reference"]].to_numpy().tolist()
    assert ["copy", "smote-logistic+prior"] not in pairs
    lines = printed(capsys, "copy", "smote-logistic+prior")
    assert sum("copy is worse than smote-logistic+prior" in line for line in lines) == 3


def test_equal_arms_are_practically_the_same(capsys):
    lines = printed(capsys, "copy", "none-logistic")
    same = "practically the same: the difference lies from +0.000 to +0.000, within ±0.01."
    assert [line for line in lines if line.startswith("macro-F1:")] == [f"macro-F1: {same}"]


def test_what_the_predictions_can_not_tell_is_told_so_with_what_agrees(capsys):
    lines = printed(capsys, "none-logistic+thresholds", "none-logistic")
    told = next(line for line in lines if line.startswith("macro-F1:"))
    assert re.match(r"macro-F1: can't tell: any difference from -0\.\d+ to \+0\.\d+ agrees with these pred", told)


def test_a_verdict_that_the_number_of_arms_takes_back_is_followed_by_that(capsys):
    whole = pd.read_csv(artifacts.COMPARISON)
    doubtful = whole["metric"] == "kappa"
    changed = whole.assign(
        verdict=whole["verdict"].mask(doubtful, "can't tell"), p_holm=whole["p_holm"].mask(doubtful, 0.123)
    )
    changed.to_csv(artifacts.COMPARISON, index=False)
    try:
        lines = [printed(capsys, "smote-logistic", "none-logistic"), printed(capsys, "none-logistic", "smote-logistic")]
    finally:
        whole.to_csv(artifacts.COMPARISON, index=False)
    for of in lines:
        corrected = [line for line in of if "Corrected for the number of arms" in line]
        assert [line.split(":")[0] for line in corrected] == ["kappa"]
        assert corrected[0].endswith("Corrected for the number of arms: can't tell (p 0.123).")


def test_it_needs_neither_an_evaluation_nor_arms_that_are_not_compared(capsys, monkeypatch, tmp_path, fits):
    for name in ("none-logistic", "smote-logistic"):
        (tmp_path / "artifacts/fits").mkdir(parents=True, exist_ok=True)
        (tmp_path / "artifacts/fits" / name).symlink_to(fits / "artifacts/fits" / name)
    (tmp_path / "artifacts/index.parquet").symlink_to(fits / "artifacts/index.parquet")
    monkeypatch.chdir(tmp_path)
    assert any("is better than" in line for line in printed(capsys, "smote-logistic", "none-logistic"))
    assert not artifacts.COMPARISON.exists()


def test_an_unknown_name_is_answered_with_those_that_are_near():
    with pytest.raises(PipelineError, match=r"no smote-logstic among the fits\n.*did you mean smote-logistic or "):
        compare.run(PARAMS, "smote-logstic", "none-logistic")
    with pytest.raises(PipelineError, match=r"there are none-logistic, none-logistic\+thresholds, "):
        compare.run(PARAMS, "none-logistic", "xyzzy")
    with pytest.raises(PipelineError, match=r"copy is asked for twice\n.*name two arms or decisions"):
        compare.run(PARAMS, "copy", "copy")


@pytest.mark.parametrize("width", [110, 70, 40])
def test_tables_fit_the_terminal(width, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    lines = printed(capsys, "smote-logistic", "none-logistic+thresholds")
    rows = [re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines]
    assert max(len(line) for line in rows if line.startswith(" ") and "Folds" not in line) <= width
    assert any("(0." in line for line in rows if line.startswith("  macro")) == (width == 110)


def test_the_table_turned_round_is_that_of_the_turned_pair():
    table = pd.read_csv(artifacts.COMPARISON)
    twice = comparison.turned(comparison.turned(table))
    pd.testing.assert_frame_equal(twice, table)
    one, other = table.iloc[0], comparison.turned(table).iloc[0]
    assert (other["low"], other["high"], other["worse"]) == (-one["high"], -one["low"], one["better"])
    assert {one["verdict"], other["verdict"]} in ({"better", "worse"}, {one["verdict"]})


def test_the_command_passes_both_names(monkeypatch):
    asked = []
    monkeypatch.setattr(params, "load", lambda: WHOLE)
    monkeypatch.setattr(compare, "run", lambda _, **names: asked.append(names))
    assert __main__.main(["compare", "copy", "none-logistic+tilt"]) == 0
    assert asked == [{"arm": "copy", "reference": "none-logistic+tilt"}]
