"""Heads that know how the classes lie to each other: their means, a tree of them, their order."""

import difflib
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
    from pipeline.heads.nearest import NearestMean

    return NearestMean(metric, scale)


def hierarchical(random_state: int, classes: Sequence[str], tree: dict[str, Any], base: dict[str, Any]) -> Any:
    """A head at each branching of a tree of the classes.

    Args:
        random_state: of every head.
        classes: names of the classes.
        tree: groups by name, each a list of classes or again groups by name: {AB: [A, B], CD: [C, D]}.
        base: the head with its values, such as {name: logistic, C: 0.001, max_iter: 1000}.

    Raises:
        PipelineError: a class of the tree is none, stands twice or is missing, or there is no such head.
    """
    from pipeline.heads.decomposition import Hierarchical

    return Hierarchical(_head(random_state, "hierarchical", base), _numbered(tree, classes))


def ordinal(random_state: int, base: dict[str, Any]) -> Any:
    """For graded classes, low to high: a head for each "higher than" (Frank & Hall 2001, doi:10.1007/3-540-44795-4_13).

    Args:
        random_state: of every head.
        base: the head with its values, such as {name: logistic, C: 0.001, max_iter: 1000}.

    Raises:
        PipelineError: there is no such head.
    """
    from pipeline.heads.decomposition import Ordinal

    return Ordinal(_head(random_state, "ordinal", base))


def _head(random_state: int, of: str, base: Mapping[str, Any]) -> Any:
    from pipeline.heads.classifiers import HEADS

    values = dict(base)
    name, known = values.pop("name", None), sorted(set(HEADS) - {"hierarchical", "ordinal"})
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        said = f"there is no head {name}" if name else "has no name"
        raise PipelineError(f"heads.{of}.base", f"{said}; there are {', '.join(known)}{hint}", "name one of these")
    if values.get("patience") is not None:
        raise PipelineError(f"heads.{of}.base", "has the value patience", "leave it out, and give a number of rounds")
    return HEADS[name](random_state=random_state, **values)


def _numbered(tree: Mapping[str, Any], classes: Sequence[str]) -> tuple[Any, ...]:
    """Nested tuples of class numbers."""
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
