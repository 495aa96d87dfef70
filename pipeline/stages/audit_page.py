"""audit.json, audit/, index, pixels, evaluation → audit.html."""

import dataclasses
import logging

import pandas as pd

from pipeline import artifacts, storage
from pipeline.params import Params
from pipeline.report import audit_page
from pipeline.report.auditing.audited import Audited

log = logging.getLogger(__name__)
TESTED = ["image_id", "actual", "predicted"]


def run(params: Params) -> None:
    """Show what the audit found, and where on the map the selected arm errs."""
    checks, tables, arrays = artifacts.load_audit()
    pictures = artifacts.load_pixels()
    audited = Audited(
        title=params.report.title,
        checks=checks,
        tables=tables,
        arrays=arrays,
        index=artifacts.load_index(),
        params=frozenset(field.name for field in dataclasses.fields(params.audit)),
        pictures=pictures if len(pictures) else None,
        tested=_tested(),
        gallery=params.report.gallery,
        ordered=params.evaluate.kappa != "none" and params.data.task == "multiclass",
    )
    storage.write_atomic(artifacts.AUDIT_PAGE, audit_page.render(audited).encode())
    log.info("audit_page: %s", artifacts.AUDIT_PAGE)


def _tested() -> pd.DataFrame | None:
    """What the selected arm said of its test rows; None before an arm was judged."""
    path = artifacts.EVALUATION / "predictions.csv"
    return pd.read_csv(path, dtype="str", keep_default_na=False)[TESTED] if path.exists() else None
