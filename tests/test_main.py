import shutil

from imports import ROOT

from pipeline import __main__ as command
from pipeline import artifacts, params
from pipeline.stages import split


def test_an_interrupt_is_one_line_and_no_traceback(monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(split, "run", interrupted)
    assert command.main(["split"]) == 130
    assert capsys.readouterr().err == "stopped: finished work is kept, and the next run goes on from there\n"


def test_a_stage_that_ends_well_leaves_its_seconds_beside_those_of_the_others(monkeypatch, tmp_path):
    shutil.copy(ROOT / params.FILE, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(split, "run", lambda _: None)
    artifacts.note_seconds("fit none-mlp", 1.234)
    assert command.main(["split"]) == 0
    noted = artifacts.load_seconds()
    assert noted["fit none-mlp"] == 1.23
    assert 0 <= noted["split"] < 60


def test_a_stage_that_fails_leaves_no_seconds(monkeypatch, tmp_path):
    shutil.copy(ROOT / params.FILE, tmp_path)
    monkeypatch.chdir(tmp_path)
    assert command.main(["split"]) == 1
    assert artifacts.load_seconds() == {}
