"""Assign whole patients to roles so that every role has the same mix of classes or labels."""

from pipeline.splitting.patients import describe, split_as_given, split_by_patient

__all__ = ["describe", "split_as_given", "split_by_patient"]
