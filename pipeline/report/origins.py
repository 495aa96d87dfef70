"""What was set aside, and what made the artifacts: packages, params, checksums."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from pipeline.report import tables

SHORT = 16  # digits of a checksum that are shown


def quarantine_counts(quarantine: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
    """Files per stage and reason without its details, which follow a colon; most frequent first.

    Each with the path and the remedy of its first file.
    """
    kinds = [(row["stage"], row["reason"].partition(":")[0]) for row in quarantine]
    first = dict(zip(reversed(kinds), reversed(quarantine), strict=True))
    return [
        {"stage": kind[0], "reason": kind[1], "files": files, "example": row["path"], "remedy": row["remedy"]}
        for kind, files in Counter(kinds).most_common()
        for row in [first[kind]]
    ]


def without_root(quarantine: pd.DataFrame, root: str) -> list[dict[str, str]]:
    """Its rows with paths relative to the image folder, since the folders above it may name people."""
    prefix = root.rstrip("/") + "/"
    return [{name: value.replace(prefix, "") for name, value in row.items()} for row in tables.records(quarantine)]


def provenance(manifests: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """What made the artifacts, as their manifests say: stage, code, params; one entry where folds agree."""
    entries = [
        {
            "stage": made.get("stage", ""),
            "code": made.get("code", ""),
            "params": as_text(made.get("params", {})),
        }
        for made in made_by(manifests)
    ]
    return [entry for number, entry in enumerate(entries) if entry not in entries[:number]]


def inputs(manifests: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    """What each stage read, by the start of its checksum; one row where folds or arms agree."""
    rows = [
        {"stage": made.get("stage", ""), "code": made.get("code", ""), "name": name, "checksum": str(value)[:SHORT]}
        for made in made_by(manifests)
        for name, value in made.get("inputs", {}).items()
    ]
    return [row for number, row in enumerate(rows) if row not in rows[:number]]


def as_text(value: object) -> str:
    """Params as the page shows them."""
    return json.dumps(value, indent=1, ensure_ascii=False, default=str)


def package_versions(manifests: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Version of every package that a manifest names; several where the stages differ."""
    found: dict[str, set[str]] = {}
    for made in made_by(manifests):
        for name, version in made["packages"].items():
            found.setdefault(name, set()).add(version)
    return {name: ", ".join(sorted(versions)) for name, versions in sorted(found.items())}


def made_by(value: Any) -> Iterator[Mapping[str, Any]]:
    """Every part of manifests, at any depth, that names packages."""
    if isinstance(value, Mapping):
        if "packages" in value:
            yield value
        value = list(value.values())
    if isinstance(value, list | tuple):
        for item in value:
            yield from made_by(item)
