"""Provenance: were the features made of what lies on disk, and are they made so again?"""

from collections.abc import Mapping
from typing import Any

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


def settings(evidence: Evidence, threshold: float) -> Finding:
    """Were the features made as params.yaml says now? Value: settings that differ."""
    differing = _differing(evidence.settings)
    if not differing:
        sentence = "The features were made with the settings that params.yaml has now."
        sentence = "The features were imported: no setting made them." if evidence.imported else sentence
    else:
        sentence = f"params.yaml has changed since the features were made: {_told(differing)}."
    return Finding(len(differing), threshold, look(len(differing), threshold), [], sentence, figures=differing)


def versions(evidence: Evidence, threshold: float) -> Finding:
    """Are the packages that computed the features those of now? Value: packages of another version."""
    differing = _differing(evidence.versions)
    if not differing:
        sentence = "The features were computed with the versions of packages that are installed now."
        sentence = "The features were imported: no package of here computed them." if evidence.imported else sentence
    else:
        sentence = f"Packages have another version than when the features were computed: {_told(differing)}."
    return Finding(len(differing), threshold, look(len(differing), threshold), [], sentence, figures=differing)


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


def _differing(known: Mapping[str, Mapping[str, tuple[Any, Any]]]) -> dict[str, dict[str, Any]]:
    """By key, what it was and is now, where that differs in some file."""
    return {
        key: {"then": then, "now": now}
        for name in sorted(known)
        for key, (then, now) in known[name].items()
        if then != now
    }


def _told(differing: Mapping[str, Mapping[str, Any]]) -> str:
    each = (f"{key} {of['then']} then, {of['now'] or 'absent'} now" for key, of in differing.items())
    return "; ".join(each)
