"""Entries of the registries as params.yaml gives them: checked against their factories, then bound to them.

A value is checked by pydantic against the annotation of the factory's parameter. A list, for a parameter that takes no
list, holds the values to choose from. Where values speak of classes (keys of `strategy` and `class_weight`, size of
`cost`, trees), params.yaml has names and the factory gets class numbers, or the names as `classes`.
"""

import difflib
import inspect
import json
import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from typing import Any

from pydantic import TypeAdapter, ValidationError

from pipeline.errors import PipelineError
from pipeline.heads.classifiers import HEADS
from pipeline.heads.resamplers import RESAMPLERS

REGISTRIES: dict[str, Mapping[str, Callable[..., Any]]] = {"resamplers": RESAMPLERS, "heads": HEADS}
BY_CLASS = ("strategy", "class_weight")  # a dict in one of these has class names as keys
NOT_GIVEN = ("rows", "random_state", "classes")  # parameters of factories that params.yaml does not set
SEVERAL_CLASSES = ("hierarchical", "ordinal")  # heads of classes that have a tree or an order among each other


@dataclass(frozen=True)
class Entry:
    """A resampler or head with its values.

    Attributes:
        kind: `resamplers` or `heads`.
        name: in the registry.
        values: by parameter; a list holds the values to choose from.
        where: key in params.yaml.
    """

    kind: str
    name: str
    values: Mapping[str, Any]
    where: str

    @property
    def lists(self) -> dict[str, list[Any]]:
        """The values to choose from, by parameter."""
        return {key: value for key, value in self.values.items() if self._is_space(key, value)}

    def value(self, key: str) -> Any:
        """A value, or the default of its parameter; None for a parameter that there is not."""
        return self.values.get(key, _parameters(self.kind, self.name).get(key, (None, None))[1])

    def chosen(self, values: Mapping[str, Any]) -> "Entry":
        """The entry with these values."""
        return Entry(self.kind, self.name, {**self.values, **values}, self.where)

    def each(self) -> "Iterator[Entry]":
        """An entry for each combination of the values to choose from."""
        lists = self.lists
        return (self.chosen(dict(zip(lists, values, strict=True))) for values in product(*lists.values()))

    def bound(self, classes: Sequence[str]) -> "partial[Any]":
        """The factory with its values, of which none is a list to choose from.

        Raises:
            PipelineError: a name is that of no class, or a cost matrix has another size.
        """
        values = {key: self._of_classes(key, value, classes) for key, value in self.values.items()}
        factory = REGISTRIES[self.kind][self.name]
        if "classes" in inspect.signature(factory).parameters:
            values["classes"] = tuple(classes)
        return partial(factory, **values)

    def check_classes(self, classes: Sequence[str]) -> None:
        """Raise the PipelineErrors of `bound` for every value, those to choose from among them."""
        for one in self.each():
            one.bound(classes)

    def faults(self, multilabel: bool) -> list[str]:
        """What is wrong with name and values, each fault a line."""
        known = REGISTRIES[self.kind]
        if self.name not in known:
            return [f"{self.where}: there is no {self.name!r}; there are {', '.join(known)}{near(self.name, known)}"]
        wanted = _parameters(self.kind, self.name)
        takes = f"{self.name} takes {', '.join(wanted) or 'no values'}"
        faults = [
            f"{self.where}.{key}: unknown value; {takes}{near(key, wanted)}" for key in self.values if key not in wanted
        ]
        faults += [
            f"{self.where}.{key}: missing value; {takes}"
            for key, (_, default) in wanted.items()
            if default is inspect.Parameter.empty and key not in self.values
        ]
        if multilabel and self.name in SEVERAL_CLASSES:
            faults.append(
                f"{self.where}: {self.name} is for classes of which each image has one; with data.task: multilabel "
                "every label is a question of its own"
            )
        known_values = {key: value for key, value in self.values.items() if key in wanted}
        return faults + [fault for key, value in known_values.items() for fault in self._value_faults(key, value)]

    def _value_faults(self, key: str, value: Any) -> list[str]:
        place = f"{self.where}.{key}"
        said = self._refusal(key, value)
        if not said or not isinstance(value, list):
            return [f"{place}: {said} (got {value!r})"] if said else []
        if not value:
            return [f"{place}: an empty list leaves nothing to choose from"]
        each = [(position, item, self._refusal(key, item)) for position, item in enumerate(value)]
        if all(refusal for _, _, refusal in each) and len(each) > 1:
            return [f"{place}: {said} (got {value!r})"]
        return [f"{place}[{position}]: {refusal} (got {item!r})" for position, item, refusal in each if refusal]

    def _is_space(self, key: str, value: Any) -> bool:
        return isinstance(value, list) and bool(self._refusal(key, value))

    def _refusal(self, key: str, value: Any) -> str:
        """Why a value is not of its parameter's type; "" if it is."""
        if key in BY_CLASS and isinstance(value, Mapping):
            value = dict(enumerate(value.values()))
        try:
            # From JSON, a list passes for a tuple and yet `3` for no string and true for no number.
            _adapter(self.kind, self.name, key).validate_json(json.dumps(value, default=str), strict=True)
        except ValidationError as error:
            said = dict.fromkeys(detail["msg"].removeprefix("Value error, ") for detail in error.errors())
            return " or ".join(message[:1].lower() + message[1:] for message in said)
        return ""

    def _of_classes(self, key: str, value: Any, classes: Sequence[str]) -> Any:
        place = f"params.yaml, {self.where}.{key}"
        if key in BY_CLASS and isinstance(value, Mapping):
            unknown = [str(name) for name in value if str(name) not in classes]
            if unknown:
                what = f"there is no class {', '.join(unknown)}{near(unknown[0], classes)}"
                raise PipelineError(place, what, f"use the names of the classes: {', '.join(classes)}")
            return {list(classes).index(str(name)): item for name, item in value.items()}
        if key == "cost" and value is not None and {len(value), *map(len, value)} != {len(classes)}:
            what = (
                f"has rows of {sorted({*map(len, value)})} in {len(value)} rows, but there are {len(classes)} classes"
            )
            raise PipelineError(place, what, f"give a row, then a column, for each of {', '.join(classes)}")
        return value


def near(name: str, known: Iterable[str]) -> str:
    """A hint at the name that was meant, or ""."""
    by_letters = {one.lower(): one for one in known}
    found = difflib.get_close_matches(name.lower(), by_letters, n=1)
    return f"; did you mean {by_letters[found[0]]}?" if found else ""


@cache
def _parameters(kind: str, name: str) -> dict[str, tuple[Any, Any]]:
    """Annotation and default of what params.yaml may set."""
    factory = REGISTRIES[kind][name]
    types = typing.get_type_hints(factory, include_extras=True)
    return {
        key: (types.get(key, Any), parameter.default)
        for key, parameter in inspect.signature(factory).parameters.items()
        if key not in NOT_GIVEN
    }


@cache
def _adapter(kind: str, name: str, key: str) -> TypeAdapter[Any]:
    return TypeAdapter(_parameters(kind, name)[key][0])
