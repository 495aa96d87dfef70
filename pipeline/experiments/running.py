"""Runs of a plan: every stage that is out of date, as a child process in the folder of its step."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pipeline.errors import PipelineError
from pipeline.experiments import graph
from pipeline.experiments.graph import Job
from pipeline.experiments.places import Place, index_signature, signatures
from pipeline.experiments.plan import Plan, Step, Task

LOG = "log.txt"
LAST_LINES = 3
Start = Callable[[Path, Sequence[str]], None]
Tell = Callable[[str], None]


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


def run(plan: Plan, root: Path, tell: Tell, start: Start = start) -> dict[str, dict[str, Place]]:
    """Run what is out of date of every step; a step that fails is recorded, and the others go on.

    Args:
        plan: what to run.
        root: folder of the plan; that of a step is `<task>/<step>`.
        tell: is told what goes on.
        start: runs one stage in a folder, and raises a PipelineError if it fails.

    Returns:
        The place of each step, by task and step.
    """
    every: list[Place] = []  # of all tasks and steps so far, which later ones take from
    found: dict[str, dict[str, Place]] = {}
    for task in plan.tasks:
        home = Place.at(root / task.name)
        every.append(home)
        found[task.name] = {step.name: Place.at(root / task.name / step.name) for step in task.steps}
        if not _begin(task, home, every, tell, start):
            for place in found[task.name].values():
                place.failed = home.failed
                place.save()
            continue
        for step in task.steps:
            place = found[task.name][step.name]
            _step(
                step, place, home, every, lambda line, name=f"{task.name}/{step.name}": tell(f"{name}: {line}"), start
            )
            every.append(place)
    return found


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


def _begin(task: Task, home: Place, every: Sequence[Place], tell: Tell, start: Start) -> bool:
    """Index and split of a task, which its steps share; whether they ended well."""
    values, (index, split) = task.steps[0].values, graph.jobs([])[:2]
    home.write_params(values)
    home.made.pop(index.name, None)  # only a scan tells whether the data changed
    home.begin_with(index, every)
    tell_of = lambda line: tell(f"{task.name}: {line}")  # noqa: E731
    if not _job(index, "", home, [], tell_of, start):
        return False
    home.made[index.name] = index_signature(home, index)
    sign = signatures([index, split], values, home.made[index.name])[split]
    return home.has(split, sign) or _job(split, sign, home, [], tell_of, start)


def _step(step: Step, place: Place, home: Place, every: Sequence[Place], tell: Tell, start: Start) -> None:
    place.write_params(step.values)
    for job, sign in signatures(graph.jobs(step.arms), step.values, home.made["index"]).items():
        if not place.has(job, sign) and not _job(job, sign, place, every, tell, start):
            return
    place.failed = {}
    place.save()


def _job(job: Job, sign: str, place: Place, every: Sequence[Place], tell: Tell, start: Start) -> bool:
    """Take the output from another place, or run the stage; whether it ended well."""
    donor = next((other for other in every if other.has(job, sign)), None)
    if donor:
        place.take(job, donor, sign)
        return True
    place.begin_with(job, reversed(every))
    begin = time.perf_counter()
    try:
        start(place.path, job.name.split())
    except PipelineError as error:
        place.failed = {"job": job.name, "why": error.what}
        tell(f"{job.name} failed: {error.what}")
    else:
        place.made[job.name], place.failed = sign, {}
        place.seconds[job.name] = round(time.perf_counter() - begin, 1)
        tell(f"{job.name} ({place.seconds[job.name]:.0f} s)")
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
