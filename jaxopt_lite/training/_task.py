"""What is trained: three pure functions and the data they are given."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import jax

from jaxopt_lite.training._shown import shown
from jaxopt_lite.training.streams._stream import Stream

Array = jax.Array


class Task(NamedTuple):
    """A training problem, for any trial (a pytree of settings) and any seed: three pure functions and their data.

    A run has diverged if its metric `"loss"` becomes NaN or infinite, or its objective is NaN or infinite at the end.
    Other metrics and scores may be.

    Attributes:
        init: `init(trial, key) -> carry`, a pytree of everything that changes during a run.
        step: `step(trial, carry, data, key) -> (carry, metrics)`, one update; `metrics` is a dict of real scalars.
        evaluate: `evaluate(trial, carry, data) -> scores`, a dict of real scalars with the objective among them.
        data: a pytree of arrays; it is passed to `step`, `evaluate` and `test`, never captured by them. With a
            `stream`, `step` is given the batch of its step instead.
        name: the task's name in tables and stores. Default: `"task"`.
        objective: the score by which runs are ranked. Default: `"test_loss"`.
        mode: whether a small (`"min"`) or a large objective (`"max"`) is good. Default: `"min"`.
        modes: the same for other scores, by name; a score that is not in it has no stated direction.
        merge: whether the functions use `trial["optimizer"]` through `init` and `update` alone and do not look into its
            state. Then sweeps on CPU may train different optimizers with one program, which saves compilations.
            Default: False.
        test: `test(trial, carry, data) -> scores`, further scores, computed once for a finished run and never used for
            selection. Default: None.
        model: `model(trial, carry)`, the trained model of a run, in whatever form is ready to use. Default: None.
        record: `record(trial, carry, data) -> diagnostics.Record`, the state of the network at a step, as
            `diagnostics.record` gives it. Default: None.
        diagnose: whether `record` is called at a few steps of each run. Default: False.
        stream: the batches that `step` is given as its `data`, read while the run trains; see `Stream`. Default: None.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> def step(trial, w, data, key):
        ...     loss, gradient = jax.value_and_grad(lambda w: jnp.mean((w - data) ** 2))(w)
        ...     return w - trial["rate"] * gradient, {"loss": loss}
        >>> def evaluate(trial, w, data):
        ...     return {"test_loss": jnp.mean((w - data) ** 2)}
        >>> task = Task(lambda trial, key: jnp.zeros(()), step, evaluate, jnp.array([1.0, 3.0]), name="mean")
        >>> task
        Task(name='mean', objective='test_loss', mode='min', data=float32[2])
    """

    init: Callable[[Any, Array], Any]
    step: Callable[[Any, Any, Any, Array], tuple[Any, dict[str, Any]]]
    evaluate: Callable[[Any, Any, Any], dict[str, Any]]
    data: Any
    name: str = "task"
    objective: str = "test_loss"
    mode: Literal["min", "max"] = "min"
    modes: Mapping[str, Literal["min", "max"]] = {}
    merge: bool = False
    test: Callable[[Any, Any, Any], dict[str, Any]] | None = None
    model: Callable[[Any, Any], Any] | None = None
    record: Callable[[Any, Any, Any], Any] | None = None
    diagnose: bool = False
    stream: Stream | None = None

    def __repr__(self) -> str:
        fields = {"name": self.name, "objective": self.objective, "mode": self.mode, "stream": self.stream}
        listed = [f"{name}={value!r}" for name, value in fields.items() if value is not None]
        return f"Task({', '.join([*listed, f'data={shown(self.data)}'])})"
