from pathlib import Path

import pytest
from imports import ROOT

from pipeline.errors import PipelineError
from pipeline.experiments import plan, presets

BASE = presets.load(ROOT / "params.yaml")
PLAN = """
params: {split: {folds: 2}, finetune: {sampler: none}}
tasks:
  moderate: {recipe: breakhis, data: {images: here}}
  extreme: {split: {seed: 4}}
steps:
  baseline: {arm: none-logistic}
  moved: {arm: none-logistic+thresholds}
  sampler: {finetune: {sampler: weighted}}
"""


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text, base=BASE):
    Path("plan.yaml").write_text(text)
    return plan.load(Path("plan.yaml"), base)


def test_each_step_has_the_params_of_plan_task_and_step_over_one_another(here):
    made = load(PLAN)
    assert made.name == "plan"
    assert [(task.name, [step.name for step in task.steps]) for task in made.tasks] == [
        ("moderate", ["baseline", "moved", "sampler"]),
        ("extreme", ["baseline", "moved", "sampler"]),
    ]
    moderate, extreme = made.tasks
    baseline, _, sampler = (step.params for step in moderate.steps)
    assert baseline.backbone.model == "densenet121", "of the recipe"
    assert baseline.split.folds == 2, "of the plan, over the recipe"
    assert baseline.data.images == str(here / "here"), "of the task, and absolute"
    assert baseline.data.labels == "folders"
    assert (baseline.finetune.sampler.name, sampler.finetune.sampler.name) == ("none", "weighted")
    assert extreme.steps[0].params.split.seed == 4
    assert extreme.steps[0].params.data.labels == str(here / "data/demo/labels.csv")
    assert extreme.steps[0].params.backbone.weights == "none"


def test_a_named_arm_is_all_that_is_fitted():
    baseline, moved, sampler = load(PLAN).tasks[1].steps
    assert baseline.arms == moved.arms == ["none-logistic"]
    assert moved.arm == "none-logistic+thresholds"
    assert baseline.params.grid.names == ["none-logistic"]
    assert (sampler.arm, len(sampler.arms)) == ("", 9)


def test_weights_of_a_file_are_found_from_the_folder_of_a_step(here):
    Path("w.safetensors").write_bytes(b"")
    made = load("tasks: {a: {backbone: {weights: w.safetensors}}}\nsteps: {s: }\n")
    assert made.tasks[0].steps[0].params.backbone.weights == str(here / "w.safetensors")


def test_all_faults_of_a_plan_are_told_at_once():
    text = """
    step: {}
    tasks: {artifacts: {}, b-c: {}, d: 3}
    steps:
      one: {data: {rest: A}, split: {seed: 1}}
      two: {arm: 3}
    """
    with pytest.raises(PipelineError) as raised:
        load(text)
    told = str(raised.value)
    assert told.startswith("plan.yaml: 6 faults:\n")
    assert "- step: unknown key; a plan has params, tasks, steps\n" in told
    assert "- tasks.artifacts: a name has letters, digits and _ only, and is not artifacts\n" in told
    assert "- tasks.b-c: a name has" in told
    assert "- tasks.d: must be sections of params.yaml (got 3)\n" in told
    assert (
        "- steps.one: changes data, split, which the steps of a task share: they are compared on the same rows" in told
    )
    assert "- steps.two.arm: must be the name of an arm (got 3)\n" in told


def test_a_fault_of_the_params_names_plan_task_and_step():
    with pytest.raises(PipelineError, match=r"plan.yaml, a/s: 1 fault:\n  - finetune.epoch: unknown key; did you mean"):
        load("tasks: {a: }\nsteps: {s: {finetune: {epoch: 3}}}\n")


@pytest.mark.parametrize("path", sorted((ROOT / "experiments").glob("*.yaml")), ids=lambda path: path.stem)
def test_the_plans_of_the_repository_are_sound_and_have_techniques_alone_and_together(path):
    made = plan.load(path, BASE)
    assert [task.name for task in made.tasks] == ["moderate", "extreme"]
    steps = {step.name: step for step in made.tasks[0].steps}
    alone = [
        "baseline",
        "sampler",
        "loss_weights",
        "head_weights",
        "focal",
        "augmentation",
        "smote",
        "borderline_smote",
    ]
    assert list(steps)[:9] == [*alone, "moved_threshold"]
    assert len(steps) > 11
    for name in alone[1:]:
        changed = presets.differences(steps["baseline"].values, steps[name].values)
        assert len({key[:2] for key in changed}) == 1, f"{name} is one technique: {changed}"
