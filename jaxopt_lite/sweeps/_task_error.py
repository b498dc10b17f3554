"""The error for a task that a sweep cannot train or rank."""


class TaskError(ValueError):
    """A task or a space that cannot be swept as requested: its mode, its scores, what it reads, the number of settings."""
