"""Arms with their decisions against each other: what `evaluate` and `compare` share, from fits to a standing."""
