"""How files of any kind are written and read: atomically, and with distrust."""

import errno
import io
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pandas as pd

from pipeline.errors import PipelineError
from pipeline.provenance import checksum, plain


def write_atomic(path: Path, content: bytes) -> None:
    """Write aside, fsync, rename.

    Raises:
        PipelineError: the disk is full or the folder can't be written.
    """
    with file_atomic(path) as file:
        file.write(content)


@contextmanager
def file_atomic(path: Path) -> Iterator[BinaryIO]:
    """A file to write to that takes the place of `path` when the block ends well.

    Raises:
        PipelineError: the disk is full or the folder can't be written.
    """
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, aside = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            os.chmod(aside, 0o644)
            os.replace(aside, path)
        except BaseException:
            Path(aside).unlink(missing_ok=True)
            raise


@contextmanager
def folder_atomic(path: Path) -> Iterator[Path]:
    """A folder to write to that takes the place of `path` when the block ends well."""
    with _disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        _mend(path)
        aside = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
        old = aside.with_name(aside.name + ".old")
        try:
            yield aside
            for file in filter(Path.is_file, aside.iterdir()):
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
            os.chmod(aside, 0o755)
            _take_place(aside, path, old)
        except PipelineError as error:
            if isinstance(error.__cause__, OSError):  # of a file aside, which the user knows by the name of the folder
                raise error.__cause__ from None
            raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
            shutil.rmtree(old, ignore_errors=True)


def link(source: Path, target: Path) -> None:
    """Another name for a file, or a copy where the file system has no such links; nobody may write to it then."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)


def _mend(path: Path) -> None:
    """Put back or delete what a killed run left beside `path`."""
    for left in path.parent.glob(f".{path.name}.*"):
        if left.suffix == ".old" and not path.exists():
            os.rename(left, path)
        elif left.is_dir():
            shutil.rmtree(left)


def _take_place(aside: Path, path: Path, old: Path) -> None:
    """A folder with content can't be renamed over: for a moment the old one stands aside."""
    if path.exists():
        os.rename(path, old)
    try:
        os.rename(aside, path)
    except OSError:
        if old.exists():
            os.rename(old, path)
        raise


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise PipelineError(
                path,
                "no space left on the disk",
                "free some space, then run `dvc repro` again: finished work is kept",
            ) from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise PipelineError(
                path,
                f"cannot be written ({error.strerror})",
                f"give yourself write permission on {path.parent}",
            ) from error
        raise


def save_json(path: Path, value: object) -> None:
    """Write JSON; NaN becomes null, since JSON has none."""
    text = json.dumps(_without_nan(value), indent=1, default=plain, allow_nan=False)
    write_atomic(path, (text + "\n").encode())


def load_json(path: Path, stage: str) -> Any:
    """Read JSON that `stage` wrote."""
    try:
        return json.loads(path.read_bytes())
    except FileNotFoundError:
        raise missing(path, stage) from None
    except ValueError as error:
        raise PipelineError(path, f"is not valid JSON ({error})", rebuild(path, stage)) from None


def save_parquet(path: Path, frame: pd.DataFrame, schema: Mapping[str, str]) -> None:
    """Write the columns of `schema`, with its types; equal tables give equal bytes."""
    buffer = io.BytesIO()
    frame[list(schema)].astype(dict(schema)).to_parquet(buffer, index=False)
    write_atomic(path, buffer.getvalue())


def load_parquet(path: Path, schema: Mapping[str, str], stage: str) -> pd.DataFrame:
    """A table with the columns of `schema`; refused when it is absent, damaged or lacks one."""
    try:
        frame = pd.read_parquet(path)
    except FileNotFoundError:
        raise missing(path, stage) from None
    except Exception as error:  # pyarrow raises a class of its own for each kind of damage
        raise PipelineError(path, f"is damaged ({error})", rebuild(path, stage)) from error
    absent = [name for name in schema if name not in frame]
    if absent:
        raise PipelineError(path, f"lacks the columns {', '.join(absent)}", rebuild(path, stage))
    return frame


def save_csv(path: Path, frame: pd.DataFrame) -> None:
    """Write a table without its index."""
    write_atomic(path, frame.to_csv(index=False, lineterminator="\n").encode())


def write_manifest(folder: Path, content: Mapping[str, Any]) -> None:
    """Write manifest.json: `content`, and the checksum of every file in the folder."""
    files = {file.name: checksum(file) for file in sorted(folder.iterdir())}
    save_json(folder / "manifest.json", {**content, "files": files})


def load_manifest(folder: Path, stage: str) -> dict[str, Any]:
    """manifest.json of a folder whose files are what it says."""
    manifest = load_json(folder / "manifest.json", stage)
    for name, expected in manifest["files"].items():
        verify(folder / name, expected, stage)
    return manifest


def verify(path: Path, expected: str, stage: str) -> None:
    """Refuse a file that is absent or changed."""
    if not path.exists():
        raise missing(path, stage)
    if checksum(path) != expected:
        raise PipelineError(path, "its content is not what manifest.json says", rebuild(path, stage))


def missing(path: Path, stage: str) -> PipelineError:
    """The error for an artifact that is not there."""
    return PipelineError(path, "is missing", f"run `dvc repro {stage}`")


def rebuild(path: Path, stage: str) -> str:
    """The remedy for an artifact that is not what it should be."""
    return f"delete {path} and run `dvc repro {stage}`"


def _without_nan(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, np.ndarray):
        return _without_nan(value.tolist())
    if isinstance(value, float | np.floating) and not np.isfinite(value):
        return None
    return value
