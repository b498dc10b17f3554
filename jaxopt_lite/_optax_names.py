"""What stands here for wrappers of optax that have another name or another form. It loads neither JAX nor optax."""

_HERE = {
    "multisteps": "optimizers.accumulate",
    "partition": "optimizers.partition_by_path",
    "multi_transform": "optimizers.partition_by_path",
    "inject_hyperparams": "optimizers.with_settings: settings are already part of the state",
    "apply_if_finite": "optimizers.guard",
    "skip_not_finite": "optimizers.guard",
    "ema": "optimizers.average",
}


def replacement(name: str) -> str | None:
    """What to use for a wrapper of optax, as a part of a message.

    Args:
        name: the name in optax, in any case.

    Returns:
        The text, or `None` if there is no wrapper of that name that differs here.

    Example:
        >>> replacement("MultiSteps")
        'it is in optax; here it is optimizers.accumulate'
    """
    here = _HERE.get(name.lower())
    return None if here is None else f"it is in optax; here it is {here}"
