"""Pictures that a person should look at: pairs beside each other, labels with what is suggested in their place."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from pipeline.report import samples
from pipeline.report.auditing import figures, verdicts
from pipeline.report.auditing.audited import Audited
from pipeline.report.tables import records

MOST = 36  # pictures of a table; the rest is in its CSV
FIRST, PAIR, SUGGESTED = "image_id", "other_id", "suggested"  # columns


def of(audited: Audited) -> dict[str, Any]:
    """Values of strips.html.j2: tables of the checks, the worst first, with pictures where there are some.

    A column that holds nothing but image ids is of images; `other_label` belongs to the
    image of `other_id`, and `label` beside it to the first one.
    """
    if not audited.gallery:
        return {"strips": []}
    known = audited.places.index.union(pd.Index(audited.index[FIRST]))
    order = sorted(audited.tables, key=lambda name: verdicts.RANKS.index(audited.checks[name]["verdict"]))
    shown = {
        name: audited.tables[name] for name in order if FIRST in audited.tables[name] and len(audited.tables[name])
    }
    columns = {name: _image_columns(table, known) for name, table in shown.items()}
    heads = {name: table.head(MOST // len(columns[name])) for name, table in shown.items()}
    pictures = _pictures(
        audited, {one for name, table in heads.items() for column in columns[name] for one in table[column]}
    )
    strips = [_strip(name, audited, table, columns[name], pictures) for name, table in heads.items()]
    return {"strips": sorted(strips, key=lambda strip: not strip["first"])}


def _strip(
    name: str, audited: Audited, table: pd.DataFrame, columns: Sequence[str], pictures: Mapping[str, str]
) -> dict[str, Any]:
    return {
        "name": name,
        "title": figures.words(name),
        "verdict": audited.checks[name]["verdict"],
        "finding": audited.checks[name]["finding"],
        "first": PAIR in table or SUGGESTED in table,
        "columns": len(columns),
        "total": len(audited.tables[name]),
        "cases": [_case(row, columns, pictures) for row in records(table)],
    }


def _image_columns(table: pd.DataFrame, known: pd.Index) -> list[str]:
    text = table.select_dtypes(exclude="number")
    return [str(name) for name in text if name in (FIRST, PAIR) or text[name].isin(known).all()]


def _pictures(audited: Audited, ids: set[str]) -> dict[str, str]:
    places = audited.places[audited.places.index.isin(ids)]
    if audited.pictures is None or places.empty:
        return {}
    taken = audited.pictures.take(places.to_numpy(int))
    return {name: samples.inline(picture) for name, picture in zip(places.index, taken, strict=True)}


def _case(row: Mapping[str, Any], columns: Sequence[str], pictures: Mapping[str, str]) -> dict[str, Any]:
    """Each image with what is of it, and facts of the row as a whole."""
    owned = {column: [name for name in row if _owns(column, name) and name not in columns] for column in columns[1:]}
    shared = {name.removeprefix(f"{_stem(column)}_") for column, names in owned.items() for name in names}
    owned[FIRST] = [name for name in row if name in shared]
    spent = {*columns, *(name for names in owned.values() for name in names)}
    labels = None
    if SUGGESTED in row:
        labels, spent = (row["label"], row[SUGGESTED]), {*spent, "label", SUGGESTED}
    return {
        "images": [_image(row, column, owned[column], pictures) for column in columns],
        "labels": labels,
        "facts": [
            (figures.words(name), _text(value)) for name, value in row.items() if name not in spent and _said(value)
        ],
    }


def _stem(column: str) -> str:
    return column.removesuffix("_id")


def _owns(column: str, name: str) -> bool:
    return name.startswith(f"{_stem(column)}_")


def _image(row: Mapping[str, Any], column: str, owned: Sequence[str], pictures: Mapping[str, str]) -> dict[str, Any]:
    what = [] if column in (FIRST, PAIR) else [figures.words(column)]
    facts = [*what, *(_text(row[name]) for name in owned if _said(row[name]))]
    return {"id": row[column], "source": pictures.get(row[column]), "facts": facts}


def _text(value: Any) -> str:
    return figures.text(value.item() if isinstance(value, np.generic) else value)


def _said(value: Any) -> bool:
    return not (value is None or value == "" or (isinstance(value, float) and np.isnan(value)))
