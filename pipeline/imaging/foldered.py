"""Labels of images from where they lie: names of folders, or groups of a pattern in their paths."""

import re
from collections.abc import Sequence

import pandas as pd

from pipeline.artifacts import ATTRIBUTE
from pipeline.errors import PipelineError
from pipeline.imaging.labels import SPLIT_WORDS, pseudonyms


def from_folders(paths: pd.Series) -> pd.DataFrame:
    """Class from the parent folder and split from the folder above it; the columns of `match`.

    Raises:
        PipelineError: some classes lie in split folders and some don't.
    """
    parts = [path.split("/") for path in paths]
    rows = [
        (path, part[-2], "", SPLIT_WORDS.get(part[-3].lower(), "") if len(part) > 2 else "", False)
        for path, part in zip(paths, parts, strict=True)
        if len(part) > 1 and part[-2].lower() not in SPLIT_WORDS
    ]
    given = pd.DataFrame(rows, columns=["path", "label", "patient", "split", "disputed"]).assign(fault="")
    _refuse_partly_split(given)
    return given


def from_pattern(paths: pd.Series, pattern: str, attributes: Sequence[str], key: bytes) -> pd.DataFrame:
    """Label, patient, split and attributes from the named groups of a regular expression searched in each path.

    Returns:
        The columns of `match`, of the paths that it is found in. A group that took no part in a match is empty.

    Raises:
        PipelineError: it is found in no path, a split is no split word, or some images have a split and some don't.
    """
    found = {path: hit.groupdict(default="") for path in paths if (hit := re.search(pattern, path))}
    if not found:
        what = f"{pattern!r} is found in none of {len(paths)} paths, such as {paths.iloc[0]}"
        raise PipelineError("data.pattern", what, "paths are those below data.images, with slashes")
    words = {path: groups.get("split", "") for path, groups in found.items()}
    strange = [path for path, word in words.items() if word and word.lower() not in SPLIT_WORDS]
    if strange:
        what = f"group split of {len(strange)} paths is no split word, such as of {strange[0]}"
        raise PipelineError("data.pattern", what, f"let it match only {', '.join(SPLIT_WORDS)}")
    groups = pd.DataFrame(list(found.values()))
    given = {
        "path": list(found),
        "label": groups["label"],
        "patient": pseudonyms(groups["patient"], key) if "patient" in groups else "",
        "split": [SPLIT_WORDS.get(word.lower(), "") for word in words.values()],
        "disputed": False,
        "fault": "",
    }
    table = pd.DataFrame(given | {ATTRIBUTE + name: groups[name] for name in attributes})
    _refuse_partly_split(table)
    return table


def _refuse_partly_split(given: pd.DataFrame) -> None:
    without = given[given["split"] == ""]
    if 0 < len(without) < len(given):
        what = f"{len(without)} of {len(given)} images lie in no split folder, such as {without['path'].iloc[0]}"
        raise PipelineError("data.labels", what, f"move all or none below folders named {', '.join(SPLIT_WORDS)}")
