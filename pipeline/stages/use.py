"""A preset → params.yaml, whose comments stay."""

import os
from pathlib import Path
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from pipeline import params, storage
from pipeline.experiments import presets, rewriting
from pipeline.heads import named
from pipeline.params import FILE, Params


def run(_: Params, recipe: str, settings: list[str]) -> None:
    """Write the values of a preset, and single ones after it, into params.yaml, and say what changed.

    Raises:
        PipelineError: there is no such preset, or the values are faulty; params.yaml stays as it is then.
    """
    path = presets.find(recipe)
    before = presets.load(FILE)
    after = presets.merged(presets.merged(before, presets.load(path)), presets.settings(settings))
    checked = params.check(after, path)
    named.check(checked)
    changed = presets.differences(before, after)
    text = rewriting.rewrite(FILE.read_text(), {key: new for key, (_, new) in changed.items()}, after, FILE)
    storage.write_atomic(FILE, text.encode())
    _show(changed, path)
    for key in ("images", "labels"):
        given = getattr(checked.data, key)
        if given != "folders" and not Path(os.path.expanduser(given)).exists():
            print(f"data.{key}: {given} is not there. Put it there, or name your own: … use {recipe} data.{key}=PATH")


def _show(changed: dict[tuple[str, ...], tuple[Any, Any]], path: Path) -> None:
    if not changed:
        print(f"{FILE} has all values of {path} already")
        return
    table = Table(box=box.SIMPLE, title=f"{FILE}: {path.name}", title_justify="left")
    for name in ("key", "was", "is"):
        table.add_column(name, overflow="fold")
    for key, (old, new) in changed.items():
        table.add_row(".".join(key), "" if old is None else rewriting.flow(old), rewriting.flow(new))
    Console(highlight=False, markup=False).print(table)
