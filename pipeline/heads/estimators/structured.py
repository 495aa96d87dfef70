"""Heads that know how the classes lie to each other: their means, a tree of them, their order."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from pipeline.errors import PipelineError


def ncm(
    random_state: int,
    metric: Literal["euclidean", "cosine"] = "euclidean",
    scale: Annotated[float, Field(gt=0)] | None = None,
) -> Any:
    """Nearest class mean (Mensink et al. 2013, doi:10.1109/TPAMI.2013.83); no randomness.

    Probabilities are the softmax of -`scale` × squared distance; null: the scale is fitted on the training rows.
    """
    from pipeline.heads.estimators.nearest import NearestMean

    return NearestMean(metric, scale)


def hierarchical(random_state: int, classes: Sequence[str], tree: dict[str, Any], base: dict[str, Any]) -> Any:
    """A head at each branching of a tree of the classes.

    Args:
        random_state: of every head.
        classes: names of the classes.
        tree: groups by name, each a list of classes or again groups by name: {AB: [A, B], CD: [C, D]}.
        base: the head with its values: {name: logistic, C: 0.001}.

    Raises:
        PipelineError: with every fault of the tree, or of the base.
    """
    from pipeline.heads.estimators.decomposition import Hierarchical

    return Hierarchical(_base(random_state, "hierarchical", base), _numbered(tree, classes))


def ordinal(random_state: int, base: dict[str, Any]) -> Any:
    """A head for each "higher than" of graded classes, low to high (Frank & Hall 2001, doi:10.1007/3-540-44795-4_13).

    Args:
        random_state: of every head.
        base: the head with its values: {name: logistic, C: 0.001}.

    Raises:
        PipelineError: with every fault of the base.
    """
    from pipeline.heads.estimators.decomposition import Ordinal

    return Ordinal(_base(random_state, "ordinal", base))


def _base(random_state: int, of: str, given: Mapping[str, Any]) -> Any:
    from pipeline.heads.entries import Entry

    where = f"heads.{of}.base"
    entry = Entry("heads", str(given.get("name")), {key: given[key] for key in given if key != "name"}, where)
    faults = entry.faults(multilabel=False)
    faults += [f"{where}.{key}: one value, not several to choose from" for key in ([] if faults else entry.lists)]
    # What it learns to tell apart is not the classes: they may be groups, and rows to watch are of the whole.
    for key, allowed in {"class_weight": (None, "balanced"), "cost": (None,), "patience": (None,)}.items():
        if entry.values.get(key) not in allowed:
            faults.append(f"{where}.{key}: not for a head that others are made of")
    if entry.name == "hierarchical":
        faults.append(f"{where}.name: write one tree for both")
    if faults:
        raise PipelineError("params.yaml", "".join(f"\n  - {fault}" for fault in faults), "mend these, then run again")
    return entry.bound(())(random_state=random_state)


def _numbered(tree: Mapping[str, Any], classes: Sequence[str]) -> tuple[Any, ...]:
    """Groups and classes as nested tuples of class numbers."""
    found = Counter(_names(tree))
    faults = {
        "lacks": [name for name in classes if name not in found],
        "names twice": [name for name, times in found.items() if times > 1],
        "names what is no class:": [name for name in found if name not in classes],
    }
    said = [f"{fault} {', '.join(names)}" for fault, names in faults.items() if names]
    if said:
        remedy = f"name each class once: {', '.join(classes)}"
        raise PipelineError("heads.hierarchical.tree", "; ".join(said), remedy)
    number = {name: place for place, name in enumerate(classes)}

    def numbered(part: Any) -> Any:
        if isinstance(part, Mapping):
            return tuple(numbered(below) for below in part.values())
        return tuple(number[str(name)] for name in part)

    return numbered(tree)


def _names(tree: Any) -> list[str]:
    if isinstance(tree, Mapping):
        return [name for below in tree.values() for name in _names(below)]
    if isinstance(tree, list):
        return [str(name) for name in tree]
    raise PipelineError(
        "heads.hierarchical.tree", f"{tree!r} is neither a list of classes nor groups by name", f"write [{tree}]"
    )
