"""Columns of the labels that are kept for subgroups: a few values each, and nothing that tells who somebody is.

Params refuses columns by their name; here they are refused by what they hold. A column with very many values is a name,
a date or an id by another title; and the images of one value of it are too few to say anything about.
"""

import pandas as pd

from pipeline import artifacts
from pipeline.errors import PipelineError

MOST_VALUES = 50
DATES = r"(?:\d{4}([-./]?)\d\d\1\d\d|\d{1,2}[-./]\d{1,2}[-./]\d{4})\b"


def check(index: pd.DataFrame) -> None:
    """Raise a PipelineError for an attribute with more than MOST_VALUES values, or with dates; no value is shown."""
    for column in artifacts.attribute_columns(index):
        name, values = column.removeprefix(artifacts.ATTRIBUTE), index[column].dropna().drop_duplicates()
        if values.str.match(DATES).any():
            raise PipelineError("data.attributes", f"{name!r} holds dates, which tell patients apart", _remedy(name))
        if len(values) > MOST_VALUES:
            what = f"{name!r} has {len(values)} different values, more than {MOST_VALUES}"
            raise PipelineError("data.attributes", what, _remedy(name))


def _remedy(name: str) -> str:
    return f"leave {name!r} out, or write groups such as 40-49 in a column of its own"
