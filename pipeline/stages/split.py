"""index.parquet → splits.parquet, splits.json."""

import logging

from pipeline import artifacts, splitting
from pipeline.params import Params

log = logging.getLogger(__name__)


def run(params: Params) -> None:
    """Take the user's split where the labels bring one, else assign patients to roles."""
    index = artifacts.load_index()
    splits, summary = splitting.split(index, artifacts.classes(index, params.data.classes), params.split)
    artifacts.save_splits(splits, summary)
    for line in splitting.lines(summary):
        log.info(line)
    for warning in summary["warnings"]:
        log.warning(warning)
