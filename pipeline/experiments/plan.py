"""Plans of experiments: tasks × steps, each a set of params of its own.

    params: {split: {folds: 3}}                       # of all
    tasks:
      moderate: {recipe: nih_pneumothorax}            # a recipe, sections of params.yaml, or both
      extreme: {recipe: nih_hernia}
    steps:
      baseline: {arm: none-logistic}                  # the first is what the others are compared with
      smote: {arm: smote-logistic}
      sampler: {arm: none-logistic, finetune: {sampler: weighted}}

The params of a step are params.yaml, the recipe of the task, `params`, the sections of the task and those of the step,
each over the one before. `arm` is the arm of a step, with its decision if any (none-logistic+thresholds); without it,
the one of its grid that validation selects.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.experiments import presets
from pipeline.experiments.presets import Values
from pipeline.params import Params

SAME = ("data", "split", "evaluate")  # sections that the steps of a task share, so that all judge the same test rows
TAKEN = ("artifacts",)  # of the folder of a task
NAME = re.compile(r"\w+", re.ASCII)


@dataclass(frozen=True)
class Step:
    """One run.

    Attributes:
        name: of the step.
        arm: whose figures count, with its decision; "" for the one that validation selects.
        values: all of params.yaml, with absolute paths.
        params: the same, checked.
    """

    name: str
    arm: str
    values: Values
    params: Params

    @property
    def arms(self) -> list[str]:
        """What is to be fitted."""
        return [self.arm.partition("+")[0]] if self.arm else self.params.grid.names


@dataclass(frozen=True)
class Task:
    """Steps on the same patients in the same roles; the first is the baseline."""

    name: str
    steps: list[Step]


@dataclass(frozen=True)
class Plan:
    """Tasks with the same steps; the name is that of the file."""

    name: str
    tasks: list[Task]


def load(path: Path, base: Mapping[str, Any]) -> Plan:
    """The plan of a file on top of the values of params.yaml.

    Raises:
        PipelineError: with every fault of the plan, or of the params of one of its steps.
    """
    given = presets.load(path)
    _refuse(path, _faults(given))
    common = presets.merged(base, {})
    tasks = []
    for name, of in given["tasks"].items():
        sections = dict(of or {})
        recipe = sections.pop("recipe", None)
        start = presets.merged(common, presets.load(presets.find(recipe))) if recipe else common
        values = presets.merged(presets.merged(start, given.get("params") or {}), sections)
        steps = [_step(step, own or {}, values, f"{path}, {name}/{step}") for step, own in given["steps"].items()]
        tasks.append(Task(name, steps))
    return Plan(path.stem, tasks)


def _step(name: str, given: Mapping[str, Any], values: Values, where: str) -> Step:
    sections = dict(given)
    arm = sections.pop("arm", "")
    made = presets.merged(values, sections)
    resampler, mark, head = arm.partition("+")[0].partition("-")
    if mark:  # its params say what the step is, and name what it is not no more
        made = presets.merged(made, {"grid": {"resamplers": [resampler], "heads": [head], "arms": []}})
    made = _absolute(made)
    return Step(name, arm, made, params.check(made, Path(where)))


def _absolute(values: Values) -> Values:
    """The same with absolute paths, since each step runs in a folder of its own."""
    paths = [("data", "images"), ("data", "labels"), ("backbone", "weights")]
    changes: Values = {}
    for section, key in paths:
        given = values[section][key]
        if (section == "data" and given != "folders") or Path(str(given)).expanduser().is_file():
            changes.setdefault(section, {})[key] = str(Path(str(given)).expanduser().absolute())
    return presets.merged(values, changes)


def _faults(given: Mapping[str, Any]) -> list[str]:
    faults = [
        f"{key}: unknown key; a plan has params, tasks, steps" for key in given.keys() - {"params", "tasks", "steps"}
    ]
    for kind in ("tasks", "steps"):
        of = given.get(kind)
        if not isinstance(of, dict) or not of:
            faults.append(f"{kind}: must name at least one")
            continue
        for name, own in of.items():
            if not NAME.fullmatch(str(name)) or name in TAKEN:
                faults.append(f"{kind}.{name}: a name has letters, digits and _ only, and is not {TAKEN[0]}")
            if not isinstance(own or {}, dict):
                faults.append(f"{kind}.{name}: must be sections of params.yaml (got {own!r})")
    steps = given.get("steps")
    for name, own in steps.items() if isinstance(steps, dict) else []:
        of = own if isinstance(own, dict) else {}
        changed = [section for section in SAME if section in of]
        if changed:
            what = "which the steps of a task share: they are compared on the same rows; make it another task"
            faults.append(f"steps.{name}: changes {', '.join(changed)}, {what}")
        if not isinstance(of.get("arm", ""), str):
            faults.append(f"steps.{name}.arm: must be the name of an arm (got {of['arm']!r})")
    return faults


def _refuse(path: Path, faults: list[str]) -> None:
    if faults:
        lines = "".join(f"\n  - {fault}" for fault in faults)
        raise PipelineError(
            path, f"{len(faults)} fault{'s' * (len(faults) > 1)}:{lines}", "mend the plan, then run again"
        )
