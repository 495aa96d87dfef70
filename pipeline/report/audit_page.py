"""audit.html: one file that opens offline and says whether the cached features can be trusted, and what to look at."""

from pipeline.report import environment, words
from pipeline.report.auditing import plane, strips, verdicts
from pipeline.report.auditing.audited import Audited

PARTS = (verdicts, plane, strips)


def render(audited: Audited) -> str:
    """The page as HTML; the worst verdict leads."""
    values = {key: value for part in PARTS for key, value in part.of(audited).items()}
    template = environment().get_template("audit.html.j2")
    return template.render(title=audited.title, gallery=audited.gallery, tones=words.TONES, **values)
