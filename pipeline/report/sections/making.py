"""What was set aside, what the audit found, and what made the artifacts."""

from collections.abc import Mapping
from typing import Any

from pipeline.report import origins, words
from pipeline.report.results import Results

QUARANTINE_ROWS = 50


def of(results: Results) -> dict[str, Any]:
    """Quarantine, audit, packages, params, checksums and seconds."""
    quarantine = origins.without_root(results.quarantine, results.settings.images)
    manifests = [*results.manifests, *results.fits.values()]
    return {
        "quarantined": len(quarantine),
        "quarantine_counts": origins.quarantine_counts(quarantine),
        "quarantine_rows": quarantine[:QUARANTINE_ROWS]
        if results.settings.gallery
        else [],  # a path may name a patient
        "checks": results.audit["checks"],
        "packages": origins.package_versions(manifests),
        "provenance": origins.provenance(manifests),
        "inputs": origins.inputs(manifests),
        "settings": origins.as_text(results.settings.shown),
        "seconds": by_stage(results.seconds),
    }


def by_stage(seconds: Mapping[str, float]) -> dict[str, float]:
    """Seconds of each stage, those of `fit ARM` together."""
    fits = [value for name, value in seconds.items() if name.startswith("fit ")]
    others = {name: value for name, value in seconds.items() if not name.startswith("fit ")}
    return others | ({f"fit ({words.count(len(fits), 'arm')})": sum(fits)} if fits else {})
