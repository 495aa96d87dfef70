import contextlib
import dataclasses
import json
import os
import pickle
import shutil
import subprocess
import sys
import time
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from dicoms import write
from imports import ROOT
from ruamel.yaml import YAML

from pipeline import artifacts, params
from pipeline.isolation import Isolated
from pipeline.stages import index, pixels

VALUES = YAML(typ="safe").load(ROOT / "params.yaml")
VALUES["data"] |= {"images": "images", "labels": "labels.csv", "label": "label", "max_quarantined": 0.5}
VALUES["render"] |= {"size": 32}
VALUES["pixels"] |= {"shard": 3}
VALUES["engine"] |= {"workers": 2}
PARAMS = params.check(VALUES)


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("SKEWRAY_KEY", "test")


def put(numbers):
    """Images, of which each seventh is blank."""
    for number in numbers:
        random = np.random.default_rng(number).integers(0, 4096, (64, 64), np.uint16)
        write(Path(f"images/{number}.dcm"), random // (1 if number % 7 else 4096), SOPInstanceUID=f"1.2.{number}")


def label(numbers):
    Path("labels.csv").write_text("path,label\n" + "".join(f"{n}.dcm,{'xy'[n % 2]}\n" for n in numbers))
    index.run(PARAMS)


def contents(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_a_run_that_is_killed_at_any_moment_ends_in_the_same_store_as_one_that_is_not(monkeypatch):
    monkeypatch.setattr(pixels, "SOURCES", [])
    put(range(60))
    label(range(40))
    pixels.run(PARAMS)
    label(range(8, 60))
    artifacts.ROOT.rename("before")
    Path("settings.pickle").write_bytes(pickle.dumps(PARAMS))
    command = [sys.executable, ROOT / "tests" / "killing.py", ".", "30"]
    subprocess.run(command, check=True, timeout=120, env={**os.environ, "PYTHONPATH": str(ROOT)})
    expected = contents("undisturbed/pixels")
    assert len(expected) == 19
    for folder in sorted(Path().glob("done-*")):
        assert contents(folder / "pixels") == expected
        assert (folder / "quarantine.csv").read_bytes() == Path("undisturbed/quarantine.csv").read_bytes()


class Killed(BaseException):
    """Stands for the end of the process."""


def test_a_run_that_is_killed_before_any_one_change_of_a_name_ends_in_the_same_store(monkeypatch):
    monkeypatch.setattr(Isolated, "map", lambda self, items: map(self.function, items))
    put(range(12))
    label(range(9))
    pixels.run(PARAMS)
    label(range(2, 12))
    alone = dataclasses.replace(PARAMS, engine=params.Engine(workers=1))
    expected = None
    for changes in count():
        shutil.rmtree("run", ignore_errors=True)
        shutil.copytree("artifacts", "run/artifacts")
        shutil.copytree("images", "run/images")
        with monkeypatch.context() as patch:
            patch.chdir("run")
            left = iter(range(changes if expected else 1000))
            for owner, name in ((os, "replace"), (Path, "unlink")):
                patch.setattr(owner, name, until_killed(left, getattr(owner, name)))
            with contextlib.suppress(Killed):
                pixels.run(alone)
            got_through = next(left, None) is not None
        with monkeypatch.context() as patch:
            patch.chdir("run")
            pixels.run(alone)
        expected = expected or contents("run/artifacts/pixels")
        assert contents("run/artifacts/pixels") == expected
        if got_through and changes:
            break
    assert changes == 13  # one more than there are: 2 shards, 2 companions, 2 tables, rows twice, manifest; 3 old files


def until_killed(left, function):
    """The function as long as `left` lasts."""

    def called(*args, **options):
        if next(left, None) is None:
            raise Killed
        return function(*args, **options)

    return called


def belonging(mark):
    """Processes that inherited the mark."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def wait_for_none(mark):
    end = time.monotonic() + 10
    while belonging(mark):
        assert time.monotonic() < end, "a process goes on"
        time.sleep(0.01)


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="finds processes by their environment")
@pytest.mark.parametrize("moments", [(5,), pytest.param((2, 9, 17), marks=pytest.mark.slow)])
def test_no_process_outlives_a_killed_run_and_the_next_one_goes_on(moments):
    put(range(1, 60))
    label(range(1, 60))
    Path("params.yaml").write_text(json.dumps(VALUES))
    mark = f"SKEWRAY_TEST={os.getpid()}-{time.time_ns()}"
    command = [sys.executable, "-m", "pipeline", "pixels"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **dict([mark.split("=")])}
    for shards in moments:
        run = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        while len(list(artifacts.PIXELS.glob("*.json"))) < shards:
            assert run.poll() is None
            time.sleep(0.002)
        assert len(belonging(mark)) >= 4  # the run, the fork server, and a child for each of two workers
        run.kill()
        run.wait()
        wait_for_none(mark)
    subprocess.run(command, check=True, env=environment, stderr=subprocess.DEVNULL)
    killed = contents(artifacts.PIXELS)
    for path in artifacts.PIXELS.iterdir():
        path.unlink()
    pixels.run(PARAMS)
    assert contents(artifacts.PIXELS) == killed
    wait_for_none(mark)
