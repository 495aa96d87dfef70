"""Skewray: from a folder of DICOMs and a CSV of labels to a classifier that can be trusted on the rare class."""
