"""Whether what was admitted can be learned from."""

from collections.abc import Sequence

import pandas as pd

from pipeline import artifacts
from pipeline.errors import PipelineError
from pipeline.imaging import findings
from pipeline.imaging.quarantine import count_reasons

Row = dict[str, str]
MOST_TOLD = 8  # classes in one line


def counts(index: pd.DataFrame) -> str:
    """Images of each class, or those that have each label, with those for which it is not known."""
    if not artifacts.label_columns(index):
        images = index["label"].value_counts()
        return ", ".join(f"{name} {images[name]}" for name in artifacts.classes(index, None))
    present, missing, without = findings.count(index)
    told = [f"{name} {present[name]}" + (f" and {missing[name]} unknown" if missing[name] else "") for name in present]
    return ", ".join([*told, f"none of them {without}"])


def check(index: pd.DataFrame, quarantine: Sequence[Row], where: object, task: str) -> None:
    """Stop where the images have too few classes or labels, or for a binary task too many.

    Args:
        index: of the admitted images.
        quarantine: what was set aside.
        where: the images come from.
        task: data.task.
    """
    remedy = f"see {artifacts.QUARANTINE}; paths in the labels are relative to data.images"
    if index.empty:
        raise PipelineError(where, f"no image can be used: {count_reasons(quarantine)}", remedy)
    classes = artifacts.classes(index, None)
    twins = pd.Series(classes).groupby([_spelling(name) for name in classes]).agg(list)
    for names in twins[twins.map(len) > 1]:
        what = f"{' and '.join(map(repr, names))} look like one class"
        raise PipelineError("data.label", what, "spell it in one way in the labels")
    if task == "multilabel" and len(classes) < 2:
        what = f"{classes[0]!r} is the only label that an image has" if classes else "no image has any label"
        raise PipelineError("data.label", what, "for one label write a column of two classes and data.task: binary")
    if len(classes) < 2:
        what = f"all {len(index)} images have the label {classes[0]!r} (set aside: {count_reasons(quarantine)})"
        raise PipelineError("data.label", what, "a classifier needs two classes: name another column, or add images")
    if task == "binary" and len(classes) > 2:
        what = f"data.task: binary has two classes, but the labels have {len(classes)}: {_first(counts(index))}"
        remedy = "set data.task: multiclass, or merge classes in the labels CSV"
        if any(artifacts.JOINT in name for name in classes):
            remedy = "set data.task: multilabel, which takes joined labels apart"
        raise PipelineError("data.label", what, remedy)


def note(index: pd.DataFrame) -> str:
    """What is worth a warning: joined labels that are taken for classes of their own; empty if none are."""
    strange = [name for name in artifacts.classes(index, None) if artifacts.JOINT in name]
    if artifacts.label_columns(index) or not strange:
        return ""
    return f"{len(strange)} classes such as {strange[0]!r} look joined: data.task: multilabel takes them apart"


def check_loss(index: pd.DataFrame, lost: Sequence[Row], most: float) -> None:
    """Stop when more of the labelled images are set aside than data.max_quarantined allows."""
    total = index["path"].nunique() + len(lost)
    if len(lost) > most * total:
        what = (
            f"{len(lost)} of {total} labelled images ({len(lost) / total:.1%}) are set aside, more than the {most:.1%} "
            f"of data.max_quarantined: {count_reasons(lost)}"
        )
        remedy = f"see {artifacts.QUARANTINE} and mend what it names, or raise data.max_quarantined"
        raise PipelineError("data.labels", what, remedy)


def _first(told: str) -> str:
    """The first MOST_TOLD of what commas part."""
    parts = told.split(", ")
    return ", ".join(parts[:MOST_TOLD]) + (f" and {len(parts) - MOST_TOLD} more" if len(parts) > MOST_TOLD else "")


def _spelling(label: str) -> str:
    """What `1`, `1.0` and `01`, or `normal` and `Normal`, have in common."""
    try:
        return repr(float(label))
    except ValueError:
        return label.casefold()
