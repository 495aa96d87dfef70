"""Arms with their decisions against each other: what `evaluate` and `compare` share, from fits to tables.

entries, pooling     arms from their fits, on the same images, exams or patients
contestants          each arm with each of its decisions, and the judgement of each
standing             who comes first on validation, and whom each is compared with
verdict, tables      files of everyone who was judged
trust, views         calibration; merged classes and subgroups
selected             files of the selected one
"""
