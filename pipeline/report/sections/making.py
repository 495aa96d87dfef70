"""What was set aside, what the audit found, and what made the artifacts."""

from typing import Any

from pipeline.report import tables
from pipeline.report.results import Results

QUARANTINE_ROWS = 50


def of(results: Results) -> dict[str, Any]:
    """Quarantine, audit, packages, params, checksums and seconds."""
    quarantine = tables.without_root(results.quarantine, results.settings.images)
    manifests = [*results.manifests, *results.fits.values()]
    return {
        "quarantined": len(quarantine),
        "quarantine_counts": tables.quarantine_counts(quarantine),
        "quarantine_rows": quarantine[:QUARANTINE_ROWS],
        "checks": results.audit["checks"],
        "packages": tables.package_versions(manifests),
        "provenance": tables.provenance(manifests),
        "inputs": tables.inputs(manifests),
        "settings": tables.as_text(results.settings.shown),
        "seconds": results.seconds,
    }
