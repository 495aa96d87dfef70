"""Items of two reporting guidelines, in short, with which of a run's facts answers each.

CLAIM, 2024 update: Tejani et al. 2024, doi:10.1148/ryai.240300. TRIPOD+AI: Collins et al. 2024,
doi:10.1136/bmj-2023-078378. The items are named by number, for the wording see there; None is for the authors.
"""

from collections.abc import Mapping, Sequence
from typing import Any

Item = tuple[str, str, str | None]  # number, what it asks for, name of the facts that answer it

CLAIM: Sequence[Item] = (
    ("1–6", "title, abstract, background, aims, study design and goal", None),
    ("7", "data sources", "data"),
    ("8", "inclusion and exclusion", "excluded"),
    ("9", "preprocessing", "preprocessing"),
    ("10", "selection of subsets", None),
    ("11", "de-identification", None),
    ("12", "missing data", "excluded"),
    ("13", "image acquisition", "headers"),
    ("14–18", "reference standard, annotators and their agreement", None),
    ("19", "assignment to partitions", "partitions"),
    ("20", "level at which partitions are disjoint", "internal"),
    ("21", "sample size", "size"),
    ("22", "the model", "model"),
    ("23", "software", "software"),
    ("24", "initial weights", "initial"),
    ("25", "training", "training"),
    ("26", "selection of the final model", "selection"),
    ("27", "ensembles", "ensemble"),
    ("28", "metrics", "metrics"),
    ("29", "uncertainty and significance", "uncertainty"),
    ("30", "robustness", "robustness"),
    ("31", "explanations of predictions", None),
    ("32", "internal evaluation", "test_set"),
    ("33", "external testing", "external"),
    ("34", "trial registration", None),
    ("35", "included and excluded", "excluded"),
    ("36", "characteristics of the patients in each partition", None),
    ("37, 38", "performance and its precision", "performance"),
    ("39", "analysis of failures", "failures"),
    ("40", "limitations", "limits"),
    ("41–44", "implications, protocol, availability, funding", None),
)
TRIPOD_AI: Sequence[Item] = (
    ("1–4", "title, abstract, context, health inequalities, objectives", None),
    ("5a", "sources of data", "data"),
    ("5b, 6", "dates, setting, eligibility, treatments", None),
    ("7", "preparation of the data", "preprocessing"),
    ("8a", "outcome", "outcome"),
    ("8b, 8c", "assessors of the outcome, blinding", None),
    ("9", "predictors", "features"),
    ("10", "sample size", "size"),
    ("11", "missing data", "excluded"),
    ("12a", "use of the data", "partitions"),
    ("12b, 12c", "handling of predictors, model, tuning", "model"),
    ("12d", "differences between places", None),
    ("12e", "measures and plots of performance", "metrics"),
    ("12f, 12g", "updating, how predictions were computed", "output"),
    ("13", "class imbalance and recalibration", "imbalance"),
    ("14", "fairness", "fairness"),
    ("15", "output and thresholds", "output"),
    ("16", "differences between training and evaluation data", "external"),
    ("17–19", "ethics, funding, protocol, registration, sharing, involvement of patients", None),
    ("20", "flow and characteristics of participants", "excluded"),
    ("21", "participants and events of each analysis", "test_set"),
    ("22", "the full model", "files"),
    ("23a", "performance with intervals, in subgroups", "performance"),
    ("23b, 24", "differences between places, updated models", None),
    ("25", "interpretation", None),
    ("26", "limitations", "limits"),
    ("27", "poor input, users' part, next steps", None),
)


def answered(items: Sequence[Item], facts: Mapping[str, str]) -> dict[str, Any]:
    """The items that the facts answer, and those that are left to the authors."""
    known = [(number, asked, facts[fact]) for number, asked, fact in items if fact and facts.get(fact)]
    open_ = [(number, asked) for number, asked, fact in items if not fact or not facts.get(fact)]
    return {"answered": known, "open": open_}
