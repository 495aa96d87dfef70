"""Leakage: does anything of validation and test rows stand among the training rows?"""

from pipeline.features.auditing.evidence import Evidence, Finding, strict


def patients_across_roles(evidence: Evidence, threshold: float) -> Finding:
    """Is each patient in one role per fold? Value: patients that are in several."""
    seen = evidence.roles.drop_duplicates(["fold", "group", "role"])
    torn = seen.loc[seen.duplicated(["fold", "group"]), ["fold", "group"]].drop_duplicates()
    patients = len(set(torn["group"]))
    if not patients:
        sentence = "No patient is in two roles of a fold."
    else:
        folds = ", ".join(str(fold) for fold in sorted(set(torn["fold"])))
        sentence = f"Patients in more than one of train, val and test: {patients:,} (fold {folds})."
    return strict(patients, threshold, set(evidence.roles.merge(torn)["image_id"]), sentence)
