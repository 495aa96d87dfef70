"""From a file to a small picture."""
