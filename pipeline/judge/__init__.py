"""From probabilities to a verdict."""
