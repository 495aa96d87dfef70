"""Presets: YAML files that hold only the values of params.yaml that they change."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.errors import PipelineError
from pipeline.params import Params

RECIPES = Path(__file__).parents[2] / "recipes"
BY_NAME = ("resamplers", "heads")  # sections of entries, whose values are changed one by one
Values = dict[str, Any]


def find(given: str) -> Path:
    """The file of a preset: a path, or the name of one of the recipes; raises a PipelineError for neither."""
    for path in (Path(given).expanduser(), RECIPES / f"{given}.yaml"):
        if path.is_file():
            return path
    names = ", ".join(sorted(path.stem for path in RECIPES.glob("*.yaml")))
    raise PipelineError(given, "is no file and no recipe", f"give the path of a preset, or one of {names}")


def load(path: Path) -> Values:
    """Sections of a YAML file; raises a PipelineError where it can't be read or holds no sections."""
    try:
        values = YAML(typ="safe", pure=True).load(path)
    except OSError as error:
        raise PipelineError(path, f"cannot be read ({error.strerror})", "mend its path") from None
    except YAMLError as error:
        raise PipelineError(path, f"is not valid YAML: {error}", "mend the line that it names") from None
    if not isinstance(values, dict) or not all(isinstance(name, str) for name in values):
        raise PipelineError(path, "holds no sections", "write sections as params.yaml has them, such as `data:`")
    return values


def settings(given: Sequence[str]) -> Values:
    """Sections from words such as `data.images=/scans`; a value is read as YAML.

    Raises:
        PipelineError: a word is no such pair.
    """
    made: Values = {}
    for word in given:
        key, mark, text = word.partition("=")
        *above, last = key.split(".")
        if not mark or not above or not all([*above, last]):
            raise PipelineError(word, "is no KEY=VALUE", "write such as data.images=/scans or split.folds=5")
        section = made
        for name in above:
            section = section.setdefault(name, {})
        try:
            section[last] = YAML(typ="safe", pure=True).load(text)
        except YAMLError:
            raise PipelineError(word, "has a value that is not valid YAML", "quote it") from None
    return made


def merged(values: Mapping[str, Any], changes: Mapping[str, Any]) -> Values:
    """Values with changes over them; neither is altered.

    A section is merged key by key, and an entry of `resamplers` or `heads` value by value. Any other dict, such as
    `finetune.sampler`, is one value and is replaced as a whole.
    """
    return _merged(values, changes, ())


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[tuple[str, ...], tuple[Any, Any]]:
    """What changed of values, by path: before (None where there was nothing) and after."""
    return dict(_differences(before, after, ()))


def _merged(values: Mapping[str, Any], changes: Mapping[str, Any], place: tuple[str, ...]) -> Values:
    made = dict(values)
    for key, item in changes.items():
        here, old = (*place, key), values.get(key)
        both = isinstance(old, dict) and isinstance(item, dict)
        made[key] = _merged(old, item, here) if both and _has_keys(here) else item  # pyright: ignore[reportArgumentType]
    return made


def _differences(
    before: Mapping[str, Any], after: Mapping[str, Any], place: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], tuple[Any, Any]]]:
    for key, item in after.items():
        here, old = (*place, key), before.get(key)
        if isinstance(old, dict) and old and isinstance(item, dict) and _has_keys(here):
            yield from _differences(old, item, here)
        elif key not in before or repr(old) != repr(item):  # 1 is not 1.0, and the order of a dict may matter
            yield here, (old, item)


def _has_keys(place: tuple[str, ...]) -> bool:
    """Whether what stands here is a section or an entry, whose keys are values of their own."""
    return place in _SECTIONS or (len(place) == 2 and place[0] in BY_NAME)


def _sections(kind: Any = Params, place: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(field.type):
            yield (*place, field.name)
            yield from _sections(field.type, (*place, field.name))


_SECTIONS = {*_sections(), *((name,) for name in (*BY_NAME, "arms"))}
