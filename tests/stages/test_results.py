import csv
import dataclasses
import io
import json
import re
from pathlib import Path

import pandas as pd
import pytest

from pipeline import __main__, artifacts, params, storage
from pipeline.errors import PipelineError
from pipeline.judge.comparison import COLUMNS, COMPARED
from pipeline.stages import results

PARAMS = params.load(Path(__file__).parents[2] / "params.yaml")
VERDICTS = {"smote-mlp": ("better", "can't tell", "worse"), "none-mlp+tilt": ("practically the same",) * 3}


def arm(name: str, value: float, selected: bool = False, leading: bool = True) -> dict[str, object]:
    figures = {
        f"{key}{end}": value + gap for key in COMPARED for end, gap in (("", 0), ("_low", -0.05), ("_high", 0.06))
    }
    of, _, decision = name.partition("+")
    fixed = {"arm": name, "selected": selected, "baseline": "none-mlp", "of": of, "decision": decision}
    return {**fixed, "leading": leading, **figures, "seconds": 1.5}


@pytest.fixture(autouse=True)
def evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What `evaluate` leaves of two arms, a decision that leads and one that does not."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)
    arms = [
        arm("smote-mlp", 0.61234, selected=True),
        arm("none-mlp+tilt", 0.6),
        arm("none-mlp", 0.5),
        arm("smote-mlp+prior", 0.4, leading=False),
    ]
    write(pd.DataFrame(arms), {"none-mlp": [{"clause": "never_predicted", "class": "A"}, {"clause": "kappa"}]})


def write(arms: pd.DataFrame, flags: dict[str, list[dict[str, str]]], verdicts=VERDICTS) -> None:
    storage.save_csv(artifacts.EVALUATION / "arms.csv", arms)
    storage.save_json(artifacts.EVALUATION / "collapse.json", {name: [] for name in arms["arm"]} | flags)
    storage.save_json(artifacts.EVALUATION / "notes.json", {"comparison": "", "failed": {}, "unproven": []})
    rows = [
        {"arm": name, "reference": "none-mlp", "metric": metric, "verdict": verdict}
        for name, of in verdicts.items()
        for metric, verdict in zip(COMPARED, of, strict=True)
    ]
    storage.save_csv(artifacts.COMPARISON, pd.DataFrame(rows, columns=list(COLUMNS)))


def printed(capsys: pytest.CaptureFixture[str], **options: str) -> list[str]:
    results.run(PARAMS, **options)  # pyright: ignore[reportArgumentType]
    return capsys.readouterr().out.splitlines()


def on_terminal(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int) -> list[str]:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    return printed(capsys)


def test_the_leading_arms_stand_in_order_with_intervals_verdict_and_collapse(capsys):
    lines = printed(capsys)
    rows = [re.split(r"\s{2,}", line.strip()) for line in lines if "(0." in line]
    assert rows[0] == ["smote-mlp *", *["0.612 (0.56–0.67)"] * 3, "1 better, 1 worse"]
    assert rows[1] == ["none-mlp+tilt", *["0.600 (0.55–0.66)"] * 3, "practically the same"]
    assert rows[2] == ["none-mlp", *["0.500 (0.45–0.56)"] * 3, "baseline", "2 signs"]
    assert len(rows) == 3
    assert lines[-1] == "none-mlp: never_predicted A, kappa"
    assert "All 4 arms and decisions stand in artifacts/evaluation/arms.csv." in lines
    assert [line for line in lines if line != line.rstrip()] == []


def test_no_width_of_a_window_cuts_what_goes_to_a_file(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "20")
    assert "0.612 (0.56–0.67)" in "\n".join(printed(capsys))


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (130, ["quadratic kappa", "(0.56–0.67)", "to baseline", "collapse"]),
        (95, ["quadratic kappa", "(0.56–0.67)", "collapse"]),
        (85, ["kappa", "to baseline", "collapse"]),
        (60, ["macro-F1", "collapse"]),
        (30, ["macro-F1"]),
    ],
)
def test_a_narrow_terminal_gets_fewer_columns_and_whole_names(width, shown, capsys, monkeypatch):
    lines = on_terminal(capsys, monkeypatch, width)
    text = "\n".join(re.sub(r"\x1b\[[0-9;]*m", "", line) for line in lines)
    columns = ["quadratic kappa", "kappa", "macro-F1", "(0.56–0.67)", "to baseline", "collapse"]
    table = text.split("Test figures")[0]
    assert max(map(len, table.splitlines())) <= width
    assert [name for name in shown if name not in table] == []
    assert [name for name in columns[3:] if name in table] == [name for name in columns[3:] if name in shown]
    assert "none-mlp+tilt" in table
    assert ("To baseline" in text) == ("to baseline" in shown)


