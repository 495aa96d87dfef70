import json
import subprocess
import sys
from pathlib import Path

import pytest
from imports import ROOT

from pipeline.errors import PipelineError
from pipeline.experiments import graph, plan, presets, running

BASE = presets.load(ROOT / "params.yaml")
PLAN = """
tasks:
  one: {finetune: {policy: frozen}}
  two: {finetune: {policy: frozen}, split: {seed: 3}}
steps:
  baseline: {arm: none-logistic}
  smote: {arm: smote-logistic}
  sampler: {arm: none-logistic, finetune: {policy: full, sampler: none}}
"""
STAGES = ["pixels", "finetune", "embed"]


class Stages:
    """Stands for the child processes: writes each output, and fails or is interrupted where it is told to."""

    def __init__(self):
        self.ran, self.fails, self.stops, self.data = [], {}, None, "data"

    def __call__(self, folder, command):
        name = " ".join(command)
        where = "/".join(folder.parts[-2:]) if folder.parent.name != "plans" else folder.name
        self.ran.append(f"{where}: {name}")
        if (where, name) == self.stops:
            raise KeyboardInterrupt
        if (where, name) in self.fails:
            raise PipelineError(folder, self.fails[where, name], "see")
        job = next(job for job in graph.jobs(command[1:]) if job.name == name)
        for out in job.outs:
            path = folder / out
            if path.suffix:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.unlink(missing_ok=True)
                path.write_text(self.data if name == "index" else name)
            else:
                path.mkdir(parents=True, exist_ok=True)
                (path / "content").write_text(name)

    def again(self):
        self.ran.clear()


