"""The stages: each loads what it reads, calls a room, and saves what it writes."""
