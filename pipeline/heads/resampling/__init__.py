"""How rows are resampled: `heads.resamplers` has the names."""
