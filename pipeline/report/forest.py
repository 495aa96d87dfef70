"""Intervals on a common scale, one small drawing per row of a table: a forest plot whose rows are sorted as any table.

Names of arms and figures stand in the table's own cells, so that they wrap, align and are read aloud.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup

from pipeline.report import svg
from pipeline.report.words import absent

WIDTH, HEIGHT, MARGIN = 220, 18, 8  # px
ENDS = ("", "_low", "_high")  # of a figure's name: its value and its interval


@dataclass(frozen=True)
class Scale:
    """Lowest and highest value that the drawings of a column show."""

    low: float
    high: float

    @classmethod
    def over(cls, rows: Iterable[Mapping[str, Any]], key: str, *always: float) -> "Scale":
        """A scale that holds `always`, and the figure `key` of all rows with its intervals where they are known."""
        values = [row.get(f"{key}{end}") for row in rows for end in ENDS]
        known = [value for value in values if value is not None and not absent(value)] + list(always) or [0.0, 1.0]
        low, high = min(known), max(known)
        room = 0.04 * (high - low) or 0.05
        return cls(low - room, high + room)

    def at(self, value: float) -> float:
        """Pixels from the left; what lies outside is drawn at the edge."""
        inner = WIDTH - 2 * MARGIN
        return MARGIN + float(np.clip((value - self.low) / (self.high - self.low), 0, 1)) * inner

    def axis(self) -> Markup:
        """The head of the column: round numbers with their marks."""
        marks = "".join(
            f'<path class="axis" d="M{at:.1f} 14v4"/><text class="tick" x="{at:.1f}" y="11" text-anchor="middle">'
            f"{svg.label(value)}</text>"
            for value in svg.ticks(self.low, self.high, most=5)
            for at in [self.at(value)]
        )
        return _svg(f'{marks}<path class="axis" d="M{MARGIN} 18H{WIDTH - MARGIN}"/>')

    def interval(
        self, figures: Mapping[str, Any], key: str, tone: str = "", rule: float | None = None, rope: float = 0
    ) -> Markup:
        """One row: a dot, its interval, and behind both a rule with the region of no difference.

        Args:
            figures: `key`, `key_low` and `key_high`, as far as they are known.
            key: of the figure.
            tone: class of style.css.j2 that colours it.
            rule: value of an upright line, such as no difference.
            rope: on both sides of the rule.
        """
        value, low, high = (figures.get(f"{key}{end}") for end in ENDS)
        parts = []
        if rule is not None:
            left, right = self.at(rule - rope), self.at(rule + rope)
            if rope:
                parts.append(f'<rect class="rope" x="{left:.1f}" y="0" width="{right - left:.1f}" height="{HEIGHT}"/>')
            parts.append(f'<path class="rule" d="M{self.at(rule):.1f} 0V{HEIGHT}"/>')
        if low is not None and high is not None and not absent(low) and not absent(high):
            ends = f"M{self.at(low):.1f} 9H{max(self.at(high), self.at(low) + 1):.1f}"
            parts.append(f'<path class="whisker" d="{ends}"/>')
        if value is not None and not absent(value):
            parts.append(f'<circle class="dot" cx="{self.at(value):.1f}" cy="9" r="4"/>')
        return _svg("".join(parts), tone)


def _svg(content: str, tone: str = "") -> Markup:
    box = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    return Markup(f'<svg class="row {tone}" {box} aria-hidden="true">{content}</svg>')
