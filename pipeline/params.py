"""params.yaml as frozen dataclasses, one per section; every fault is reported at once."""

import dataclasses
import difflib
import json
import math
import re
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.choices import (
    LOSSES,
    MULTILABEL_LOSSES,
    POLICIES,
    SAMPLERS,
    SOFTMAX_LOSSES,
    Choice,
    Decision,
    balances,
    choice,
    decision,
    view_faults,
)
from pipeline.errors import PipelineError

FILE = Path("params.yaml")

Count = Annotated[int, Field(ge=1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Share = Annotated[float, Field(ge=0, le=1)]
OpenShare = Annotated[float, Field(gt=0, lt=1)]
Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Name = Annotated[str, Field(min_length=1)]
ClassName = Annotated[str, BeforeValidator(lambda value: str(value) if type(value) is int else value)]


def _window(value: object) -> str | tuple[float, float]:
    if isinstance(value, str) and value in ("file", "percentile"):
        return value
    if isinstance(value, list) and len(value) == 2 and all(type(number) in (int, float) for number in value):
        center, width = map(float, value)
        if math.isfinite(center) and 0 < width < math.inf:
            return center, width
    raise ValueError("must be file, percentile, or [center, width] with a width above 0")


PATTERN_GROUPS = ("label", "patient", "split")
# Columns that tell who a patient is: PatientName, first_name, Date of Birth, DOB, SSN, MRN, Patient ID.
PERSONAL = re.compile(
    r"(?i)^name$|(sur|last|first|middle|given|family|full|maiden|patient.?s?|subject|person).?name"
    r"|(date|day|year|place).?(of.?)?birth|birth.?(date|day|year|place)|(?<![a-z])(dob|ssn|mrn)(?![a-z])"
    r"|(patient|subject|person|record).?(id|no|nr|number)(?![a-z])|address|phone|e.?mail|insurance"
)

Window = Annotated[str | tuple[float, float], PlainValidator(_window)]
Unit = Literal["image", "exam", "patient"]  # from fine to coarse
Selector = Literal["balanced_accuracy_adjusted", "kappa", "auc", "macro_f1", "balanced_accuracy", "average_precision"]


class _Section:
    """Unknown keys are faults, and 3 is no string."""

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True)


@dataclasses.dataclass(frozen=True)
class Data(_Section):
    """Where the images and labels are, and what the columns of the labels CSV are called."""

    images: Name
    labels: Name
    label: Name | Annotated[list[Name], Field(min_length=2)]
    path: Name | None
    id: Name | None
    patient: Name | None
    split: Name | None
    task: Literal["multiclass", "binary", "multilabel"]
    classes: Annotated[list[ClassName], Field(min_length=2)] | None
    rest: ClassName | None
    pattern: Name | None
    attributes: list[Name]
    frames: Literal["first", "middle", "max", "all"]
    max_quarantined: Share


@dataclasses.dataclass(frozen=True)
class Demo(_Section):
    """The phantom data set."""

    images: Annotated[int, Field(ge=20)]
    patients: Annotated[int, Field(ge=12)]
    rows: Annotated[int, Field(ge=64)]
    columns: Annotated[int, Field(ge=64)]
    classes: Annotated[dict[ClassName, Positive], Field(min_length=2)]
    label_noise: Share
    broken: Annotated[int, Field(ge=0)]
    seed: Seed


@dataclasses.dataclass(frozen=True)
class Split(_Section):
    """Assignment of patients to roles."""

    honour: bool
    folds: Count
    repeats: Count
    val: OpenShare
    test: OpenShare
    tries: Count
    seed: Seed


@dataclasses.dataclass(frozen=True)
class Render(_Section):
    """From the stored values of a file to a small picture."""

    size: Annotated[int, Field(ge=16, le=4096)]
    fit: Literal["pad", "squash", "crop"]
    window: Window
    voi: Count
    crop: Literal["none", "foreground"]
    face: Literal["as_is", "right"]
    bits: Literal[8, 16]


@dataclasses.dataclass(frozen=True)
class Pixels(_Section):
    """The picture store."""

    shard: Count
    timeout: Positive


@dataclasses.dataclass(frozen=True)
class Backbone(_Section):
    """Which timm model, and where its weights come from."""

    model: Name
    weights: Name


@dataclasses.dataclass(frozen=True)
class Augment(_Section):
    """Random changes of training pictures."""

    flip: bool
    turns: bool
    degrees: Annotated[float, Field(ge=0, le=180)]
    shift: Share
    scale: Annotated[float, Field(ge=0, lt=1)]
    contrast: Annotated[float, Field(ge=0, lt=1)]
    colour: Annotated[float, Field(ge=0, lt=1)]
    gamma: Annotated[float, Field(ge=0, lt=1)]
    noise: Share
    minority: Annotated[float, Field(ge=1)]
    mixup: NotNegative


@dataclasses.dataclass(frozen=True)
class Finetune(_Section):
    """Training of the backbone."""

    policy: Annotated[Choice, PlainValidator(choice(POLICIES))]
    epochs: Count
    patience: Count | None
    batch_size: Annotated[int, Field(ge=2)]
    accumulate: Count
    lr: Positive
    weight_decay: NotNegative
    clip: Positive | None
    average: Annotated[float, Field(ge=0, lt=1)]
    sampler: Annotated[Choice, PlainValidator(choice(SAMPLERS))]
    loss: Annotated[Choice, PlainValidator(choice(LOSSES))]
    allow_double_balance: bool
    augment: Augment
    on_collapse: Literal["warn", "stop", "reduce_lr"]
    compile: bool
    seed: Seed


@dataclasses.dataclass(frozen=True)
class Embed(_Section):
    """Computing features."""

    batch_size: Count
    symmetry: Literal["none", "flip", "turns"]
    views: Count
    check: Annotated[int, Field(ge=0)]
    compile: bool


@dataclasses.dataclass(frozen=True)
class Grid(_Section):
    """The arms: every resampler with every head, and single ones of section arms."""

    resamplers: Annotated[list[Name], Field(min_length=1)]
    heads: Annotated[list[Name], Field(min_length=1)]
    arms: list[Name]

    @property
    def names(self) -> list[str]:
        """Every arm: `<resampler>-<head>`, then the single ones."""
        return [f"{resampler}-{head}" for resampler in self.resamplers for head in self.heads] + self.arms


@dataclasses.dataclass(frozen=True)
class Search(_Section):
    """Choice among lists of values, by cross-validation of the training patients."""

    folds: Annotated[int, Field(ge=2)]
    metric: Selector
    most: Count


@dataclasses.dataclass(frozen=True)
class Fit(_Section):
    """Fitting of arms."""

    unit: Unit
    pool: Literal["mean", "max", "side_by_side"]
    search: Search
    seed: Seed


@dataclasses.dataclass(frozen=True)
class Evaluate(_Section):
    """Judging of arms."""

    select: Annotated[list[Selector], Field(min_length=1)]
    unit: Unit | None
    pool: Literal["mean", "max", "vote"]
    decisions: list[Annotated[Decision, PlainValidator(decision)]]
    groups: dict[Name, Annotated[dict[Name, list[ClassName]], Field(min_length=2)]]
    subgroups: list[Name]
    kappa: Literal["quadratic", "linear", "none"]
    draws: Annotated[int, Field(ge=100)]
    interval: Literal["percentile", "bca"]
    confidence: OpenShare
    rope: NotNegative
    seed: Seed


@dataclasses.dataclass(frozen=True)
class Audit(_Section):
    """Thresholds above which checks of the audit say `look`, and what stops the pipeline."""

    fail_on: list[Name]
    dead_dimensions: Share
    duplicated_dimensions: Share
    duplicate_rows: Share
    unused_dimensions: Share
    norms: NotNegative
    saturated: Share
    drift: NotNegative
    twins_across_roles: Share
    twins_across_labels: Share
    suspicious_labels: Share
    shortcuts: Share
    shift: Share
    overfit_gap: Share
    outliers: Share
    separability: Share
    hubness: NotNegative
    synthetic: Share


@dataclasses.dataclass(frozen=True)
class Report(_Section):
    """The page."""

    title: str
    gallery: bool


@dataclasses.dataclass(frozen=True)
class Engine(_Section):
    """Where the heavy work runs."""

    workers: Annotated[int, Field(ge=0)]


@dataclasses.dataclass(frozen=True)
class Params(_Section):
    """The whole of params.yaml."""

    data: Data
    demo: Demo
    split: Split
    render: Render
    pixels: Pixels
    backbone: Backbone
    finetune: Finetune
    embed: Embed
    resamplers: dict[Name, dict[str, Any]]
    heads: dict[Name, dict[str, Any]]
    arms: dict[Name, dict[str, Any]]
    grid: Grid
    fit: Fit
    evaluate: Evaluate
    audit: Audit
    report: Report
    engine: Engine


def load(path: Path = FILE) -> Params:
    """Read and check params.yaml.

    YAML 1.2, as DVC reads it: `1e-3` is a number and `NO` a string.

    Raises:
        PipelineError: with every fault of the file in one message.
    """
    try:
        values = YAML(typ="safe", pure=True).load(path)
    except OSError as error:
        raise PipelineError(path, f"cannot be read ({error.strerror})", "run from the folder that holds it") from None
    except YAMLError as error:
        raise PipelineError(path, f"is not valid YAML: {error}", "mend the line that it names") from None
    return check(values, path)


def check(values: object, path: Path = FILE) -> Params:
    """Params from plain dicts; raises a PipelineError that lists every fault."""
    try:
        # Strict validation takes a dict for a dataclass only from JSON.
        params = TypeAdapter(Params).validate_json(json.dumps(values, default=str))
    except ValidationError as error:
        faults = list(dict.fromkeys(_fault(detail) for detail in error.errors(include_url=False)))
    else:
        faults = _contradictions(params)
        if not faults:
            return params
    lines = "".join(f"\n  - {fault}" for fault in faults)
    raise PipelineError(
        path, f"{len(faults)} fault{'s' * (len(faults) > 1)}:{lines}", "mend these keys, then run again"
    )


def _fault(detail: ErrorDetails) -> str:
    place = [
        str(part) for part in detail["loc"] if "constrained-" not in str(part)
    ]  # pydantic's name of a union's part
    key = ".".join(place) or "the file"
    if detail["type"] in ("unexpected_keyword_argument", "missing", "missing_argument"):
        allowed = _keys_of(place[:-1])
        if detail["type"] == "unexpected_keyword_argument":
            near = difflib.get_close_matches(place[-1], allowed, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            return f"{key}: unknown key; {hint}{_scope(place)} has {', '.join(allowed)}"
        return f"{key}: missing key; {_scope(place)} has {', '.join(allowed)}"
    message = detail["msg"].removeprefix("Value error, ")
    return f"{key}: {message[:1].lower()}{message[1:]} (got {detail['input']!r})"


def _scope(place: list[str]) -> str:
    return f"section {'.'.join(place[:-1])}" if len(place) > 1 else "the file"


def _keys_of(place: list[str]) -> list[str]:
    section: Any = Params
    for name in place:
        section = next((field.type for field in dataclasses.fields(section) if field.name == name), None)
        if not dataclasses.is_dataclass(section):
            return []
    return [field.name for field in dataclasses.fields(section)]


def _contradictions(params: Params) -> list[str]:
    faults = []
    if params.data.labels != "folders" and params.data.path is None and params.data.id is None:
        faults.append("data.path, data.id: at least one must name a column")
    if params.data.classes and len(set(params.data.classes)) < len(params.data.classes):
        faults.append(f"data.classes: a class is named twice (got {params.data.classes})")
    if params.demo.patients > params.demo.images:
        faults.append("demo.patients: at most demo.images, since each patient has an image")
    if params.demo.images > 4 * params.demo.patients:
        faults.append("demo.images: at most 4 × demo.patients (two views of two sides)")
    if params.split.folds == 1 and params.split.val + params.split.test >= 1:
        faults.append("split.val, split.test: together they must leave patients for training (sum < 1)")
    faults += _label_faults(params.data, params.finetune.loss.name) + _phase_faults(params.finetune)
    faults += _rest_faults(params.data) + _pattern_faults(params.data) + _attribute_faults(params.data)
    faults += _decision_faults(params.evaluate.decisions, params.data) + _judging_faults(params)
    both = params.finetune.sampler.name != "none" and balances(params.finetune.loss)
    if both and not params.finetune.allow_double_balance:
        faults.append(
            f"finetune.loss: sampler {params.finetune.sampler.name} balances already, so does loss "
            f"{params.finetune.loss.name}; set one of them to none or a plain loss, or allow_double_balance: true"
        )
    for kind in ("resamplers", "heads", "arms"):
        names, known = getattr(params.grid, kind), getattr(params, kind)
        for name in names:
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                faults.append(f"grid.{kind}: {name!r} has no entry in section {kind} ({', '.join(known)}){hint}")
        if len(set(names)) < len(names):
            faults.append(f"grid.{kind}: a name stands twice (got {names})")
    return faults


def _phase_faults(p: Finetune) -> list[str]:
    phases = {
        "policy": (p.policy.values.get("epochs", 0), "to train more than the classifier"),
        "sampler": (p.sampler.values.get("last", 0), "with balanced batches"),
    }
    return [
        f"finetune.{key}: {getattr(p, key)} leaves none of {p.epochs} epochs {purpose}"
        for key, (taken, purpose) in phases.items()
        if taken >= p.epochs
    ]


def _decision_faults(decisions: list[Decision], data: Data) -> list[str]:
    faults = [
        f"evaluate.decisions.{place}: {one} with the same values stands twice"
        for place, one in enumerate(decisions)
        if one in decisions[:place]
    ]
    size = 2 if data.task == "multilabel" else len(data.classes or [])
    for place, one in enumerate(decisions):
        where, name = f"evaluate.decisions.{place}", one.values.get("class")
        if name and data.classes and name not in data.classes:
            near = difflib.get_close_matches(name, data.classes, n=1)
            hint = f"; did you mean {near[0]}?" if near else ""
            faults.append(f"{where}.class: {name!r} is not one of data.classes ({', '.join(data.classes)}){hint}")
        rows = one.values.get("matrix", [])
        if rows and {len(rows), *map(len, rows)} != {size or len(rows)}:
            wanted = f"{size} by {size}" if size else "as wide as it is high"
            faults.append(f"{where}.matrix: must be {wanted} (got {len(rows)} rows of {sorted({*map(len, rows)})})")
    return faults


def _judging_faults(params: Params) -> list[str]:
    how, learned, order = params.evaluate, params.fit.unit, get_args(Unit)
    faults = []
    if how.unit and order.index(how.unit) < order.index(learned):
        faults.append(
            f"evaluate.unit: {how.unit} is finer than fit.unit: {learned}, of which there is one prediction; "
            f"set it to null or {' or '.join(order[order.index(learned) :])}"
        )
    if how.groups and params.data.task == "multilabel":
        faults.append("evaluate.groups: merges classes of which an image has one; of several labels, each is judged")
    else:
        faults += view_faults(how.groups, params.data.classes)
    if len(set(how.subgroups)) < len(how.subgroups):
        faults.append(f"evaluate.subgroups: a column is named twice (got {how.subgroups})")
    return faults


def _label_faults(data: Data, loss: str) -> list[str]:
    faults = []
    if isinstance(data.label, list):
        if data.task != "multilabel":
            faults.append("data.label: several columns are for data.task: multilabel")
        if len(set(data.label)) < len(data.label):
            faults.append(f"data.label: a column is named twice (got {data.label})")
    if data.task == "binary" and data.classes and len(data.classes) != 2:
        faults.append(f"data.classes: data.task: binary has two (got {data.classes})")
    if data.task == "multilabel" and data.labels == "folders":
        faults.append("data.labels: folders give one label each; data.task: multilabel needs a CSV")
    fitting = MULTILABEL_LOSSES if data.task == "multilabel" else SOFTMAX_LOSSES
    if loss not in fitting:
        faults.append(f"finetune.loss: {loss} is not for data.task: {data.task}; {', '.join(fitting)} are")
    return faults


def _rest_faults(data: Data) -> list[str]:
    if data.rest is None:
        return []
    if data.task == "multilabel":
        return ["data.rest: data.task: multilabel judges each label against the rest already"]
    known = data.classes or []
    return [] if data.rest in known else [f"data.rest: {data.rest!r} must be one of data.classes (got {data.classes})"]


def _pattern_faults(data: Data) -> list[str]:
    if data.pattern is None:
        return []
    if data.labels != "folders":
        return ["data.pattern: is for data.labels: folders; of a CSV, columns tell label, patient and split"]
    try:
        groups = set(re.compile(data.pattern).groupindex)
    except re.error as error:
        return [f"data.pattern: is no regular expression: {error}"]
    faults = [] if "label" in groups else ["data.pattern: has no group (?P<label>…)"]
    strange = sorted(groups - {*PATTERN_GROUPS, *data.attributes})
    if strange:
        known = ", ".join(PATTERN_GROUPS)
        faults.append(f"data.pattern: groups are {known} and those of data.attributes (got {', '.join(strange)})")
    return faults


def _attribute_faults(data: Data) -> list[str]:
    """No personal tag goes into an artifact: who it was is told by the group alone, a keyed hash."""
    faults = []
    if len(set(data.attributes)) < len(data.attributes):
        faults.append(f"data.attributes: a column is named twice (got {data.attributes})")
    hidden = {"data.patient": data.patient, "data.id": data.id, "data.path": data.path}
    hidden |= {"the group patient": "patient" if data.labels == "folders" else None}
    for name in data.attributes:
        same = next((key for key, column in hidden.items() if name == column), None)
        if same:
            faults.append(f"data.attributes: {name!r} is {same}, which no artifact holds in clear")
        elif PERSONAL.search(name):
            faults.append(
                f"data.attributes: {name!r} looks personal; an artifact holds no names, dates of birth or ids"
            )
    if data.labels == "folders":
        groups = re.findall(r"\(\?P<(\w+)>", data.pattern or "")
        lacking = [name for name in data.attributes if name not in groups]
        if lacking:
            faults.append(f"data.attributes: data.pattern has no group (?P<{lacking[0]}>…)")
    return faults
