"""Can these features be trusted? CHECKS names every question that is asked; the answers are in `auditing`."""

from collections.abc import Mapping

from pipeline.features.auditing import integrity, leakage, making
from pipeline.features.auditing.evidence import Check, Evidence, Finding

CHECKS: dict[str, Check] = {
    "checksum": integrity.checksum,
    "row_count": integrity.row_count,
    "order": integrity.order,
    "finite": integrity.finite,
    "dead_dimensions": integrity.dead_dimensions,
    "duplicate_rows": integrity.duplicate_rows,
    "patients_across_roles": leakage.patients_across_roles,
    "provenance": making.provenance,
    "drift": making.drift,
}


def run(evidence: Evidence, thresholds: Mapping[str, float]) -> dict[str, Finding]:
    """Every check by name; where files were refused, only `checksum`, since nothing else can be known.

    Args:
        evidence: what the checks look at.
        thresholds: by name of a check; 0 where there is none.
    """
    names = ["checksum"] if evidence.refused else list(CHECKS)
    return {name: CHECKS[name](evidence, thresholds.get(name, 0)) for name in names}
