"""`python -m pipeline STAGE`: one stage, with the params of params.yaml in this folder."""

import argparse
import importlib
import logging
import os
import sys
import time

from pipeline import params
from pipeline.errors import PipelineError
from pipeline.heads import named

COMMANDS = {
    "demo": ("pipeline.demo", "write the phantom mammograms to data/demo"),
    "index": ("pipeline.stages.index", "scan the image folder and join the labels"),
    "show": ("pipeline.stages.show", "draw what the model will see of files, before training"),
    "split": ("pipeline.stages.split", "assign patients to train, val and test"),
    "pixels": ("pipeline.stages.pixels", "render every image to a small picture"),
    "finetune": ("pipeline.stages.finetune", "train the backbone on the training rows of each fold"),
    "embed": ("pipeline.stages.embed", "compute and cache the features of every picture"),
    "fit": ("pipeline.stages.fit", "resample and fit one arm, RESAMPLER-HEAD or one of section arms"),
    "evaluate": ("pipeline.stages.evaluate", "judge every arm and select one on validation"),
    "audit": ("pipeline.stages.audit", "check whether the cached features can be trusted"),
    "audit_page": ("pipeline.stages.audit_page", "write artifacts/audit.html, a page of what the audit found"),
    "report": ("pipeline.stages.report", "write artifacts/report.html"),
    "use": ("pipeline.stages.use", "write the values of a recipe into params.yaml"),
    "experiments": ("pipeline.stages.experiments", "run a plan of experiments, and print one table"),
    "import-features": ("pipeline.stages.import_features", "take features from elsewhere in place of images"),
    "results": ("pipeline.stages.results", "print the arms with their intervals"),
    "compare": ("pipeline.stages.compare", "print how one arm or decision differs from another, and how surely"),
}

TIMED = ("index", "split", "pixels", "finetune", "embed", "fit", "evaluate", "audit", "report", "import-features")


def main(arguments: list[str] | None = None) -> int:
    """Run one command; exit code 1 with a readable message when the user can mend what is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m pipeline",
        description="From a folder of DICOMs and a CSV of labels to a judged classifier. "
        "`dvc repro` runs the stages that are out of date, in order.",
    )
    commands = parser.add_subparsers(dest="command", metavar="STAGE", required=True)
    for name, (_, summary) in COMMANDS.items():
        command = commands.add_parser(name, help=summary, description=f"{summary[0].upper()}{summary[1:]}.")
        if name == "fit":
            command.add_argument("arm", help="such as smote-logistic; its names stand in params.yaml")
        if name == "results":
            forms = command.add_mutually_exclusive_group()
            for form in ("csv", "json"):
                every = f"every arm and decision with all columns as {form.upper()}, and nothing else"
                forms.add_argument(f"--{form}", dest="form", action="store_const", const=form, help=every)
        if name == "compare":
            command.add_argument("arm", help="arm or decision, named as `results` names it")
            command.add_argument("reference", help="that it is compared with")
        if name == "import-features":
            command.add_argument(
                "file", help=".npy, .npz, .parquet or .csv; section data of params.yaml names its columns"
            )
        if name == "audit":
            command.add_argument("--features", metavar="FILE", help="audit this file (as of import-features) instead")
            command.add_argument("--out", metavar="FOLDER", help="with --features; default: audit-<name of the file>")
        if name == "experiments":
            command.add_argument("file", help="a plan, such as experiments/demo.yaml")
        if name == "use":
            command.add_argument(
                "recipe", help="a YAML of what differs from params.yaml, or the name of one in recipes/"
            )
            command.add_argument("settings", nargs="*", metavar="KEY=VALUE", help="such as data.images=/scans")
        if name == "show":
            paths = "a file, a folder (24 of its files are shown), a path below data.images, or an image_id"
            command.add_argument("paths", nargs="+", metavar="PATH", help=paths)
            command.add_argument("--out", default="show.png", metavar="FILE.png", help="default: show.png")
    chosen = vars(parser.parse_args(arguments))
    name, started = chosen.pop("command"), time.monotonic()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        values = params.load()
        named.check(values)
        if name == "audit" and not chosen["features"]:
            chosen = {}
        module = "pipeline.stages.audit_features" if name == "audit" and chosen else COMMANDS[name][0]
        importlib.import_module(module).run(values, **chosen)
        if name in TIMED and module == COMMANDS[name][0]:
            _note(" ".join(filter(None, [name, chosen.get("arm")])), time.monotonic() - started)
    except PipelineError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped: finished work is kept, and the next run goes on from there", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head` has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _note(stage: str, seconds: float) -> None:
    """Imported here, since what needs no artifacts should not wait for pandas; a stage has imported it already."""
    from pipeline import artifacts

    artifacts.note_seconds(stage, seconds)


if __name__ == "__main__":
    sys.exit(main())
