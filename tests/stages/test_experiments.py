"""A plan of two steps, the whole way: the stages run in this process, on noise with a network that is not trained."""

import contextlib
import importlib
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from imports import ROOT
from PIL import Image

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.experiments import presets, rewriting, running
from pipeline.stages import experiments

SMALL = {
    "data": {"images": "images", "labels": "folders", "pattern": r"(?P<label>\w+)/(?P<patient>p\d+)", "task": "binary"},
    "split": {"folds": 2, "tries": 3},
    "render": {"size": 16},
    "backbone": {"model": "resnet10t", "weights": "none"},
    "finetune": {"policy": "frozen"},
    "embed": {"check": 2},
    "evaluate": {"draws": 100, "kappa": "none"},
    "engine": {"workers": 1},
}
PLAN = """
tasks:
  only: {}
steps:
  baseline: {arm: none-logistic}
  smote: {arm: smote-logistic}
"""


def start(folder, command, fails=()):
    """The stage in this process."""
    name, *rest = command
    if (folder.name, name) in fails:
        raise PipelineError(folder, "it was told to", "tell it not to")
    with contextlib.chdir(folder):
        importlib.import_module(f"pipeline.stages.{name}").run(params.load(), *rest)


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKEWRAY_KEY", "test")
    monkeypatch.setattr(running, "run", partial(running.run, start=start))
    rng = np.random.default_rng(0)
    for number in range(60):
        label, bright = ("rare", 90) if number % 5 == 0 else ("usual", 0)
        path = Path(f"images/{label}/p{number // 2 if label == 'usual' else number}_{number}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray((rng.integers(0, 160, (16, 16)) + bright).astype(np.uint8)).save(path)
    base = presets.load(ROOT / "params.yaml")
    values = presets.merged(base, SMALL)
    changed = {key: new for key, (_, new) in presets.differences(base, values).items()}
    text = rewriting.rewrite((ROOT / "params.yaml").read_text(), changed, values, "params.yaml")
    Path("params.yaml").write_text(text)
    Path("plan.yaml").write_text(PLAN)
    return tmp_path


def run():
    experiments.run(params.load(), "plan.yaml")
    return pd.read_csv("artifacts/experiments/plan/table.csv", keep_default_na=False)


def test_a_plan_ends_in_a_table_of_paired_differences(here, capsys, monkeypatch):
    table = run()
    assert table[["task", "step", "arm"]].to_numpy().tolist() == [
        ["only", "baseline", "none-logistic"],
        ["only", "smote", "smote-logistic"],
    ]
    first, second = table.to_dict("records")
    assert (first["rarest"], first["failed"], second["failed"]) == ("rare", "", "")
    assert first["rarest_patients"] == 12
    for row in (first, second):
        for name in ("macro_f1", "kappa", "balanced_accuracy_adjusted", "auc", "rarest_recall"):
            assert row[f"{name}_low"] <= row[name] <= row[f"{name}_high"]
    assert first["macro_f1_difference"] == ""
    gap = float(second["macro_f1"]) - float(first["macro_f1"])
    assert float(second["macro_f1_difference"]) == pytest.approx(gap, abs=1e-5)
    assert float(second["macro_f1_difference_low"]) <= gap <= float(second["macro_f1_difference_high"])
    assert second["macro_f1_difference_verdict"] in ("better", "worse", "practically the same", "can't tell")
    printed = capsys.readouterr().out
    assert "only, rarest class: rare (12 test patients" in printed
    assert "smote-logistic" in printed
    assert printed.strip().endswith("artifacts/experiments/plan/table.csv")

    # The figures are those that the evaluate stage gives in the folder of a step.
    with contextlib.chdir("artifacts/experiments/plan/only/smote"):
        importlib.import_module("pipeline.stages.evaluate").run(params.load())
        alone = pd.read_json("artifacts/metrics.json", typ="series")["arms"]["smote-logistic"]["test"]
    assert {key: second[key] for key in ("macro_f1", "macro_f1_low", "auc_high")} == pytest.approx(
        {key: alone[key] for key in ("macro_f1", "macro_f1_low", "auc_high")}, abs=1e-5
    )

    # Steps that share everything but a decision share the fit; without an arm, validation selects.
    Path("plan.yaml").write_text(
        PLAN + "  moved: {arm: none-logistic+thresholds}\n  chosen: {}\n  odd: {render: {size: 17}}\n"
    )
    fails = [("odd", "pixels")]
    monkeypatch.setattr(running, "run", partial(running.run, start=partial(start, fails=fails)))
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("[logistic, lightgbm, mlp]", "[logistic]"))
    with pytest.raises(PipelineError, match=r"plan: 1 of 5 steps failed: only/odd\n  Remedy: see log.txt of each in"):
        run()
    table = pd.read_csv("artifacts/experiments/plan/table.csv", keep_default_na=False).set_index("step")
    assert table["failed"].to_dict() == {
        **dict.fromkeys(["baseline", "smote", "moved", "chosen"], ""),
        "odd": "pixels: it was told to",
    }
    assert table.loc["moved", "arm"] == "none-logistic+thresholds"
    fits = [
        Path(f"artifacts/experiments/plan/only/{step}/artifacts/fits/none-logistic/fit.json")
        for step in table.index[:4]
    ]
    assert fits[2].samefile(fits[0])
    assert table.loc["chosen", "arm"].split("+")[0] in ("none-logistic", "smote-logistic", "borderline_smote-logistic")
    assert table.loc["odd", "macro_f1"] == ""
    assert "only/odd failed: pixels: it was told to" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arm", "message"),
    [
        ("smot-logistic", r"grid.resamplers: 'smot' has no entry in section resamplers .*did you mean smote"),
        ("ensemble", "there is no arm 'ensemble'"),
    ],
)
def test_an_arm_that_is_none_stops_the_plan_before_anything_runs(here, arm, message):
    Path("plan.yaml").write_text(PLAN.replace("smote-logistic", arm))
    with pytest.raises(PipelineError, match=message):
        run()
    assert not Path("artifacts").exists()


def test_a_decision_that_is_none_fails_its_step_alone(here):
    Path("plan.yaml").write_text(PLAN.replace("smote-logistic", "none-logistic+guess"))
    with pytest.raises(PipelineError, match="1 of 2 steps failed: only/smote"):
        run()
    table = pd.read_csv("artifacts/experiments/plan/table.csv", keep_default_na=False)
    assert table["failed"].tolist()[1].startswith("there is no none-logistic+guess; there are none-logistic, none-log")
