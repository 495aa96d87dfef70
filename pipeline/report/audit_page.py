"""audit.html: one file that opens offline and says whether the cached features can be trusted."""

from collections.abc import Mapping
from typing import Any

from pipeline.report import environment

VERDICTS = {
    "ok": ("ok", "The features can be trusted."),
    "look": ("look", "Look before you trust the features."),
    "invalid": ("bad", "Results from these features are invalid."),
}


def render(checks: Mapping[str, Mapping[str, Any]], title: str) -> str:
    """The page as HTML; the worst verdict leads.

    Args:
        checks: as in audit.json: value, threshold, verdict, rows and finding by name.
        title: of the page.
    """
    ranks = list(VERDICTS)
    ordered = sorted(checks.items(), key=lambda item: -ranks.index(item[1]["verdict"]))
    tones = {verdict: tone for verdict, (tone, _) in VERDICTS.items()}
    worst = ordered[0][1]["verdict"]
    template = environment().get_template("audit.html.j2")
    return template.render(title=title, checks=ordered, tones=tones, tone=tones[worst], lead=VERDICTS[worst][1])