@pytest.fixture
def stages(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    graph._checksum.cache_clear()
    return Stages()


def run(stages, text=PLAN, tell=lambda line: None):
    Path("plan.yaml").write_text(text)
    return running.run(plan.load(Path("plan.yaml"), BASE), Path("plans"), tell, stages)


FIRST = [
    "one: index",
    "one: split",
    *(f"one/baseline: {stage}" for stage in [*STAGES, "fit none-logistic"]),
    "one/smote: fit smote-logistic",
    "one/sampler: finetune",
    "one/sampler: embed",
    "one/sampler: fit none-logistic",
]


def test_what_does_not_differ_is_made_once_and_shared(stages):
    places = run(stages)
    assert stages.ran[: len(FIRST)] == FIRST
    for step in ("baseline", "smote", "sampler"):
        own = Path(f"plans/one/{step}/artifacts")
        assert (own / "index.parquet").samefile("plans/one/artifacts/index.parquet")
        assert (own / "splits.parquet").samefile("plans/one/artifacts/splits.parquet")
        assert (own / "pixels/content").samefile("plans/one/baseline/artifacts/pixels/content")
    assert Path("plans/one/smote/artifacts/backbone/content").samefile("plans/one/baseline/artifacts/backbone/content")
    assert not any(place.failed for of in places.values() for place in of.values())


def test_another_split_does_not_render_again_but_trains_again(stages):
    run(stages)
    second = stages.ran[len(FIRST) :]
    assert second[:2] == ["two: index", "two: split"]
    assert "two/baseline: pixels" not in second
    assert "two/baseline: finetune" in second


def test_nothing_but_the_scan_runs_again(stages):
    run(stages)
    stages.again()
    run(stages)
    assert stages.ran == ["one: index", "two: index"]


def test_other_data_make_everything_of_a_task_new(stages):
    run(stages)
    stages.again()
    stages.data = "more"
    run(stages)
    assert [line for line in stages.ran if line.startswith("one")] == FIRST


def test_a_changed_param_reruns_what_depends_on_it_and_no_more(stages):
    run(stages)
    stages.again()
    run(stages, PLAN.replace("tasks:", "params: {heads: {logistic: {C: 0.5}}}\ntasks:"))
    fits = ["baseline: fit none-logistic", "smote: fit smote-logistic", "sampler: fit none-logistic"]
    expected = [line for task in ("one", "two") for line in [f"{task}: index", *(f"{task}/{fit}" for fit in fits)]]
    assert stages.ran == expected


def test_changed_code_reruns_the_stages_that_import_it(stages, monkeypatch):
    run(stages)
    stages.again()
    real = graph._checksum
    monkeypatch.setattr(graph, "_checksum", lambda path: "new" if path.name == "smotes.py" else real(path))
    run(stages)
    assert {line.split(": ")[1] for line in stages.ran} == {"index", "fit none-logistic", "fit smote-logistic"}


def test_a_run_that_was_killed_goes_on_where_it_was(stages):
    stages.stops = ("one/smote", "fit smote-logistic")
    with pytest.raises(KeyboardInterrupt):
        run(stages)
    before = len(stages.ran)
    stages.stops = None
    run(stages)
    assert stages.ran[before : before + 2] == ["one: index", "one/smote: fit smote-logistic"]


def test_an_output_that_was_deleted_is_made_again(stages):
    run(stages)
    stages.again()
    for path in Path("plans").rglob("fits/smote-logistic/content"):
        path.unlink()
        path.parent.rmdir()
    run(stages)
    assert [line for line in stages.ran if "smote" in line] == [
        "one/smote: fit smote-logistic",
        "two/smote: fit smote-logistic",
    ]


def test_a_failed_step_is_recorded_the_others_finish_and_it_is_tried_again(stages):
    stages.fails = {("one/sampler", "finetune"): "no space left"}
    told = []
    places = run(stages, tell=told.append)
    assert places["one"]["sampler"].failed == {"job": "finetune", "why": "no space left"}
    assert json.loads(Path("plans/one/sampler/record.json").read_text())["failed"]["why"] == "no space left"
    assert "one/sampler: finetune failed: no space left" in told
    assert not places["one"]["smote"].failed
    assert not places["two"]["sampler"].failed
    stages.fails = {}
    stages.again()
    assert not run(stages)["one"]["sampler"].failed
    assert "one/sampler: finetune" in stages.ran


def test_where_the_index_fails_its_task_fails_and_the_other_goes_on(stages):
    stages.fails = {("one", "index"): "no image"}
    places = run(stages)
    assert {place.failed["why"] for place in places["one"].values()} == {"no image"}
    assert not any(place.failed for place in places["two"].values())
    assert not any(line.startswith("one/") for line in stages.ran)


def test_a_task_begins_with_the_memo_and_the_store_of_another(stages):
    seen = {}

    def start(folder, command):
        if command[0] in ("index", "pixels"):
            artifacts = folder / "artifacts"
            seen["/".join([*folder.parts[1:], command[0]])] = sorted(path.name for path in artifacts.glob("*"))
        stages(folder, command)
        if command[0] == "index":
            (folder / "artifacts/scan.parquet").write_text("memo")

    run(start, PLAN.replace("split: {seed: 3}", "render: {size: 64}"))
    assert "scan.parquet" in seen["two/index"]
    assert "pixels" in seen["two/baseline/pixels"]
    assert "pixels" not in seen["one/baseline/pixels"]


def test_a_stage_that_fails_says_what_it_said_last(tmp_path):
    with pytest.raises(PipelineError) as raised:
        running.start(tmp_path, ["split"])
    assert raised.value.what == "params.yaml: cannot be read (No such file or directory)"
    assert "run from the folder that holds it" in (tmp_path / "log.txt").read_text()


def test_a_stage_that_is_killed_names_the_signal(tmp_path, monkeypatch):
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    real = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda command, **how: real([sys.executable, "-c", code], **how))
    with pytest.raises(PipelineError, match="ended by SIGKILL"):
        running.start(tmp_path, ["split"])


def test_a_plan_runs_once_at_a_time(tmp_path):
    at_work = pytest.raises(PipelineError, match="another run of this plan is at work")
    with running.alone(tmp_path), at_work, running.alone(tmp_path):
        pass
    with running.alone(tmp_path):
        pass


def test_a_stage_that_is_left_behind_holds_the_lock(tmp_path, monkeypatch):
    left = []

    def leave(command, cwd, close_fds=True, **how):
        waits = [sys.executable, "-c", "input()"]
        left.append(subprocess.Popen(waits, stdin=subprocess.PIPE, cwd=cwd, close_fds=close_fds))
        return subprocess.CompletedProcess(command, 0)

    monkeypatch.setattr(subprocess, "run", leave)
    with running.alone(tmp_path):
        running.start(tmp_path, ["split"])
    with pytest.raises(PipelineError, match="or a stage that a killed run left"), running.alone(tmp_path):
        pass
    left[0].communicate(b"\n")
    with running.alone(tmp_path):
        pass
