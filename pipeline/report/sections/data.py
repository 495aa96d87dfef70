"""What is there: images, imbalance, headers; who is in which role; pictures as the model sees them."""

from typing import Any

from pipeline.report import samples, tables
from pipeline.report.results import Results


def of(results: Results) -> dict[str, Any]:
    """Counts of the data and the splits, and samples of the picture store."""
    has_pictures = bool(len(results.pictures))
    shown = has_pictures and results.settings.gallery
    return {
        "images": len(results.index),
        "no_picture": len(tables.records(results.quarantine, stage="pixels")),
        "patients": results.index["group"].nunique(),
        "without_label": tables.without_label(results.index),
        "class_counts": tables.class_counts(results.index, results.classes),
        "facts": tables.facts(results.index) if has_pictures else [],
        "flags": [flag["words"] for flag in results.flags if flag["count"]],
        "has_pictures": has_pictures,
        "samples": samples.of(results.index, results.pictures, results.classes) if shown else None,
        "size": results.pictures.size if has_pictures else 0,
        "split_rows": tables.split_rows(results.split_summary),
        "seed": results.split_summary["seed"],
    }
