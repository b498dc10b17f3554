"""One run: a task, a trial and a seed, trained for a number of steps."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite.training._task import Task

Array = jax.Array
POINTS = 100


class Curve(NamedTuple):
    """Step metrics as a run goes on: sums over stretches of `stride` steps, one stretch a point."""

    sums: dict[str, Array]  # (POINTS,) each
    stride: Array  # () int32


class Trained(NamedTuple):
    """What a run leaves: its final carry, its scores, and its metrics as (step, mean up to that step) pairs."""

    carry: Any
    scores: dict[str, float]
    curve: dict[str, list[tuple[int, float]]]


def keys(seed: Any) -> tuple[Array, Array]:
    """The two keys of a run: one initialises it, the other is folded with the step number."""
    init_key, steps_key = jax.random.split(jax.random.key(seed))
    return init_key, steps_key


def start(task: Task, trial: Any, seed: Any) -> Any:
    """The carry before the first step."""
    return task.init(trial, keys(seed)[0])


def blank(task: Task, trial: Any, carry: Any, data: Any, steps: int) -> Curve:
    """An empty curve for a run of `steps` steps."""
    metrics = jax.eval_shape(lambda c, d: task.step(trial, c, d, jax.random.key(0))[1], carry, data)
    return Curve({name: jnp.zeros(POINTS, jnp.float32) for name in metrics}, jnp.int32(max(1, -(-steps // POINTS))))


def advance(task: Task, trial: Any, carry: Any, curve: Curve, data: Any, seed: Any, span: Array) -> tuple[Any, Curve]:
    """The run after the steps `span[0] <= i < span[1]`.

    The bounds are data: one compiled loop serves any stretch of any run, and a run cut into stretches has the bits of
    the run in one piece.
    """
    steps_key = keys(seed)[1]

    def body(i: Array, state: tuple[Any, Curve]) -> tuple[Any, Curve]:
        carry, curve = state
        carry, metrics = task.step(trial, carry, data, jax.random.fold_in(steps_key, i))
        at = i // curve.stride
        sums = {name: s.at[at].add(metrics[name].astype(s.dtype)) for name, s in curve.sums.items()}
        return carry, curve._replace(sums=sums)

    return jax.lax.fori_loop(span[0], span[1], body, (carry, curve))


def points(sums: dict[str, Any], stride: int, steps: int) -> dict[str, list[tuple[int, float]]]:
    """The curve as pairs (last step of a stretch, mean over the stretch), up to `steps`."""
    ends = [min(i, steps) for i in range(stride, steps + stride, stride)]
    counts = [end - begin for begin, end in zip([0, *ends], ends, strict=False)]
    return {
        name: [(end, float(total) / count) for end, total, count in zip(ends, values, counts, strict=False)]
        for name, values in sums.items()
    }


def run(task: Task, trial: Any, *, steps: int, seed: int = 0) -> Trained:
    """Train one trial for `steps` steps and score it.

    Args:
        task: what is trained.
        trial: its settings, a pytree whose numbers are leaves.
        steps: updates to make, at least 1.
        seed: decides initialisation, order of the data and dropout.

    Raises:
        ValueError: `steps` is less than 1, or `seed` is negative.

    Example:
        >>> trained = run(task, {"activation": act.relu, "optimizer": opt.adam(1e-3)}, steps=500)  # doctest: +SKIP
    """
    for name, number, least in (("steps", steps, 1), ("seed", seed, 0)):
        if isinstance(number, bool) or not isinstance(number, int | np.integer) or number < least:
            raise ValueError(f"{name} must be a whole number of at least {least}, got {number!r}")
    leaves, tree = jax.tree.flatten(trial)
    numbers = [i for i, leaf in enumerate(leaves) if isinstance(leaf, float | jax.Array)]

    @jax.jit
    def whole(values: list[Array], data: Any, seed: Array, span: Array) -> tuple[Any, Curve, dict[str, Array]]:
        filled = list(leaves)
        for i, value in zip(numbers, values, strict=True):
            filled[i] = value
        trial = jax.tree.unflatten(tree, filled)
        carry = start(task, trial, seed)
        carry, curve = advance(task, trial, carry, blank(task, trial, carry, data, steps), data, seed, span)
        return carry, curve, task.evaluate(trial, carry, data)

    values = [jnp.asarray(leaves[i]) for i in numbers]
    carry, curve, scores = whole(values, task.data, jnp.uint32(seed), jnp.array([0, steps], jnp.int32))
    drawn = points({name: list(map(float, s)) for name, s in curve.sums.items()}, int(curve.stride), steps)
    return Trained(carry, {name: float(value) for name, value in scores.items()}, drawn)
