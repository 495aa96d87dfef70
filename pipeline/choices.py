"""Batch samplers, losses and freeze policies as params.yaml names them: which there are, and which values each takes.

The functions behind the names are entries of the registries of `backbone`. Their names and values stand here too, since
params.yaml is checked at the door, where nothing may import torch.
"""

import dataclasses
import difflib
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

Open = Annotated[float, Field(gt=0, lt=1)]
Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Epochs = Annotated[int, Field(ge=1)]

Values = Mapping[str, Any]  # type of each value by its name

SAMPLERS: dict[str, Values] = {
    "none": {},
    "weighted": {},
    "tempered": {"power": Share},
    "effective": {"beta": Open},
    "dynamic": {"floor": Open},
    "two_phase": {"last": Epochs},
    "patient": {},
}
SOFTMAX_LOSSES: dict[str, Values] = {
    "cross_entropy": {},
    "weighted": {},
    "focal": {"alpha": Share, "gamma": NotNegative},
    "class_balanced": {"beta": Open},
    "ldam": {"margin": Positive, "scale": Positive, "beta": Open, "deferred": Share},
    "balanced_softmax": {},
    "logit_adjusted": {"tau": Positive},
    "label_smoothing": {"smoothing": Open},
    "ordinal": {"sharpness": Positive},
}
MULTILABEL_LOSSES: dict[str, Values] = {
    "bce": {},
    "weighted_bce": {"most": Positive},
    "focal_bce": {"alpha": Open, "gamma": NotNegative},
    "asymmetric": {"gamma_positive": NotNegative, "gamma_negative": NotNegative, "clip": Share},
}
LOSSES = SOFTMAX_LOSSES | MULTILABEL_LOSSES
POLICIES: dict[str, Values] = {
    "frozen": {},
    "last_block": {},
    "full": {},
    "warmup": {"epochs": Epochs, "then": Literal["last_block", "full"]},
    "layer_decay": {"decay": Open},
    "bias": {},
}
BALANCED_LOSSES = {
    "weighted",
    "class_balanced",
    "ldam",
    "balanced_softmax",
    "logit_adjusted",
    "weighted_bce",
}


@dataclasses.dataclass(frozen=True)
class Choice:
    """An entry of a registry with its values; in params.yaml `weighted`, or `{name: tempered, power: 0.5}`."""

    name: str
    values: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __str__(self) -> str:
        """`tempered (power 0.5)`."""
        return f"{self.name} ({', '.join(f'{k} {v}' for k, v in self.values.items())})" if self.values else self.name


def choice(known: Mapping[str, Values]) -> Callable[[object], Choice]:
    """A validator that takes a name or a dict with the key `name`; it raises a ValueError that lists every fault."""

    def validate(value: object) -> Choice:
        given = {"name": value} if isinstance(value, str) else value
        if not isinstance(given, dict) or "name" not in given:
            raise ValueError(f"must be a name, or {{name: …}} with its values; there are {', '.join(known)}")
        name, values = given["name"], {key: item for key, item in given.items() if key != "name"}
        if not isinstance(name, str) or name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ValueError(f"there is no {name}; there are {', '.join(known)}{hint}")
        wanted = known[name]
        if set(wanted) != set(values):
            example = ", ".join(["name: " + name, *(f"{key}: …" for key in wanted)])
            raise ValueError(f"write {{{example}}}" if wanted else f"{name} takes no values")
        faults = [fault for key, item in values.items() for fault in _faults(key, item, wanted[key])]
        if faults:
            raise ValueError("; ".join(faults))
        return Choice(name, {key: values[key] for key in wanted})

    return validate


def balances(loss: Choice) -> bool:
    """Whether a loss gives rare classes more weight."""
    return loss.name in BALANCED_LOSSES or (loss.values.get("alpha", 0) > 0 and loss.name == "focal")


def _faults(key: str, value: object, kind: Any) -> list[str]:
    try:
        TypeAdapter(kind).validate_python(value, strict=not isinstance(value, int) or isinstance(value, bool))
    except ValidationError as error:
        return [f"{key}: {detail['msg'][:1].lower()}{detail['msg'][1:]}" for detail in error.errors()]
    return []
