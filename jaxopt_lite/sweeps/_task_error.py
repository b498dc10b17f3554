"""The error for a task that a sweep cannot train or rank."""


class TaskError(ValueError):
    """A task or space that cannot be swept as requested: its mode, scores, what it reads, its number of settings."""
