"""Runs of a plan: every stage that is out of date, as a child process in the folder of its step."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.experiments import graph
from pipeline.experiments.graph import Job
from pipeline.experiments.places import Place, index_signature, signatures
from pipeline.experiments.plan import Plan, Step, Task

LOG = "log.txt"
LAST_LINES = 3
Start = Callable[[Path, Sequence[str]], None]


def start(folder: Path, command: Sequence[str]) -> None:
    """Run one stage in a folder with a params.yaml; what it says is added to log.txt there.

    Raises:
        PipelineError: it failed, with what it said last.
    """
    environment = os.environ | {"PYTHONPATH": str(graph.ROOT)}
    with (folder / LOG).open("ab") as log:
        begin = log.seek(0, os.SEEK_END)
        done = subprocess.run(
            [sys.executable, "-m", "pipeline", *command],
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            close_fds=False,  # the lock of the plan is held as long as this child lives
            check=False,
        )
    if done.returncode:
        raise PipelineError(f"{folder}: {' '.join(command)}", _why(folder / LOG, begin, done.returncode), f"see {LOG}")


@dataclass(frozen=True)
class _Run:
    """What the runs of a plan share; `every` grows to all tasks and steps so far, which later ones take from."""

    root: Path
    tell: Callable[[str], None]
    start: Start
    every: list[Place] = field(default_factory=list)


def run(plan: Plan, root: Path, tell: Callable[[str], None], start: Start = start) -> dict[str, dict[str, Place]]:
    """Run what is out of date of every step; a step that fails is recorded, and the others go on.

    Args:
        plan: what to run.
        root: folder of the plan; that of a step is `<task>/<step>`.
        tell: is told what goes on.
        start: runs one stage in a folder, and raises a PipelineError if it fails.

    Returns:
        The place of each step, by task and step.
    """
    own = _Run(root, tell, start)
    return {task.name: _task(task, own) for task in plan.tasks}


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Raise a PipelineError where another run of this plan, or a stage that one left behind, is still at work."""
    import fcntl

    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        os.set_inheritable(lock.fileno(), True)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            what = "another run of this plan is at work, or a stage that a killed run left"
            raise PipelineError(folder, what, "wait until it has ended, or end it") from None
        yield


def _task(task: Task, run: _Run) -> dict[str, Place]:
    home = Place.at(run.root / task.name)
    run.every.append(home)
    places = {step.name: Place.at(home.path / step.name) for step in task.steps}
    begun = _begin(task.steps[0], home, run)
    for step, place in zip(task.steps, places.values(), strict=True):
        if begun:
            _step(step, place, home, run)
            run.every.append(place)
        else:
            place.failed = home.failed
            place.save()
    return places


def _begin(first: Step, home: Place, run: _Run) -> bool:
    """Index and split of a task, which its steps share; whether they ended well."""
    index, split = graph.jobs([])[:2]
    home.write_params(first.values)
    home.made.pop(index.name, None)  # only a scan tells whether the data changed
    if not _job(index, "", home, run):
        return False
    home.made[index.name] = index_signature(home, index)
    sign = signatures([index, split], first.values, home.made[index.name])[split]
    return home.has(split, sign) or _job(split, sign, home, run)


def _step(step: Step, place: Place, home: Place, run: _Run) -> None:
    place.write_params(step.values)
    for job, sign in signatures(graph.jobs(step.arms), step.values, home.made["index"]).items():
        if not place.has(job, sign) and not _job(job, sign, place, run):
            return
    place.failed = {}
    place.save()


def _job(job: Job, sign: str, place: Place, run: _Run) -> bool:
    """Take the output from another place, or run the stage; whether it ended well."""
    donor = next((other for other in run.every if other.has(job, sign)), None)
    if donor:
        place.take(job, donor, sign)
        return True
    place.begin_with(job, reversed(run.every))
    title, begin = place.path.relative_to(run.root).as_posix(), time.perf_counter()
    try:
        run.start(place.path, job.name.split())
    except PipelineError as error:
        place.failed = {"job": job.name, "why": error.what}
        run.tell(f"{title}: {job.name} failed: {error.what}")
    else:
        place.made[job.name], place.failed = sign, {}
        place.seconds[job.name] = round(time.perf_counter() - begin, 1)
        run.tell(f"{title}: {job.name} ({place.seconds[job.name]:.0f} s)")
    place.save()
    return not place.failed


def _why(log: Path, begin: int, code: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        said = file.read().decode("utf-8", "replace").strip()
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    _, mark, error = said.rpartition("error: ")
    return error.split("\n  Remedy:")[0] if mark else "\n".join(said.splitlines()[-LAST_LINES:])
