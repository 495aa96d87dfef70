"""What each stage reads and writes, as dvc.yaml says, and a signature of all that its output depends on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from pipeline import provenance

ROOT = Path(__file__).parents[2]
BEFORE_FITS = ("index", "split", "pixels", "finetune", "embed")
MEMO = Path("artifacts/scan.parquet")  # of the scan: no stage depends on it, but without it every header is read anew


@dataclass(frozen=True)
class Job:
    """A stage, or the fit of one arm.

    Attributes:
        name: such as `finetune`, or `fit smote-logistic`; the words of its command.
        deps: paths of what it reads: code, relative to the code's root, and artifacts.
        keys: of the params that it reads, such as `data.task`.
        outs: paths that it writes.
        kept: those of them that it goes on from, if they are there.
    """

    name: str
    deps: tuple[str, ...]
    keys: tuple[str, ...]
    outs: tuple[Path, ...]
    kept: tuple[Path, ...]

    def signature(self, values: Mapping[str, Any], made: Mapping["Job", str]) -> str:
        """Checksum of the code, of the values of its params, and of what made its inputs.

        Args:
            values: all of params.yaml.
            made: signature of each job before this one.
        """
        inputs = {str(out): sign for job, sign in made.items() for out in job.outs if self._reads(out)}
        code = {dep: _checksum(ROOT / dep) for dep in self.deps if not dep.startswith("artifacts/")}
        given = {key: _value(values, key) for key in self.keys}
        return provenance.checksum_of_json({"job": self.name, "params": given, "inputs": inputs, "code": code})

    def _reads(self, out: Path) -> bool:
        return any(Path(dep).is_relative_to(out) or out.is_relative_to(dep) for dep in self.deps)


def jobs(arms: Sequence[str]) -> list[Job]:
    """Every stage up to these arms, in order."""
    stages = _stages()
    before = [_job(name, stages[name], {}) for name in BEFORE_FITS]
    return before + [_fit(arm, stages) for arm in arms]


def _fit(arm: str, stages: Mapping[str, Any]) -> Job:
    resampler, mark, head = arm.partition("-")
    if mark:
        known = {"${item.resampler}": resampler, "${item.head}": head}
        return _job(f"fit {arm}", stages["fit"], known)
    return _job(f"fit {arm}", stages["arm"]["do"], {"${item}": arm})


def _job(name: str, of: Mapping[str, Any], items: Mapping[str, str]) -> Job:
    outs = [(path, kept) for out in of["outs"] for path, kept in _out(out)]
    return Job(
        name,
        tuple(of["deps"]),
        tuple(_filled(key, items) for key in of["params"]),
        tuple(Path(_filled(path, items)) for path, _ in outs),
        tuple(Path(path) for path, kept in outs if kept),
    )


def _out(out: str | Mapping[str, Mapping[str, Any]]) -> list[tuple[str, bool]]:
    return [(out, False)] if isinstance(out, str) else [(path, bool(how.get("persist"))) for path, how in out.items()]


def _filled(text: str, items: Mapping[str, str]) -> str:
    for mark, item in items.items():
        text = text.replace(mark, item)
    return text


def _value(values: Mapping[str, Any], key: str) -> Any:
    found: Any = values
    for part in key.split("."):
        found = found[part]
    return found


@cache
def _stages() -> dict[str, Any]:
    return YAML(typ="safe", pure=True).load(ROOT / "dvc.yaml")["stages"]


@cache
def _checksum(path: Path) -> str:
    return provenance.checksum(path)
