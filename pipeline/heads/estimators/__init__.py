"""What learns classes from rows: `heads.classifiers` has the names."""
