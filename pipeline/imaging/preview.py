"""From a file to its cell of the contact sheet."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.errors import PipelineError
from pipeline.imaging import headers, picture, quarantine, roster, stored
from pipeline.imaging.picture import Look, Shown
from pipeline.imaging.sheet import Cell

WHOLE = 320  # side of the uncropped picture, pixels


@dataclass(frozen=True)
class Task:
    """A picture to show.

    Attributes:
        path: of its file.
        name: of its file, as the sheet shows it.
        frame: as `picture.show` takes it; None for those of data.frames.
        header: of the file, as the scan has it.
    """

    path: Path
    name: str
    frame: int | None = None
    header: Mapping[str, Any] = field(default_factory=dict)


def frames(task: Task, policy: str) -> list[Task]:
    """The task with its header, once for each frame that data.frames takes."""
    (header,) = headers.read_chunk([task.path.name], task.path.parent, b"pseudonyms are not shown")
    numbers = [task.frame] if task.frame is not None else roster.frame_numbers(max(1, header["frames"]), policy)
    return [dataclasses.replace(task, frame=number, header=header) for number in numbers]


def cell(task: Task, look: Look) -> Cell:
    """What the model would see of a file, in colour if it is in colour; or why it would see nothing."""
    header, frame = task.header, task.frame or 0
    if header["reason"]:
        return Cell(task.name, fault=header["reason"], remedy=header["remedy"])
    look = dataclasses.replace(look, channels=3 if header["photometric"] in stored.IN_COLOUR else 1)
    whole = dataclasses.replace(look, size=WHOLE, fit="pad", crop="none", face="as_is", bits=8)
    try:
        content = task.path.read_bytes()
        shown = picture.show(content, task.name, frame, look)
        cropped = look.crop == "foreground" or look.fit == "crop"
        beside = picture.show(content, task.name, frame, whole) if cropped else None
    except PipelineError as error:
        return Cell(task.name, fault=error.what, remedy=error.remedy)
    except Exception as error:  # whatever the damage makes a decoder stumble over
        return failed(task, *quarantine.of_error(error))
    made = Cell(task.name, shown.picture, _lines(shown, header, frame))
    return _with_whole(made, shown, beside) if beside else made


def failed(task: Task, reason: str, remedy: str) -> Cell:
    """The cell of a file that can't be shown."""
    return Cell(task.name, fault=reason, remedy=remedy)


def _with_whole(made: Cell, shown: Shown, beside: Shown) -> Cell:
    """The cell with the whole picture, without its padding, and with the part that is shown."""
    height, width = beside.crop[2:]
    scale = WHOLE / max(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (WHOLE - rows) // 2, (WHOLE - columns) // 2
    whole = beside.picture[top : top + rows, left : left + columns]
    y, x, box_rows, box_columns = (scale * length for length in shown.crop)
    return dataclasses.replace(made, whole=whole, box=(y, x, box_rows, box_columns))


def _lines(shown: Shown, header: Mapping[str, Any], frame: int) -> list[str]:
    """What decided how a picture looks."""
    top, left, height, width = shown.crop
    rows, columns, count = header["rows"], header["columns"], header["frames"]
    lines = [
        f"{shown.syntax}, {shown.photometric}",
        f"{rows} × {columns}, {header['bits_stored']} bits{' signed' if header['signed'] else ''}",
        f"window: {shown.window}",
    ]
    if (height, width) not in ((rows, columns), (columns, rows)):  # a camera may have turned it
        lines.append(f"crop: {height} × {width} from row {top}, column {left}")
    if shown.mirrored:
        lines.append("mirrored")
    if count > 1:
        lines.append(f"frame {frame} of {count}" if frame else f"brightest value of {count} frames")
    return lines
