"""Arms by name, as params.yaml has them: pairs of a resampler and a head, and the single arms of section `arms`."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.errors import PipelineError
from pipeline.heads.entries import Entry, near
from pipeline.params import Params


@dataclass(frozen=True)
class Pair:
    """A head on resampled rows."""

    resampler: Entry
    head: Entry


@dataclass(frozen=True)
class Vote:
    """The mean of the probabilities of other arms, by name."""

    members: "dict[str, Arm]"


@dataclass(frozen=True)
class Stack:
    """A logistic head, with penalty 1/C, on the probabilities of other arms, by name."""

    members: "dict[str, Arm]"
    C: float


Arm = Pair | Vote | Stack
SHAPES = "{resampler: …, head: …}, {vote: [ARM, …]} or {stack: [ARM, …], C: 1}"


def check(params: Params) -> None:
    """Raise a PipelineError with every fault of the arms in the grid, before anything is computed."""
    read = _Reader(params)
    for name in params.grid.arms:
        read.arm(name, f"arms.{name}", ())
    for kind in ("resamplers", "heads"):
        for name in getattr(params.grid, kind):
            read.entry(kind, name, f"{kind}.{name}")
    read.stop_at_faults("in the grid")


def find(params: Params, name: str) -> Arm:
    """The arm of this name; raises a PipelineError with all its faults."""
    read = _Reader(params)
    arm = read.arm(name, "python -m pipeline fit", ())
    read.stop_at_faults(f"in arm {name}")
    assert arm is not None
    return arm


def entries(arm: Arm) -> Iterator[Entry]:
    """Every resampler and head that an arm is made of."""
    if isinstance(arm, Pair):
        yield from (arm.resampler, arm.head)
    else:
        for member in arm.members.values():
            yield from entries(member)


def describe(arm: Arm) -> dict[str, Any]:
    """What an arm is made of, as JSON: as section arms of params.yaml has it, with the arms in place of their names."""
    if isinstance(arm, Pair):
        return {"resampler": _described(arm.resampler), "head": _described(arm.head)}
    members = {name: describe(member) for name, member in arm.members.items()}
    return {"vote": members} if isinstance(arm, Vote) else {"stack": members, "C": arm.C}


def _described(entry: Entry) -> dict[str, Any]:
    return {"name": entry.name, **entry.values}


class _Reader:
    """Makes arms of params, and remembers what is wrong with them."""

    def __init__(self, params: Params) -> None:
        self.params, self.faults = params, list[str]()
        self.multilabel = params.data.task == "multilabel"

    def stop_at_faults(self, where: str) -> None:
        faults = list(dict.fromkeys(self.faults))
        if faults:
            lines = "".join(f"\n  - {fault}" for fault in faults)
            what = f"{len(faults)} fault{'s' * (len(faults) > 1)} {where}:{lines}"
            raise PipelineError("params.yaml", what, "mend these entries, then run again")

    def arm(self, name: str, where: str, above: tuple[str, ...]) -> Arm | None:
        """The arm of this name, that `where` speaks of and of which the arms `above` are made."""
        p = self.params
        if name in above:
            self.faults.append(f"{where}: an arm cannot be made of itself ({' → '.join((*above, name))})")
            return None
        if name in p.arms:
            return self._single(name, p.arms[name], above)
        cuts = [place for place, letter in enumerate(name) if letter == "-"]
        for pair in ((name[:cut], name[cut + 1 :]) for cut in cuts):
            if pair[0] in p.resamplers and pair[1] in p.heads:
                return self._pair(self.entry("resamplers", pair[0], where), self.entry("heads", pair[1], where))
        known = [*(f"{resampler}-{head}" for resampler in p.resamplers for head in p.heads), *p.arms]
        single = f", or one of section arms ({', '.join(p.arms) or 'which is empty'})"
        self.faults.append(
            f"{where}: there is no arm {name!r}; an arm is <resampler>-<head>{single}{near(name, known)}"
        )
        return None

    def entry(self, kind: str, given: Any, where: str) -> Entry | None:
        """An entry by its name in section `kind`, or as `{name: …}` with its values."""
        section: Mapping[str, Mapping[str, Any]] = getattr(self.params, kind)
        if isinstance(given, str) and given in section:
            entry = Entry(kind, given, section[given], f"{kind}.{given}")
        elif isinstance(given, dict) and isinstance(given.get("name"), str):
            values = {key: value for key, value in given.items() if key != "name"}
            entry = Entry(kind, given["name"], values, where)
        else:
            hint = near(given, section) if isinstance(given, str) else ""
            what = f"must be a name of section {kind} ({', '.join(section)}), or {{name: …}} with its values{hint}"
            self.faults.append(f"{where}: {what} (got {given!r})")
            return None
        found = entry.faults(self.multilabel)
        self.faults += found
        return None if found else entry

    def _single(self, name: str, given: Mapping[str, Any], above: tuple[str, ...]) -> Arm | None:
        where, keys = f"arms.{name}", set(given)
        if not re.fullmatch(r"\w+", name, re.ASCII):
            self.faults.append(f"{where}: the name of a single arm has letters, digits and _ only")
        if keys == {"resampler", "head"}:
            return self._pair(
                self.entry("resamplers", given["resampler"], f"{where}.resampler"),
                self.entry("heads", given["head"], f"{where}.head"),
            )
        if keys == {"vote"}:
            return Vote(self._members(given["vote"], f"{where}.vote", (*above, name)))
        if keys in ({"stack"}, {"stack", "C"}):
            strength = given.get("C", 1.0)
            if type(strength) not in (int, float) or not strength > 0:
                self.faults.append(f"{where}.C: must be a number above 0 (got {strength!r})")
            return Stack(self._members(given["stack"], f"{where}.stack", (*above, name)), strength)
        self.faults.append(f"{where}: must be {SHAPES} (has {', '.join(given) or 'no key'})")
        return None

    def _members(self, names: Any, where: str, above: tuple[str, ...]) -> "dict[str, Arm]":
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names) or len(set(names)) < 2:
            self.faults.append(f"{where}: must be a list of at least two names of arms (got {names!r})")
            return {}
        if len(set(names)) < len(names):
            self.faults.append(f"{where}: a name stands twice (got {names})")
        return {name: arm for name in names if (arm := self.arm(name, where, above))}

    @staticmethod
    def _pair(resampler: Entry | None, head: Entry | None) -> Pair | None:
        return Pair(resampler, head) if resampler and head else None
