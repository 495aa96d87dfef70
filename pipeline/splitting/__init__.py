"""Assign whole patients to roles so that every role has the same mix of classes or labels."""

from pipeline.splitting.patients import split_as_given, split_by_patient
from pipeline.splitting.summary import describe, lines, split

__all__ = ["describe", "lines", "split", "split_as_given", "split_by_patient"]
