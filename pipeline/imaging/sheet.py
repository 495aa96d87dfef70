"""A contact sheet: pictures as the model will see them, and below each what decided how it looks.

It is drawn with the font that Pillow carries, which has little more than ASCII.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

MARGIN, GAP, PAD = 24, 16, 12  # around the sheet, between cards, within a card; pixels
SMALLEST, LARGEST = 224, 448  # side of a drawn picture: smaller ones are enlarged by whole numbers, larger ones reduced
WIDEST = 1720
TITLE, NAME, TEXT = 16, 14, 13  # font sizes
LEADING = 1.3
PAGE, CARD, INK, SOFT = "#e9ecef", "#ffffff", "#1b1f24", "#5b6570"
FAULT, FAULT_GROUND, BOX = "#b3121d", "#fdeceb", "#ff8c00"
_PLAIN = str.maketrans(
    {"×": "x", "–": "-", "—": "-", "−": "-", "→": "->", "≥": ">=", "≤": "<=", "‘": "'", "’": "'", "“": '"', "”": '"'}
)


@dataclass(frozen=True)
class Cell:
    """One picture of the sheet, or why there is none.

    Attributes:
        name: of the file.
        picture: (H, W) or (H, W, 3), uint8 or uint16; None where it can't be shown.
        lines: what decided how it looks.
        whole: the uncropped picture, likewise, drawn beside it; None for none.
        box: top, left, height and width, in pixels of `whole`, of the part that `picture` shows.
        fault: why it can't be shown.
        remedy: what helps.
    """

    name: str
    picture: np.ndarray | None = None
    lines: Sequence[str] = ()
    whole: np.ndarray | None = None
    box: tuple[float, float, float, float] | None = None
    fault: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class _Line:
    text: str
    size: int
    colour: str


def draw(cells: Sequence[Cell], title: str, size: int) -> Image.Image:
    """The sheet, RGB.

    Args:
        cells: in reading order.
        title: above them.
        size: side of their pictures, pixels.
    """
    side = _drawn_side(size)
    width = side + 2 * PAD
    if any(cell.whole is not None for cell in cells):
        width += _beside(side) + PAD
    columns = max(1, min(len(cells), WIDEST // (width + GAP)))
    across = columns * (width + GAP) - GAP
    head = _wrapped([_Line(title, TITLE, INK)], across)
    texts = [_wrapped(_text(cell), width - 2 * PAD) for cell in cells]
    rows = [range(start, min(start + columns, len(cells))) for start in range(0, len(cells), columns)]
    heights = [max(side + 3 * PAD + _height(texts[number]) for number in row) for row in rows]
    top = MARGIN + _height(head) + GAP
    canvas = Image.new("RGB", (across + 2 * MARGIN, top + sum(heights) + GAP * (len(rows) - 1) + MARGIN), PAGE)
    pen = ImageDraw.Draw(canvas)
    _write(pen, head, MARGIN, MARGIN)
    for row, height in zip(rows, heights, strict=True):
        for place, number in enumerate(row):
            left = MARGIN + place * (width + GAP)
            pen.rounded_rectangle((left, top, left + width - 1, top + height - 1), 6, CARD)
            _draw_pictures(canvas, pen, cells[number], left + PAD, top + PAD, side)
            _write(pen, texts[number], left + PAD, top + side + 2 * PAD)
        top += height + GAP
    return canvas


def wrap(text: str, size: int, width: int) -> list[str]:
    """Lines of at most `width` pixels, broken after a space, / or _, else anywhere."""
    lines, line = [], ""
    for word in _words(plain(text)):
        if line and _length(line + word.rstrip(), size) > width:
            lines.append(line.rstrip())
            line = ""
        while _length(word.rstrip(), size) > width:
            fitting = max(1, next(end for end in range(1, len(word) + 1) if _length(word[:end], size) > width) - 1)
            lines.append(word[:fitting])
            word = word[fitting:]
        line += word
    return [*lines, line.rstrip()] if line.strip() or not lines else lines


def plain(text: str) -> str:
    """The text in characters that the font has: é → e; others by their code, as \\u4e2d."""
    split = unicodedata.normalize("NFKD", text.translate(_PLAIN))
    kept = [char for char in split if not unicodedata.combining(char)]
    return "".join(char if (char.isascii() and char.isprintable()) or char in "·°" else _escaped(char) for char in kept)


def _escaped(char: str) -> str:
    return " " if char.isspace() else char.encode("unicode_escape", "surrogatepass").decode()


def _words(text: str) -> list[str]:
    """Pieces that stay together, each with the space, slash or underscore that ends it."""
    pieces = [""]
    for char in text:
        pieces[-1] += char
        if char in " /_":
            pieces.append("")
    return pieces


@cache
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _length(text: str, size: int) -> float:
    return _font(size).getlength(text)


def _text(cell: Cell) -> list[_Line]:
    lines = [_Line(cell.name, NAME, INK), *(_Line(line, TEXT, SOFT) for line in cell.lines)]
    if cell.fault:
        lines += [_Line(cell.fault, TEXT, FAULT), _Line(f"Remedy: {cell.remedy}", TEXT, FAULT)]
    return lines


def _wrapped(lines: Sequence[_Line], width: int) -> list[_Line]:
    return [_Line(part, line.size, line.colour) for line in lines for part in wrap(line.text, line.size, width)]


def _height(lines: Sequence[_Line]) -> int:
    return sum(round(LEADING * line.size) for line in lines)


def _write(pen: ImageDraw.ImageDraw, lines: Sequence[_Line], left: int, top: int) -> None:
    for line in lines:
        pen.text((left, top), line.text, fill=line.colour, font=_font(line.size))
        top += round(LEADING * line.size)


def _drawn_side(size: int) -> int:
    return min(size * -(-SMALLEST // size), LARGEST)


def _beside(side: int) -> int:
    """Width of the place for the whole picture."""
    return 2 * side // 3


def _draw_pictures(canvas: Image.Image, pen: ImageDraw.ImageDraw, cell: Cell, left: int, top: int, side: int) -> None:
    if cell.picture is None:
        pen.rectangle((left, top, left + side - 1, top + side - 1), FAULT_GROUND)
        for ends in ((0, 0, 1, 1), (0, 1, 1, 0)):
            place = [corner + (side - 1) * end for corner, end in zip((left, top) * 2, ends, strict=True)]
            pen.line(place, FAULT, 1)
        return
    canvas.paste(_image(cell.picture, side, side), (left, top))
    if cell.whole is None:
        return
    height, width = cell.whole.shape[:2]
    scale = min(_beside(side) / width, side / height)
    left += side + PAD
    canvas.paste(_image(cell.whole, max(1, round(height * scale)), max(1, round(width * scale))), (left, top))
    if cell.box is not None:
        y, x, rows, columns = (scale * number for number in cell.box)
        pen.rectangle((left + x, top + y, left + x + columns - 1, top + y + rows - 1), outline=BOX, width=2)


def _image(picture: np.ndarray, height: int, width: int) -> Image.Image:
    """As RGB: pixels stay squares where it is enlarged."""
    shown = (picture >> 8).astype(np.uint8) if picture.dtype == np.uint16 else picture
    how = Image.Resampling.NEAREST if height >= picture.shape[0] else Image.Resampling.BOX
    return Image.fromarray(shown).convert("RGB").resize((width, height), how)
