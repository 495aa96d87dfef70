"""report.html: one file that opens offline and says which arm won, by how much, and whether that is real."""

from collections.abc import Sequence

from jinja2 import Template

from pipeline.report import environment, plots, words
from pipeline.report.results import Results
from pipeline.report.sections import (
    arms,
    card,
    cases,
    classes,
    comparison,
    curves,
    data,
    doubt,
    head,
    making,
    training,
)

SECTIONS = (head, data, training, arms, comparison, classes, curves, cases, doubt, making, card)


def render(results: Results) -> str:
    """The page as HTML."""
    count, ordered = len(results.classes), results.ordered
    light, dark = plots.palette(count, ordered)
    return _template().render(
        title=results.settings.title,
        task=results.task,
        one=results.one,
        many=results.many,
        classes=results.classes,
        unit=results.unit,
        counted_as=results.counted_as,
        names=results.names,
        select=results.settings.select,
        confidence=results.settings.confidence,
        selected=results.selected,
        dashes=[plots.dash(number, ordered) for number in range(count)],
        colours=_variables("class", light) + _variables("series", plots.NOMINAL),
        colours_dark=_variables("class", dark) + _variables("series", plots.NOMINAL_DARK),
        sections=[section.__name__.rpartition(".")[2] for section in SECTIONS],
        **{key: value for section in SECTIONS for key, value in section.of(results).items()},
    )


def _template() -> Template:
    """The page's, with the words of `report.words` as filters."""
    templates = environment()
    filters = (words.number, words.signed, words.count, words.percent, words.estimate, words.difference)
    templates.filters.update({function.__name__: function for function in (*filters, words.probability)})
    templates.globals.update(span=words.span, absent=words.absent, tones=words.TONES)
    return templates.get_template("report.html.j2")


def _variables(kind: str, colours: Sequence[str]) -> str:
    return " ".join(f"--{kind}-{number}: {colour};" for number, colour in enumerate(colours))
