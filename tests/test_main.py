from imports import ROOT

from pipeline import __main__ as command
from pipeline.stages import split


def test_an_interrupt_is_one_line_and_no_traceback(monkeypatch, capsys):
    def interrupted(_):
        raise KeyboardInterrupt

    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(split, "run", interrupted)
    assert command.main(["split"]) == 130
    assert capsys.readouterr().err == "stopped: finished work is kept, and the next run goes on from there\n"
