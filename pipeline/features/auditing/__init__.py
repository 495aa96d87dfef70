"""Whether cached features can be trusted: what the checks look at, and one module for each kind of question."""
