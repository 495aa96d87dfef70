"""What made a file: params, inputs, packages and code, as checksums."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd


def sources(*parts: ModuleType | str) -> list[Path]:
    """Source files of rooms (packages), modules and paths."""
    files = [Path(part if isinstance(part, str) else str(part.__file__)) for part in parts]
    return sorted(
        source for file in files for source in (file.parent.rglob("*.py") if file.name == "__init__.py" else [file])
    )


def of(
    stage: str,
    params: Mapping[str, Any],
    inputs: Mapping[str, str],
    packages: Sequence[str],
    code: Sequence[Path],
) -> dict[str, Any]:
    """What makes an artifact what it is; equal provenance means equal content.

    Args:
        stage: name of the stage.
        params: the resolved params that shape the content.
        inputs: checksum by name of what was read.
        packages: distributions whose version may change the content.
        code: the sources that may change the content.
    """
    digest = hashlib.sha256()
    for source in code:
        digest.update(source.name.encode() + source.read_bytes())
    versions = {name: metadata.version(name) for name in packages}
    made = {
        "stage": stage,
        "params": params,
        "inputs": inputs,
        "packages": versions,
        "code": digest.hexdigest()[:16],
    }
    return json.loads(json.dumps(made, default=plain))


def checksum(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_of(table: pd.DataFrame) -> str:
    """SHA-256 of the values of a table, hexadecimal."""
    return hashlib.sha256(pd.util.hash_pandas_object(table, index=False).to_numpy().tobytes()).hexdigest()


def checksum_of_json(value: object) -> str:
    """SHA-256 of a value's JSON, hexadecimal."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, default=plain).encode()).hexdigest()


def plain(value: Any) -> Any:
    """What JSON can hold in place of a value that it can not."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    return str(value)
