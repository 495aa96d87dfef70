"""Can these features be trusted? CHECKS names every question that is asked; the answers are in `auditing`."""

from collections.abc import Mapping

from pipeline.features.auditing import (
    integrity,
    labels,
    leakage,
    making,
    outliers,
    separability,
    shift,
    shortcuts,
    synthetic,
)
from pipeline.features.auditing.evidence import Check, Evidence, Finding

CHECKS: dict[str, Check] = {
    "checksum": integrity.checksum,
    "row_count": integrity.row_count,
    "order": integrity.order,
    "finite": integrity.finite,
    "dead_dimensions": integrity.dead_dimensions,
    "duplicated_dimensions": integrity.duplicated_dimensions,
    "unused_dimensions": integrity.unused_dimensions,
    "duplicate_rows": integrity.duplicate_rows,
    "norms": integrity.norms,
    "saturated": integrity.saturated,
    "provenance": making.provenance,
    "settings": making.settings,
    "versions": making.versions,
    "drift": making.drift,
    "patients_across_roles": leakage.patients_across_roles,
    "twins_across_roles": leakage.twins_across_roles,
    "twins_across_labels": leakage.twins_across_labels,
    "trained_on_held_out": leakage.trained_on_held_out,
    "suspicious_labels": labels.suspicious_labels,
    "shortcuts": shortcuts.shortcuts,
    "shift": shift.shift,
    "overfit_gap": shift.overfit_gap,
    "outliers": outliers.outliers,
    "separability": separability.separability,
    "hubness": separability.hubness,
    "synthetic": synthetic.synthetic,
}

OF_FILES = ("duplicate_rows", "provenance", "settings", "versions", "drift", "patients_across_roles")
"""What can be said of features that are all constant, beside what stands before `dead_dimensions`."""


def run(evidence: Evidence, thresholds: Mapping[str, float]) -> dict[str, Finding]:
    """Every check by name; only `checksum` where files were refused, and nothing of content where features have none.

    Args:
        evidence: what the checks look at.
        thresholds: by name of a check; 0 where there is none.
    """
    found: dict[str, Finding] = {}
    for name, check in CHECKS.items():
        empty = "dead_dimensions" in found and found["dead_dimensions"].verdict == "invalid"
        if name == "checksum" or not (evidence.refused or (empty and name not in OF_FILES)):
            found[name] = check(evidence, thresholds.get(name, 0))
    return found
