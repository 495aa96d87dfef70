"""fits, index → metrics.json, comparison.csv, evaluation/."""

import logging
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline import artifacts, storage
from pipeline.contest import contestants, entries, selected, standing, tables, trust, verdict, views
from pipeline.judge import benefit
from pipeline.params import Params

log = logging.getLogger(__name__)


def run(params: Params) -> None:
    """Judge every arm of the grid and its variants on the same rows and draws; select one on validation."""
    how = params.evaluate
    entered = entries.load(params.grid.names, how, params.fit.unit)
    classes, columns = entered.classes, views.check(entered, how)
    of = contestants.enter(entered, how)
    stands = standing.stand(of, contestants.judge_all(of, how), entered.arms, how, params.grid)
    one = of[stands.selected]
    roc, pr = selected.drawn(one.test, classes, how)
    evaluation = {
        "arms.csv": tables.arms(stands, entered.arms, how.select),
        "per_class.csv": tables.per_class(stands, classes),
        "confusion.json": tables.confusion(stands, classes),
        "decisions.json": tables.decisions(stands, classes),
        "collapse.json": tables.collapsed(stands, classes, how.kappa),
        "predictions.csv": selected.predictions(one, entered.tested, classes),
        "roc.csv": roc,
        "pr.csv": pr,
        "reject.csv": selected.rejected(one, classes, how),
        "reliability.csv": trust.reliability(stands, classes, how.confidence),
        "calibration.csv": trust.calibrated(stands, classes),
        "net_benefit.csv": benefit.table(one.test, classes, how.draws, how.confidence, how.seed),
        "cases.csv": selected.cases(one, entered.tested, classes),
        "groups.csv": views.groups(stands, classes, how),
        "subgroups.csv": views.subgroups(one, entered, columns, how),
    }
    for path, content in verdict.files(stands, entered, how).items():
        save(path, content)
    for name, content in evaluation.items():
        save(artifacts.EVALUATION / name, content)
    log.info("evaluate: %d arms; selected on validation: %s", len(entered.arms), stands.selected)


def save(path: Path, content: pd.DataFrame | dict[str, Any]) -> None:
    """Write a table as CSV, anything else as JSON, with the digits that are kept in git."""
    if isinstance(content, pd.DataFrame):
        storage.write_atomic(path, content.to_csv(index=False, lineterminator="\n", float_format="%.6g").encode())
    else:
        storage.save_json(path, content)
