"""The error for a task that a sweep cannot train or rank."""


class TaskError(ValueError):
    """A task that cannot be swept: its mode, its scores, or what it reads of a trial."""
