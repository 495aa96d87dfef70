"""Files → a contact sheet of what the model would see of them; needs neither labels nor an index."""

import io
import logging
import os
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from pipeline import artifacts, storage
from pipeline.errors import PipelineError
from pipeline.imaging import picture, preview, quarantine, scan, sheet
from pipeline.imaging.picture import Look
from pipeline.imaging.preview import Task
from pipeline.imaging.sheet import Cell
from pipeline.isolation import Died, Isolated, TimedOut, share_of_memory
from pipeline.params import Params

log = logging.getLogger(__name__)

OF_FOLDER = 24  # files of one folder
MOST = 240  # pictures of one sheet
Item = TypeVar("Item")


def run(params: Params, paths: Sequence[str], out: str = "show.png") -> None:
    """Draw what the model would see of files, folders and images of the index.

    Raises:
        PipelineError: a path names nothing, or `out` can't be written. A file that can't be shown is no error.
    """
    target = Path(out)
    if target.suffix.lower() != ".png" or target.is_dir():
        raise PipelineError(out, "is no name for a PNG file", "give --out a name that ends in .png")
    root = Path(os.path.expanduser(params.data.images))
    found = [_find(path, root) for path in paths]
    files = _spread([task for tasks in found for task in _spread(tasks, OF_FOLDER)], MOST)
    if not files:
        raise PipelineError(
            ", ".join(paths), "holds no image", "give the path of an image file, or of a folder of them"
        )
    tasks = [task for file in files for task in preview.frames(file, params.data.frames)]
    cells = list(_cells(_spread(tasks, MOST), Look(**vars(params.render), channels=1), params.pixels.timeout))
    buffer = io.BytesIO()
    sheet.draw(cells, _title(params), params.render.size).save(buffer, "PNG")
    storage.write_atomic(target, buffer.getvalue())
    faults = sum(cell.picture is None for cell in cells)
    told = f"; {faults} can't be shown" if faults else ""
    log.info("%d of %d files, %d pictures%s: %s", len(files), sum(map(len, found)), len(cells), told, target)


def _find(given: str, root: Path) -> list[Task]:
    """What a PATH means: a file or folder here, one below the image folder, or an image of the index."""
    path = next((path for path in (Path(given).expanduser(), root / given) if path.exists()), None)
    if path is None:
        return [_of_index(given, root)]
    if not path.is_dir():
        return [Task(path, "/".join(path.parts[-3:]))]  # a long way down from the root would hide the name
    try:
        names = scan.candidates(path)[0]["path"].tolist()
    except PipelineError as error:
        log.info("%s: %s", given, error.what)
        return []
    return [Task(path / name, f"{path.resolve().name}/{name}") for name in names]


def _of_index(given: str, root: Path) -> Task:
    missing = PipelineError(
        given,
        f"is no file or folder, neither here nor below {root}, and no image_id of {artifacts.INDEX}",
        "give the path of an image file or of a folder, or an image_id",
    )
    if not artifacts.INDEX.exists():
        raise missing
    index = artifacts.load_index()
    rows = index[index["image_id"] == given]
    if rows.empty:
        raise missing
    path = str(rows["path"].iloc[0])
    return Task(root / path, path, int(rows["frame"].iloc[0]))


def _spread(items: Sequence[Item], most: int) -> list[Item]:
    """At most so many, at even distances."""
    if len(items) <= most:
        return list(items)
    return [items[place] for place in np.linspace(0, len(items) - 1, most).round().astype(int)]


def _cells(tasks: Sequence[Task], look: Look, timeout: float) -> Iterator[Cell]:
    """The cell of each task, made in a process that a damaged file may crash or keep."""
    with Isolated(partial(preview.cell, look=look), timeout, share_of_memory(1), picture.WARM) as isolated:
        for task, outcome in zip(tasks, isolated.map(tasks), strict=True):
            if isinstance(outcome, Died | TimedOut):
                yield preview.failed(task, *quarantine.of_end(outcome))
            else:
                yield outcome


def _title(params: Params) -> str:
    settings = {name: value for name, value in vars(params.render).items() if name != "size"}
    if isinstance(params.render.window, tuple):
        settings["window"] = "[{:g}, {:g}]".format(*params.render.window)
    listed = ", ".join(f"{name} {value}" for name, value in settings.items())
    return f"What the model sees at {params.render.size} × {params.render.size} pixels: {listed}"
