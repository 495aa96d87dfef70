"""Figures of a check, nested by class, resampler or nuisance, as tables."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any


def tables(figures: Mapping[str, Any], title: str = "") -> Iterator[dict[str, Any]]:
    """`title`, `columns`, and `rows` of a name and as many texts as columns.

    Mappings with mostly the same keys are the rows of one table; what stands alone makes a table of two columns.
    """
    plain = {name: value for name, value in figures.items() if not isinstance(value, Mapping)}
    nested = {name: value for name, value in figures.items() if isinstance(value, Mapping) and value}
    if plain:
        yield _table(title, {name: {"": value} for name, value in plain.items()})
    if alike := _alike(nested):
        yield _table("" if plain else title, alike)
    for name, value in nested.items():
        if name not in alike:
            yield from tables(value, ": ".join(part for part in (title, words(name)) if part))


def words(name: object) -> str:
    """A name of code as words."""
    return str(name).replace("_", " ")


def text(value: Any) -> str:
    """A value in a cell: numbers of three digits, with a true minus."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        digits = f"{value:,.0f}" if isinstance(value, int) or abs(value) >= 1000 else f"{value:.3g}"
        return digits.replace("-", "\N{MINUS SIGN}")
    if isinstance(value, Mapping):
        return ", ".join(f"{words(name)} {text(one)}" for name, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(text(one) for one in value)
    return str(value)


def _alike(nested: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Those that are rows of one table: two levels at most, and half of the keys those of the first."""
    flat = {name: value for name, value in nested.items() if _depth(value) <= 2}
    first = set(next(iter(flat.values()), {}))
    found = {name: value for name, value in flat.items() if 2 * len(first & set(value)) >= max(len(first), len(value))}
    return found if len(found) > 1 else {}


def _depth(value: Any) -> int:
    return 1 + max(map(_depth, value.values()), default=0) if isinstance(value, Mapping) else 0


def _table(title: str, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    cells = [
        (words(name), [text(row[column]) if column in row else "" for column in columns]) for name, row in rows.items()
    ]
    return {"title": title, "columns": [words(column) for column in columns], "rows": cells}