def test_colour_is_for_terminals_that_want_it(capsys, monkeypatch):
    assert not any("\x1b" in line for line in printed(capsys))
    monkeypatch.setenv("NO_COLOR", "1")
    assert not any(re.search(r"\x1b\[[0-9;]*3[0-9]", line) for line in on_terminal(capsys, monkeypatch, 120))


def test_as_csv_every_arm_and_column_is_printed_and_nothing_else(capsys):
    table = pd.read_csv(io.StringIO("\n".join(printed(capsys, form="csv")))).set_index("arm")
    assert list(table.index) == ["smote-mlp", "none-mlp+tilt", "none-mlp", "smote-mlp+prior"]
    assert table.loc["smote-mlp", "macro_f1"] == 0.61234
    assert tuple(table.loc["smote-mlp", f"{metric}_verdict"] for metric in COMPARED) == VERDICTS["smote-mlp"]
    assert table.loc["none-mlp", "collapse"] == "never_predicted A; kappa"
    assert table["kappa_verdict"].isna().tolist() == [False, False, True, True]


def test_as_json_every_arm_is_a_dict(capsys):
    every = json.loads("\n".join(printed(capsys, form="json")))
    assert [one["arm"] for one in every] == ["smote-mlp", "none-mlp+tilt", "none-mlp", "smote-mlp+prior"]
    assert every[0]["macro_f1"] == 0.61234
    assert every[0]["selected"] is True
    assert (every[2]["collapse"], every[2]["kappa_verdict"]) == (["never_predicted A", "kappa"], None)


def test_the_command_takes_one_of_the_two_forms(capsys):
    parsed = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(params, "load", lambda: PARAMS)
        patch.setattr(results, "run", lambda _, **options: parsed.append(options))
        assert [__main__.main(["results", *given]) for given in ([], ["--csv"], ["--json"])] == [0, 0, 0]
    assert parsed == [{"form": None}, {"form": "csv"}, {"form": "json"}]
    with pytest.raises(SystemExit):
        __main__.main(["results", "--csv", "--json"])
    assert "not allowed with argument" in capsys.readouterr().err


def test_an_arm_alone_has_neither_verdict_nor_baseline(capsys):
    write(pd.DataFrame([arm("all", 0.6) | {"baseline": None}]), {}, {})
    rows = [re.split(r"\s{2,}", line.strip()) for line in printed(capsys) if "(0." in line]
    assert rows == [["all", *["0.600 (0.55–0.66)"] * 3]]
    assert "baseline" not in "\n".join(printed(capsys))
    assert next(csv.DictReader(printed(capsys, form="csv")))["macro_f1_verdict"] == ""


def test_a_figure_that_is_not_defined_is_a_dash(capsys):
    none = dict.fromkeys((f"{key}{end}" for key in COMPARED for end in ("", "_low", "_high")), float("nan"))
    write(pd.DataFrame([arm("all", 0.6) | none]), {}, {})
    assert [re.split(r"\s{2,}", line.strip()) for line in printed(capsys) if "all  " in line] == [
        ["all", "–", "–", "–"]
    ]


def test_kappa_is_called_by_its_weighting_where_classes_have_an_order(capsys):
    assert "quadratic kappa" in printed(capsys)[1]
    two = dataclasses.replace(PARAMS, data=dataclasses.replace(PARAMS.data, task="binary"))
    results.run(two)
    assert "quadratic" not in capsys.readouterr().out


def test_the_last_line_is_the_report_if_there_is_one(capsys):
    assert printed(capsys)[-1] != "artifacts/report.html"
    storage.write_atomic(artifacts.REPORT, b"")
    assert printed(capsys)[-1] == "artifacts/report.html"


def test_without_an_evaluation_the_command_is_named():
    (artifacts.EVALUATION / "arms.csv").unlink()
    with pytest.raises(PipelineError, match=r"arms\.csv: is missing\n  Remedy: run `dvc repro evaluate`"):
        results.run(PARAMS)
