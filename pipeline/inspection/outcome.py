"""What an audit leaves: files of what was found, and what stops a run."""

import itertools
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipeline import artifacts
from pipeline.errors import PipelineError
from pipeline.features import checks
from pipeline.features.auditing import projection
from pipeline.features.auditing.evidence import Evidence, Finding

log = logging.getLogger(__name__)
LISTED = 200  # image ids of a check in audit.json
VERDICTS = ("invalid", "look")


def refuse_unknown(fail_on: Sequence[str]) -> None:
    """Raise a PipelineError for names that are of no verdict and of no check."""
    known = [*VERDICTS, *checks.CHECKS]
    if unknown := [name for name in fail_on if name not in known]:
        what = f"there is no verdict or check {', '.join(unknown)}"
        raise PipelineError("audit.fail_on", what, f"name some of {', '.join(known)}")


def save(evidence: Evidence, found: Mapping[str, Finding], root: Path = artifacts.ROOT) -> None:
    """Write audit.json and audit/ below `root`."""
    tables = {name: finding.table for name, finding in found.items() if finding.table is not None}
    artifacts.save_audit(
        {name: _described(name, one) for name, one in found.items()}, tables, arrays(evidence, found), root
    )


def tell(found: Mapping[str, Finding]) -> None:
    """Log the verdicts, and what a person should look at."""
    verdicts = [finding.verdict for finding in found.values()]
    log.info("audit: %s", ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts)))
    for name, finding in found.items():
        if finding.verdict == "look":
            log.warning("look at %s: %s", name, finding.finding)


def stop(found: Mapping[str, Finding], fail_on: Sequence[str], where: Path, remedy: str) -> None:
    """Raise a PipelineError that names the checks whose verdict, or which themselves, are in `fail_on`."""
    failed = {
        name: finding
        for name, finding in found.items()
        if finding.verdict in fail_on or (name in fail_on and finding.verdict != "ok")
    }
    if failed:
        lines = "".join(f"\n  - {name}: {finding.finding}" for name, finding in failed.items())
        invalid = any(finding.verdict == "invalid" for finding in failed.values())
        said = "invalid" if invalid else "not to be used (audit.fail_on)"
        raise PipelineError(where, f"results from these features are {said}:{lines}", remedy)


def _described(name: str, finding: Finding) -> dict[str, Any]:
    return {
        "value": finding.value,
        "threshold": finding.threshold,
        "verdict": finding.verdict,
        "rows": finding.rows[:LISTED],
        "row_count": len(finding.rows),
        "finding": finding.finding,
        "question": checks.CHECKS[name].__module__.rpartition(".")[2],
        "figures": finding.figures,
    }


def arrays(evidence: Evidence, found: Mapping[str, Finding]) -> dict[str, np.ndarray]:
    """What the page draws: rows of the first fold in two dimensions, and synthetic ones among them."""
    if evidence.refused or not len(evidence.rows):
        return {}
    images, named = evidence.rows["image_id"], {name: each.rows for name, each in found.items() if each.rows}
    wanted = np.where(images.isin(list(itertools.chain(*named.values()))), 2, 1) * evidence.natural
    synthetic = {name: made[0] for name, made in evidence.synthetic.items()}
    arrays = projection.plane(evidence.space(evidence.file), evidence.targets, wanted, synthetic)
    rows = arrays["rows"]
    return {
        **arrays,
        "features": np.array(evidence.file),
        "image_id": images.to_numpy(str)[rows],
        "role": evidence.role()[rows],
        "targets": evidence.targets[rows],
        "classes": np.array(evidence.classes, str),
        **{f"named/{name}": np.flatnonzero(images.iloc[rows].isin(ids)) for name, ids in named.items()},
    }
