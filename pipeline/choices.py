"""Samplers, losses, freeze policies and decisions as params.yaml names them: which there are, and what each takes.

The functions behind the names are entries of the registries of `backbone` and `heads`. Their names and values stand
here too, since params.yaml is checked at the door, where nothing may import torch.
"""

import dataclasses
import difflib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError

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
CALIBRATORS = ("temperature", "vector", "isotonic", "prior")
ClassName = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]
Reached = Annotated[float, Field(gt=0, le=1)]
Tuned = Literal["macro_f1", "kappa", "balanced_accuracy_adjusted"]
Number = Annotated[float, Field(allow_inf_nan=False)]
RULES: dict[str, Values] = {
    "argmax": {},
    "tilt": {"metric": Tuned},
    "thresholds": {"metric": Tuned},
    "sensitivity": {"class": ClassName, "least": Reached},
    "specificity": {"class": ClassName, "least": Reached},
    "cost": {"matrix": Annotated[list[list[Number]], Field(min_length=2)]},
    "reject": {"coverage": Open},
}
OPTIONAL = ("metric",)  # without it, that which selects


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
            raise ValueError(f"there is no {name}; there are {', '.join(known)}{_near(name, known)}")
        wanted = known[name]
        if set(wanted) != set(values):
            example = ", ".join(["name: " + name, *(f"{key}: …" for key in wanted)])
            raise ValueError(f"write {{{example}}}" if wanted else f"{name} takes no values")
        faults = [fault for key, item in values.items() for fault in _faults(key, item, wanted[key])]
        if faults:
            raise ValueError("; ".join(faults))
        return Choice(name, {key: values[key] for key in wanted})

    return validate


@dataclasses.dataclass(frozen=True)
class Decision:
    """What is decided from probabilities: a rule of RULES with its values, after a calibrator."""

    name: str
    values: dict[str, Any] = dataclasses.field(default_factory=dict)
    calibrate: str = "none"

    def __str__(self) -> str:
        """`temperature+sensitivity`; the calibrator alone before argmax."""
        rule = [] if self.name == "argmax" and self.calibrate != "none" else [self.name]
        return "+".join(([self.calibrate] if self.calibrate != "none" else []) + rule)


def decision(value: object) -> Decision:
    """A rule or a calibrator, or a dict with the key `name`, the rule's values and `calibrate`.

    Raises:
        ValueError: with every fault.
    """
    given: Any = {"name": value} if isinstance(value, str) else value
    known = (*RULES, *CALIBRATORS)
    if not isinstance(given, dict) or not isinstance(given.get("name"), str):
        raise ValueError(f"must be a name, or {{name: …}} with its values; there are {', '.join(known)}")
    name, calibrate = given["name"], given.get("calibrate", "none")
    values = {key: item for key, item in given.items() if key not in ("name", "calibrate")}
    if name in CALIBRATORS:
        if "calibrate" in given:
            raise ValueError(f"{name} is a calibrator already: write calibrate beside the name of a rule")
        name, calibrate = "argmax", name
    if name not in RULES:
        raise ValueError(f"there is no {name}; there are {', '.join(known)}{_near(name, known)}")
    wanted = RULES[name]
    faults = [f"{name} takes no {key}{_near(key, wanted)}" for key in values if key not in wanted]
    if any(key not in values and key not in OPTIONAL for key in wanted):
        faults.append(f"write {{{', '.join(['name: ' + name, *(f'{key}: …' for key in wanted)])}}}")
    faults += [fault for key, item in values.items() if key in wanted for fault in _faults(key, item, wanted[key])]
    if calibrate not in ("none", *CALIBRATORS):
        faults.append(f"calibrate: there is no {calibrate}; there are {', '.join(CALIBRATORS)}{_near(calibrate)}")
    elif name == "argmax" and calibrate == "none":
        faults.append("the most probable class is the arm itself, and always there")
    elif name == "reject" and calibrate != "none":
        faults.append("reject is of the selected arm, as it is: it takes no calibrate")
    if faults:
        raise ValueError("; ".join(faults))
    return Decision(name, {key: str(item) if key == "class" else item for key, item in values.items()}, calibrate)


def named(decisions: Sequence[Decision]) -> dict[str, Decision]:
    """Distinct decisions by a readable name, in order: `sensitivity`; of several such, `sensitivity-hernia-0.95`.

    What has values that are not one word each gets its number, from 1.
    """
    distinct = [one for place, one in enumerate(decisions) if one not in decisions[:place]]
    alike = {str(one): [other for other in distinct if str(other) == str(one)] for one in distinct}
    return {_title(one, alike[str(one)]): one for one in distinct}


def _title(one: Decision, alike: Sequence[Decision]) -> str:
    if len(alike) == 1:
        return str(one)
    plain = all(isinstance(item, str | int | float) for item in one.values.values())
    words = map(str, one.values.values()) if plain else [str(alike.index(one) + 1)]
    return "-".join([str(one), *words])


def view_faults(views: Mapping[str, Mapping[str, Sequence[str]]], classes: Sequence[str] | None) -> list[str]:
    """What is wrong with evaluate.groups: each view must put every class in exactly one of its groups.

    Args:
        views: classes by group by view.
        classes: all of them; None where they are not known yet.
    """
    faults = []
    for view, groups in views.items():
        where, given = f"evaluate.groups.{view}", [name for group in groups.values() for name in group]
        twice = list(dict.fromkeys(name for name in given if given.count(name) > 1))
        faults += [f"{where}: class {name} stands twice" for name in twice]
        faults += [f"{where}.{group}: has no class" for group, names in groups.items() if not names]
        if classes is None:
            continue
        strange = [name for name in dict.fromkeys(given) if name not in classes]
        faults += [f"{where}: there is no class {name}{_near(name, classes)}" for name in strange]
        if left := [name for name in classes if name not in given]:
            faults.append(f"{where}: class {', '.join(left)} is in no group")
    return faults


def balances(loss: Choice) -> bool:
    """Whether a loss gives rare classes more weight."""
    return loss.name in BALANCED_LOSSES or (loss.values.get("alpha", 0) > 0 and loss.name == "focal")


def _near(name: object, known: Iterable[str] = CALIBRATORS) -> str:
    near = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {near[0]}?" if near else ""


def _faults(key: str, value: object, kind: Any) -> list[str]:
    try:
        TypeAdapter(kind).validate_python(value, strict=not isinstance(value, int) or isinstance(value, bool))
    except ValidationError as error:
        return [f"{key}: {detail['msg'][:1].lower()}{detail['msg'][1:]}" for detail in error.errors()]
    return []
