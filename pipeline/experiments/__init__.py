"""Presets of params, and plans of many runs: from a YAML of what differs to working folders and one table."""
