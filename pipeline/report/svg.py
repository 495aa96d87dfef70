"""Line drawings as inline SVG, written by hand: small, fast, and in the page's own colours, light or dark.

What is drawn has classes of style.css.j2 in place of attributes, and a colour is a CSS variable's name, such as
`class-3`. Text in a drawing is numbers and a few fixed words: names of any length or alphabet stay outside.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape

import numpy as np
from markupsafe import Markup
from numpy.typing import ArrayLike

LEFT, BOTTOM, RIGHT, TOP = 42, 30, 6, 6  # px around the frame, for ticks and labels
DASHES = {"-": "", "--": ' stroke-dasharray="5 3"', ":": ' stroke-dasharray="1.5 2.5"'}


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round numbers within the ends, at most `most`: multiples of 1, 2 or 5 times a power of ten."""
    span = high - low
    power = 10.0 ** math.floor(math.log10(span / most))
    step = next(step for step in (power, 2 * power, 5 * power, 10 * power) if span / step < most)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(number * step, 12) for number in range(first, last + 1)]


def label(value: float) -> str:
    """A tick's number: 0.2, −1, 1,000."""
    return f"{value:,.6g}".replace("-", "\N{MINUS SIGN}")


@dataclass
class Drawing:
    """Axes with a frame; everything that lies outside of it is cut off.

    Attributes:
        x: lowest and highest value shown.
        y: likewise.
        names: of the axes; "" for none.
        size: of the whole, px.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    names: tuple[str, str] = ("", "")
    size: tuple[int, int] = (190, 170)
    _inside: list[str] = field(default_factory=list)
    _outside: list[str] = field(default_factory=list)

    def line(self, x: ArrayLike, y: ArrayLike, colour: str, dash: str = "-", kind: str = "curve") -> None:
        """A line through points (n,); it is broken where one is NaN."""
        places = self._places(x, y)
        runs = np.split(places, np.flatnonzero(~np.isfinite(places).all(axis=1)))
        for run in (run[np.isfinite(run).all(axis=1)] for run in runs):
            if len(run) > 1:
                self._add(f'<path class="{kind}"{_stroke(colour)}{DASHES[dash]} d="{_path(run)}"/>')

    def band(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, colour: str) -> None:
        """The area between two lines, (n,) each; points with a NaN are left out."""
        below, above = self._places(x, low), self._places(x, high)
        known = np.isfinite(below + above).all(axis=1)
        ends = np.concatenate([below[known], above[known][::-1]])
        if len(ends):
            self._add(f'<path class="band"{_fill(colour)} d="{_path(ends)}Z"/>')

    def steps(self, edges: np.ndarray, low: np.ndarray, high: np.ndarray, colour: str) -> None:
        """Bars without gaps: between edges (n + 1,) from `low` to `high` (n,)."""
        x, below, above = np.repeat(edges, 2)[1:-1], np.repeat(low, 2), np.repeat(high, 2)
        ends = np.concatenate([self._places(x, below), self._places(x, above)[::-1]])
        self._add(f'<path class="area"{_fill(colour)} d="{_path(ends)}Z"/>')

    def dots(self, x: ArrayLike, y: ArrayLike, colour: str, radius: float = 3) -> None:
        """Discs at points (n,); none where one is NaN."""
        for left, top in self._known(x, y):
            self._add(f'<circle class="dot"{_fill(colour)} cx="{left:.4g}" cy="{top:.4g}" r="{radius:g}"/>')

    def crosses(self, x: ArrayLike, y: ArrayLike, colour: str) -> None:
        """Crosses at points (n,)."""
        for left, top in self._known(x, y):
            path = f"M{left - 3:.4g} {top - 3:.4g}l6 6m0-6l-6 6"
            self._add(f'<path class="cross"{_stroke(colour)} d="{path}"/>')

    def whiskers(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, colour: str) -> None:
        """Upright intervals at points (n,)."""
        for at, below, above in np.column_stack([np.asarray(values, float) for values in (x, low, high)]).tolist():
            self.line([at, at], [below, above], colour, kind="whisker")

    def render(self, description: str, x_ticks: Sequence[tuple[float, str]] | None = None) -> Markup:
        """The SVG with its axes.

        Args:
            description: for those who can't see it.
            x_ticks: values and what stands below them, in place of round numbers.
        """
        width, height = self.size
        inner = f'x="{LEFT}" y="{TOP}" width="{self._width:g}" height="{self._height:g}"'
        return Markup(
            f'<svg class="plot" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
            f'aria-label="{escape(description)}">{self._axes(x_ticks)}<svg {inner}>{"".join(self._inside)}</svg></svg>'
        )

    @property
    def _width(self) -> float:
        return self.size[0] - LEFT - RIGHT

    @property
    def _height(self) -> float:
        return self.size[1] - TOP - BOTTOM

    def _add(self, element: str) -> None:
        self._inside.append(element)

    def _places(self, x: ArrayLike, y: ArrayLike) -> np.ndarray:
        """Pixels within the frame, (n, 2)."""
        across = (np.asarray(x, float) - self.x[0]) / (self.x[1] - self.x[0]) * self._width
        down = (self.y[1] - np.asarray(y, float)) / (self.y[1] - self.y[0]) * self._height
        return np.column_stack([across, down])

    def _known(self, x: ArrayLike, y: ArrayLike) -> list[list[float]]:
        places = self._places(x, y)
        return places[np.isfinite(places).all(axis=1)].tolist()

    def _axes(self, x_ticks: Sequence[tuple[float, str]] | None) -> str:
        width, height = self.size
        floor = height - BOTTOM
        below = x_ticks or [(value, label(value)) for value in ticks(*self.x, most=5)]
        parts = []
        for value, text in below:
            at = LEFT + (value - self.x[0]) / (self.x[1] - self.x[0]) * self._width
            parts.append(f'<path class="grid" d="M{at:.4g} {TOP}V{floor}"/>' if x_ticks is None else "")
            parts.append(f'<text class="tick" x="{at:.4g}" y="{floor + 11}" text-anchor="middle">{escape(text)}</text>')
        for value in ticks(*self.y):
            at = TOP + (self.y[1] - value) / (self.y[1] - self.y[0]) * self._height
            parts.append(f'<path class="grid" d="M{LEFT} {at:.4g}H{width - RIGHT}"/>')
            text = label(value)
            parts.append(f'<text class="tick" x="{LEFT - 4}" y="{at + 3:.4g}" text-anchor="end">{text}</text>')
        parts.append(f'<path class="axis" d="M{LEFT} {TOP}V{floor}H{width - RIGHT}"/>')
        middle, upright = LEFT + self._width / 2, TOP + self._height / 2
        parts.append(f'<text class="name" x="{middle:g}" y="{height - 4}" text-anchor="middle">{self.names[0]}</text>')
        turned = f'transform="translate(9 {upright:g}) rotate(-90)"'
        parts.append(f'<text class="name" {turned} text-anchor="middle">{self.names[1]}</text>')
        return "".join(parts)


def _path(places: np.ndarray) -> str:
    """M and L of points, to a tenth of a pixel."""
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places.tolist())


def _stroke(colour: str) -> str:
    return f' style="stroke:var(--{colour})"'


def _fill(colour: str) -> str:
    return f' style="fill:var(--{colour})"'
