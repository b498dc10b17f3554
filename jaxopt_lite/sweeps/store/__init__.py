"""The store of a sweep: one SQLite file, its lock, and what must match to continue it."""
