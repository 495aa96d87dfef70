"""What is gained by leaving doubtful images to a person, and the signs of collapse."""

from typing import Any

from pipeline.report import decisions, sentences
from pipeline.report.results import Results


def of(results: Results) -> dict[str, Any]:
    """Rows by the share that is answered, and the signs of collapse of the leading arms."""
    signs = {
        arm: [sentences.collapse(clause, results.names) for clause in results.collapse.get(arm, [])]
        for arm in results.leading
    }
    return {
        "rejection": decisions.rejection(results.rejected, results.classes),
        "collapsed": [
            {"arm": arm, "lines": lines, "selected": arm == results.selected} for arm, lines in signs.items() if lines
        ],
    }
