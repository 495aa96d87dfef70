"""Every check with its verdict, by the question that it answers, the worst first."""

from collections.abc import Mapping
from typing import Any

from pipeline.report.auditing import figures
from pipeline.report.auditing.audited import Audited

RANKS = ("invalid", "look", "ok")
LEADS = {
    "ok": "The features can be trusted.",
    "look": "Look before you trust the features.",
    "invalid": "Results from these features are invalid.",
}
QUESTIONS = {
    "integrity": "Are the features whole?",
    "making": "Were they made as they claim?",
    "leakage": "Does anything of validation and test stand in training?",
    "labels": "Are the labels right?",
    "shortcuts": "Do the features tell what they should not?",
    "shift": "Are training, validation and test alike?",
    "outliers": "Does any image stand apart?",
    "separability": "Can the classes be told apart?",
    "synthetic": "Where do synthetic rows fall?",
}


def of(audited: Audited) -> dict[str, Any]:
    """Values of verdicts.html.j2."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for name, check in audited.checks.items():
        groups.setdefault(check.get("question", "integrity"), []).append(_check(name, check, audited))
    for checks in groups.values():
        checks.sort(key=_rank)
    counts = {rank: sum(check["verdict"] == rank for check in audited.checks.values()) for rank in RANKS}
    worst = next(rank for rank in RANKS if counts[rank])
    return {
        "lead": LEADS[worst],
        "worst": worst,
        "counts": counts,
        "groups": [
            {"title": QUESTIONS.get(name, figures.words(name)), "worst": checks[0]["verdict"], "checks": checks}
            for name, checks in sorted(groups.items(), key=lambda group: _rank(group[1][0]))
        ],
    }


def _rank(check: Mapping[str, Any]) -> int:
    return RANKS.index(check["verdict"])


def _check(name: str, check: Mapping[str, Any], audited: Audited) -> dict[str, Any]:
    named = audited.arrays.get(f"named/{name}", ())
    return {
        **check,
        "name": name,
        "title": figures.words(name),
        "param": f"audit.{name}" if name in audited.params else "",
        "value": figures.text(check["value"]),
        "threshold": figures.text(check["threshold"]),
        "rows": check["rows"] if audited.gallery else [],
        "row_count": check.get("row_count", len(check["rows"])),
        "mapped": len(named),
        "tables": list(figures.tables(check.get("figures") or {})),
        "listed": len(audited.tables.get(name, ())),
    }
