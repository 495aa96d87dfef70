"""Model card (Mitchell et al. 2019, doi:10.1145/3287560.3287596) and reporting checklists, filled from the run."""

from typing import Any

from pipeline.report import checklist, facts
from pipeline.report.results import Results

AUTHORS = "For the authors to state"


def of(results: Results) -> dict[str, Any]:
    """Headings with their sentences, and the items of the guidelines with their answers."""
    known = facts.gather(results)
    return {
        "card": card(results, known),
        "guidelines": {
            "CLAIM, 2024 update": checklist.answered(checklist.CLAIM, known),
            "TRIPOD+AI, 2024": checklist.answered(checklist.TRIPOD_AI, known),
        },
    }


def card(results: Results, known: dict[str, str]) -> dict[str, list[str]]:
    """The nine headings of a model card with what the run knows; without sentences that it has nothing for."""
    several = results.task == "multilabel"
    sources = {"image": "one image", "exam": "the images of one exam", "patient": "the images of one patient"}
    told = {
        "Model": [known["model"], known["initial"], known["software"]],
        "Intended use": [
            f"To tell {'which of' if several else 'one of'} these {results.many} from {sources[results.unit]}: "
            f"{', '.join(results.classes)}.",
            f"{AUTHORS}: for whom, at which point of care, and what a wrong answer costs.",
            "Not for images unlike those under Data, and not without a person who answers for the decision.",
        ],
        "Factors": [known["headers"], known["fairness"]],
        "Metrics": [known["metrics"], known["uncertainty"], known["selection"]],
        "Evaluation data": [known["test_set"], known["internal"], known["external"]],
        "Training data": [known["data"], known["training_set"], known["imbalance"]],
        "Results": [known["performance"], known["failures"]],
        "Ethical considerations": ethics(results),
        "Limits": facts.limits(results),
    }
    return {title: [sentence for sentence in lines if sentence] for title, lines in told.items()}


def ethics(results: Results) -> list[str]:
    """What follows from the data at hand."""
    flags = [flag["words"] + "." for flag in results.flags if flag["count"]]
    rare = results.rarest[results.selected]["class"]
    pictures = (
        "This page shows pictures of patients and image ids: with report.gallery: false it shows neither."
        if results.settings.gallery and len(results.pictures)
        else "This page shows no picture of a patient and no image id."
    )
    return [
        *flags,
        f"Errors on {rare}, the rarest, weigh least in plain accuracy and may weigh most for a patient.",
        pictures,
        f"{AUTHORS}: consent, approval, and who may be harmed by which error.",
    ]
