"""Tables and figures on a terminal, or as plain lines where they go to a file or another program."""

import io
from collections.abc import Iterable

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table

PIPED_WIDTH = 1000  # nothing is cut or wrapped


def grid(*columns: str) -> Table:
    """A table without lines between its rows; what is too long for its column goes on in the next line, uncut."""
    made = Table(box=box.SIMPLE)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def show(forms: Iterable[Table]) -> Table:
    """Print, and return, the first of several forms of a table, from wide to narrow, that fits; else the last.

    In colour on a terminal (but for NO_COLOR), elsewhere as lines without trailing blanks.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=PIPED_WIDTH, file=io.StringIO())
    made, unbounded = list(forms), console.options.update(width=PIPED_WIDTH)
    chosen = next(
        (form for form in made if console.measure(form, options=unbounded).maximum <= console.width), made[-1]
    )
    if console.is_terminal:
        console.print(chosen)
        return chosen
    with console.capture() as capture:
        console.print(chosen)
    print("\n".join(line.rstrip() for line in capture.get().splitlines()))
    return chosen


def figure(value: float, low: float | None = None, high: float | None = None) -> str:
    """0.612 (0.55–0.67), or 0.612 without ends; a dash where there is none."""
    if pd.isna(value):
        return "–"
    return f"{value:.3f}" if low is None else f"{value:.3f} ({low:.2f}–{high:.2f})"
