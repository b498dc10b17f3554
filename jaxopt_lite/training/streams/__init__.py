"""Data that do not fit in memory: examples by index, and the windows of them that a run is given."""
