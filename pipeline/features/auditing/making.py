"""Provenance: were the features made of what lies on disk, and are they made so again?"""

from pipeline.features.auditing.evidence import Evidence, Finding, look, strict, worst


def provenance(evidence: Evidence, threshold: float) -> Finding:
    """Were the features computed from the weights and pictures that lie on disk? Value: inputs that have changed."""
    names = sorted({*evidence.features, *evidence.on_disk})
    stale = [
        f"{name}: {kind}"
        for name in names
        for kind in evidence.on_disk.get(name, {"backbone": ""})
        if evidence.made_from.get(name, {}).get(kind) != evidence.on_disk.get(name, {}).get(kind, "")
    ]
    if stale:
        sentence = f"The features were not computed from what lies on disk now ({'; '.join(stale)})."
    elif evidence.imported:
        sentence = "The features are those that were imported last; no pictures and weights have come since."
    else:
        sentence = "The features were computed from the weights and the pictures that lie on disk."
    return strict(len(stale), threshold, [], sentence)


def drift(evidence: Evidence, threshold: float) -> Finding:
    """Is a row the same when it is embedded again? Value: the greatest distance from what it was; see Evidence."""
    noise = {name: found["noise"] for name, found in evidence.drift.items()}
    if not noise:
        why = "the features were imported" if evidence.imported else "embed.check: 0"
        return Finding(0, threshold, "ok", [], f"No row was embedded again to compare ({why}).")
    name = worst(noise)
    sentence = (
        f"{evidence.drift[name]['rows']:,} rows of {name}.npy were embedded again, alone, in float32; they lie at most "
        f"{noise[name]:.2g} of the usual distance between images from where they were."
    )
    return Finding(noise[name], threshold, look(noise[name], threshold), [], sentence)
