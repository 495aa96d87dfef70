"""Phantom mammograms: who is in the data set, what a breast looks like, how it becomes a DICOM file."""
