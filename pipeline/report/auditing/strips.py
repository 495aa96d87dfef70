"""Pictures that a person should look at: pairs beside each other, labels with what is suggested in their place."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipeline.report import samples
from pipeline.report.auditing import figures, verdicts
from pipeline.report.auditing.audited import Audited
from pipeline.report.tables import records

PAIRS, IMAGES = 24, 36  # that are shown of a table; the rest is in its CSV
OTHER = "other_id"  # column of the second image of a pair


def of(audited: Audited) -> dict[str, Any]:
    """Values of strips.html.j2: tables of the checks, the worst first, with pictures where there are some."""
    if not audited.gallery:
        return {"strips": []}
    order = sorted(audited.tables, key=lambda name: verdicts.RANKS.index(audited.checks[name]["verdict"]))
    wanted = {name: audited.tables[name] for name in order if _images(audited.tables[name])}
    shown = {name: table.head(PAIRS if OTHER in table else IMAGES) for name, table in wanted.items()}
    pictures = _pictures(audited, {one for table in shown.values() for name in _images(table) for one in table[name]})
    return {
        "strips": [
            {
                "name": name,
                "title": figures.words(name),
                "verdict": audited.checks[name]["verdict"],
                "finding": audited.checks[name]["finding"],
                "pairs": OTHER in table,
                "total": len(wanted[name]),
                "cases": [_case(row, pictures) for row in records(table)],
            }
            for name, table in shown.items()
        ]
    }


def _images(table: pd.DataFrame) -> list[str]:
    return [name for name in ("image_id", OTHER) if name in table and len(table)]


def _pictures(audited: Audited, ids: set[str]) -> dict[str, str]:
    places = audited.places[audited.places.index.isin(ids)]
    if audited.pictures is None or places.empty:
        return {}
    taken = audited.pictures.take(places.to_numpy(int))
    return {name: samples.inline(picture) for name, picture in zip(places.index, taken, strict=True)}


def _case(row: Mapping[str, Any], pictures: Mapping[str, str]) -> dict[str, Any]:
    """Each image with what is of it, and facts of the row as a whole."""
    second = {name: value for name, value in row.items() if name.startswith("other_")}
    first = {name: row[name] for name in _own(row, second)}
    images = [_image(row["image_id"], first.values(), pictures)]
    if OTHER in row:
        images.append(_image(row[OTHER], (value for name, value in second.items() if name != OTHER), pictures))
    label = {"label", "suggested"} if "suggested" in row else set()
    told = {name: value for name, value in row.items() if name not in {"image_id", *first, *second, *label}}
    return {
        "images": images,
        "labels": (row["label"], row["suggested"]) if label else None,
        "facts": [(figures.words(name), figures.text(_plain(value))) for name, value in told.items() if _said(value)],
    }


def _own(row: Mapping[str, Any], second: Mapping[str, Any]) -> list[str]:
    return [name.removeprefix("other_") for name in second if name != OTHER and name.removeprefix("other_") in row]


def _image(name: str, facts: Any, pictures: Mapping[str, str]) -> dict[str, Any]:
    return {
        "id": name,
        "source": pictures.get(name),
        "facts": [figures.text(_plain(fact)) for fact in facts if _said(fact)],
    }


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _said(value: Any) -> bool:
    return not (value is None or value == "" or (isinstance(value, float) and np.isnan(value)))
