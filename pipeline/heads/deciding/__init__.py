"""From stored probabilities to better ones, and to decisions."""
