"""Where the selected arm errs most surely, and where it is least sure."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.report import samples, tables
from pipeline.report.results import Results

TITLES = {"error": "The worst errors", "doubt": "The least certain"}


def of(results: Results) -> dict[str, Any]:
    """Per kind its cases, with a picture where there is one; none where the gallery is switched off."""
    shown = tables.records(results.cases) if results.settings.gallery else []
    pictures = _pictures(results, [case["image_id"] for case in shown])
    kinds = {
        title: [{**case, "source": pictures.get(case["image_id"])} for case in shown if case["kind"] == kind]
        for kind, title in TITLES.items()
    }
    return {
        "gallery": results.settings.gallery,
        "cases": {title: rows for title, rows in kinds.items() if rows},
        "several_folds": len(results.split_summary["folds"]) > 1,
    }


def _pictures(results: Results, ids: Sequence[str]) -> dict[str, str]:
    if not len(results.pictures) or not ids:
        return {}
    rows = results.pictures.rows
    positions = np.flatnonzero(rows["image_id"].isin(set(ids)))
    taken = results.pictures.take(positions)
    names = rows["image_id"].to_numpy()[positions]
    return {name: samples.inline(picture) for name, picture in zip(names, taken, strict=True)}
