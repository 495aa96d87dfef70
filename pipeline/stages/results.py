"""The arms with their intervals, printed."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pandas as pd
from rich.table import Table

from pipeline import artifacts, storage, terminal
from pipeline.errors import PipelineError
from pipeline.judge.comparison import BETTER, COMPARED, UNKNOWN, WORSE
from pipeline.params import Params

TO_BASELINE = "to baseline"
Flags = Mapping[str, list[dict[str, Any]]]  # collapse.json


def run(params: Params, form: Literal["csv", "json"] | None = None) -> None:
    """Print the arms and the best decision of each, from best to worst on validation, and where the report is.

    As `csv` or `json` every arm and decision, with all columns, and nothing else.
    """
    path = artifacts.EVALUATION / "arms.csv"
    if not path.exists():
        raise PipelineError(path, "is missing", "run `dvc repro evaluate`")
    flags: Flags = storage.load_json(artifacts.EVALUATION / "collapse.json", "evaluate")
    every = with_verdicts(pd.read_csv(path), pd.read_csv(artifacts.COMPARISON))
    if form:
        print(written(every, flags, form))
        return
    weighted = params.data.task == "multiclass" and params.evaluate.kappa != "none"
    kappa = f"{params.evaluate.kappa} kappa" if weighted else "kappa"  # two classes have no grades
    arms = every[every["leading"]]
    printed = terminal.show(tables(arms, flags, kappa))
    print(
        f"Test figures ({params.evaluate.confidence:.0%} intervals over patients). "
        f"* selected on validation by {', '.join(params.evaluate.select)}."
    )
    if TO_BASELINE in [column.header for column in printed.columns]:
        print(f"{TO_BASELINE.capitalize()}: which of these are surely other than of the same head without resampling.")
    if len(arms) < len(every):
        print(f"All {len(every)} arms and decisions stand in {path}.")
    for arm, failure in storage.load_json(artifacts.EVALUATION / "notes.json", "evaluate")["failed"].items():
        print(f"{arm} could not be fitted: {failure['what'].splitlines()[0]}")
    for arm in arms["arm"][arms["arm"].map(flags.get).astype(bool)]:
        print(f"{arm}: {', '.join(clauses(flags[arm]))}")
    if artifacts.REPORT.exists():
        print(artifacts.REPORT)


def with_verdicts(arms: pd.DataFrame, comparisons: pd.DataFrame) -> pd.DataFrame:
    """arms.csv with `<metric>_verdict`, that of comparison.csv against the arm's baseline; NaN where it has none."""
    wide = comparisons.pivot(index=["arm", "reference"], columns="metric", values="verdict").reindex(columns=COMPARED)
    wide = wide.add_suffix("_verdict").reset_index().rename(columns={"reference": "baseline"})
    return arms.merge(wide.astype("str", errors="ignore"), on=["arm", "baseline"], how="left")


def written(every: pd.DataFrame, flags: Flags, form: Literal["csv", "json"]) -> str:
    """The whole table with the clauses of collapse.json, as CSV or as a JSON list of arms."""
    collapse = pd.Series([clauses(flags[arm]) for arm in every["arm"]])
    if form == "csv":
        return every.assign(collapse=collapse.str.join("; ")).to_csv(index=False, lineterminator="\n").rstrip("\n")
    records = json.loads(every.to_json(orient="records", double_precision=15))
    return json.dumps([{**row, "collapse": of} for row, of in zip(records, collapse, strict=True)], indent=1)


def tables(arms: pd.DataFrame, flags: Flags, kappa: str) -> Iterator[Table]:
    """The rows of arms.csv, with how many clauses of collapse.json fired: forms from wide to narrow."""
    shown = dict(zip(COMPARED, ("macro-F1", kappa, "adj. bal. accuracy"), strict=True))
    short = dict(zip(COMPARED, ("macro-F1", "kappa", "adj. b. a."), strict=True))
    alone = {COMPARED[0]: short[COMPARED[0]]}
    for names, interval, told in (
        (shown, True, True),
        (shown, True, False),
        (short, False, True),
        (short, False, False),
    ):
        yield table(arms, flags, names, interval, told)
    yield table(arms, {arm: [] for arm in flags}, alone, False, False)


def table(arms: pd.DataFrame, flags: Flags, shown: Mapping[str, str], interval: bool, told: bool) -> Table:
    """The metrics `shown`, with intervals and with verdicts against the baseline if asked for."""
    fired = {arm: signs(len(flags[arm])) for arm in arms["arm"]}
    compared = arms[f"{COMPARED[0]}_verdict"].notna().any()
    last = [title for title, wanted in ((TO_BASELINE, told and compared), ("collapse", any(fired.values()))) if wanted]
    made = terminal.grid("arm", *shown.values(), *last)
    for row in arms.to_dict("records"):
        name = f"{row['arm']} *" if row["selected"] else row["arm"]
        ends = [[row[f"{key}{end}"] for end in ("_low", "_high")] if interval else [] for key in shown]
        figures = [terminal.figure(row[key], *of) for key, of in zip(shown, ends, strict=True)]
        cells = {TO_BASELINE: against_baseline(row), "collapse": fired[row["arm"]]}
        made.add_row(name, *figures, *map(cells.get, last), style="bold" if row["selected"] else "")
    return made


def against_baseline(row: Mapping[Any, Any]) -> str:
    """The verdicts on all metrics in short: `1 better`; `baseline` for itself, nothing where there is none."""
    verdicts = [row[f"{metric}_verdict"] for metric in COMPARED]
    if pd.isna(verdicts[0]):
        return "baseline" if row["arm"] == row["baseline"] else ""
    if len(set(verdicts)) == 1:
        return verdicts[0]
    counts = [f"{verdicts.count(word)} {word}" for word in (BETTER, WORSE) if word in verdicts]
    return ", ".join(counts) or UNKNOWN


def signs(count: int) -> str:
    """1 sign, 2 signs; nothing for none."""
    return f"{count} sign{'s' if count > 1 else ''}" if count else ""


def clauses(flags: list[dict[str, Any]]) -> list[str]:
    """The clauses, with the classes that they name: `one_class C`, `class_f1 A`."""
    return [f"{flag['clause']} {flag.get('class', '')}".strip() for flag in flags]
