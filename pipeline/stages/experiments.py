"""A plan of experiments → artifacts/experiments/<plan>/: a working folder for each step, and one table.

Why not `dvc exp`: its temporary copies hold what git tracks, and images and labels are not tracked (`--copy-paths`
would copy them, and everything would be decoded again in each); in the workspace, one experiment's predictions
overwrite those of the one before, and its tables show figures side by side, where differences on the same patients are
wanted.
What each stage depends on is read from dvc.yaml all the same.
"""

import contextlib
import logging
import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from rich.table import Table

from pipeline import artifacts, params, storage, terminal
from pipeline.contest import across
from pipeline.contest.across import SHOWN, Picked
from pipeline.errors import PipelineError
from pipeline.experiments import plan, presets, running
from pipeline.experiments.places import Place
from pipeline.experiments.plan import Plan, Step, Task
from pipeline.heads import named
from pipeline.judge import comparison
from pipeline.judge.comparison import COMPARED, Terms
from pipeline.judge.intervals import FEW
from pipeline.params import Params

log = logging.getLogger(__name__)
FOLDER = artifacts.ROOT / "experiments"
TITLES = {"macro_f1": "macro-F1", "kappa": "kappa", "balanced_accuracy_adjusted": "adj. bal. accuracy", "auc": "AUC"}
OTHER_ROWS = "its test rows are not those of the baseline"


def run(_: Params, file: str) -> None:
    """Run what is out of date of every step, and print how each compares with the first of its task.

    Raises:
        PipelineError: the plan is faulty, or, after the table, steps failed.
    """
    made = plan.load(Path(file), presets.load(params.FILE))
    for task in made.tasks:
        for step in task.steps:
            check(step)
    root = FOLDER / made.name
    with running.alone(root):
        places = running.run(made, root, log.info)
    table = pd.concat([of_task(task, places[task.name]) for task in made.tasks], ignore_index=True)
    text = table.to_csv(index=False, lineterminator="\n", float_format="%.6g")
    storage.write_atomic(root / "table.csv", text.encode())
    for task in made.tasks:
        print_task(task, table[table["task"] == task.name])
    how = made.tasks[0].steps[0].params.evaluate
    print(comparison.note(Terms(how.confidence, how.rope, math.nan)))
    print(root / "table.csv")
    _refuse_failed(made, table, root)


def check(step: Step) -> None:
    """Raise a PipelineError for an arm that the params of a step do not have."""
    named.check(step.params)
    for arm in step.arms:
        named.find(step.params, arm)


def of_task(task: Task, places: Mapping[str, Place]) -> pd.DataFrame:
    """Rows of table.csv of one task: task, those of `across.table`, and failed (why a step has no figures)."""
    picked: dict[str, Picked] = {}
    failed: dict[str, str] = {}
    for step in task.steps:
        place = places[step.name]
        try:
            if place.failed:
                raise PipelineError(place.path, f"{place.failed['job']}: {place.failed['why']}", "")
            with contextlib.chdir(place.path):
                one = across.pick(step.params, step.arm)
            if picked and not across.same_rows(next(iter(picked.values())), one):
                raise PipelineError(place.path, OTHER_ROWS, "")
            picked[step.name] = one
        except PipelineError as error:
            failed[step.name] = error.what
    first = task.steps[0]
    if first.name in failed:  # nothing to compare with: each stands alone
        parts = [across.table({name: one}, first.params.evaluate) for name, one in picked.items()]
        found = pd.concat(parts) if parts else pd.DataFrame({"step": []})
    else:
        found = across.table(picked, first.params.evaluate)
    every = pd.DataFrame({"task": task.name, "step": [step.name for step in task.steps]})
    table = every.merge(found, on="step", how="left")
    return table.assign(failed=[failed.get(name, "") for name in table["step"]])


def print_task(task: Task, rows: pd.DataFrame) -> None:
    """One table of a task, and under it why steps have no figures."""
    select = next(key for key in [*task.steps[0].params.evaluate.select, "macro_f1"] if key in COMPARED)
    done = rows[rows["failed"] == ""]
    if len(done):
        patients = int(done["rarest_patients"].iloc[0])
        few = ", too few to tell much" if patients < FEW else ""
        print(f"{task.name}, rarest class: {done['rarest'].iloc[0]} ({patients} test patients{few})")
        terminal.show(_form(done, select, intervals) for intervals in (True, False))
    for row in rows[rows["failed"] != ""].to_dict("records"):
        print(f"{row['task']}/{row['step']} failed: {str(row['failed']).splitlines()[0]}")


def _form(rows: pd.DataFrame, select: str, intervals: bool) -> Table:
    made = terminal.grid(
        "step", "arm", *(TITLES[name] for name in SHOWN), "recall of rarest", f"{TITLES[select]} to baseline", ""
    )
    ends = ("", "_low", "_high") if intervals else ("",)
    for row in rows.to_dict("records"):
        figures = [terminal.figure(*(row[f"{name}{end}"] for end in ends)) for name in (*SHOWN, "rarest_recall")]
        difference, verdict = "", ""
        if not pd.isna(row.get(f"{select}_difference")):
            low, high = row[f"{select}_difference_low"], row[f"{select}_difference_high"]
            difference = f"{row[f'{select}_difference']:+.3f}" + (f" ({low:+.2f} to {high:+.2f})" if intervals else "")
            verdict = row[f"{select}_difference_verdict"]
        made.add_row(row["step"], row["arm"], *figures, difference, verdict)
    return made


def _refuse_failed(made: Plan, table: pd.DataFrame, root: Path) -> None:
    failed = table[table["failed"] != ""]
    if len(failed):
        names = ", ".join(f"{row['task']}/{row['step']}" for row in failed.to_dict("records"))
        what = f"{len(failed)} of {len(table)} steps failed: {names}"
        raise PipelineError(made.name, what, f"see {running.LOG} of each in {root}; run again: what is done is kept")
