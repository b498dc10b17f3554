"""Dead units: whose derivative is 0 for every training input, so that no gradient reaches their weights."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import perceptrons

from jaxopt_lite import sweeps, training


class Watched(NamedTuple):
    """A run, and which units were dead when it was last looked at."""

    run: Any
    dead: list[jax.Array]


def dead(model: perceptrons.Perceptron, x: jax.Array) -> list[jax.Array]:
    """For each hidden layer, which units have the derivative 0 for every input."""
    before, _ = perceptrons.hidden_values(model, x)
    slopes = [jax.jvp(model.activation, (z,), (jnp.ones_like(z),))[1] for z in before]
    return [jnp.all(slope == 0, axis=0) for slope in slopes]


def watched(task: training.Task, stride: int) -> training.Task:
    """The task in steps of `stride` updates, each with metrics of the dead units before it.

    The metrics are, of the hidden layer i, the share of units that are dead (`dead i`), that have died since the last
    step (`died i`) and that have come back since then (`revived i`). The score `dead i` is the share at the end.
    """
    assert task.model is not None and task.test is not None
    model, test = task.model, task.test

    def init(trial: Any, key: jax.Array) -> Watched:
        run = task.init(trial, key)
        layers = model(trial, run).hidden
        return Watched(run, [jnp.zeros(layer.kernel.shape[-1], bool) for layer in layers])

    def step(trial: Any, carry: Watched, data: Any, key: jax.Array) -> tuple[Watched, dict[str, jax.Array]]:
        now = dead(model(trial, carry.run), data[0][0])
        keys = jax.random.split(key, stride)
        run = jax.lax.fori_loop(1, stride, lambda i, run: task.step(trial, run, data, keys[i])[0], carry.run)
        run, metrics = task.step(trial, run, data, keys[0])
        for i, (last, new) in enumerate(zip(carry.dead, now, strict=True), 1):
            looks = {"dead": new, "died": new & ~last, "revived": last & ~new}
            metrics |= {f"{name} {i}": jnp.mean(mask.astype(jnp.float32)) for name, mask in looks.items()}
        return Watched(run, now), metrics

    def evaluate(trial: Any, carry: Watched, data: Any) -> dict[str, jax.Array]:
        masks = dead(model(trial, carry.run), data[0][0])
        shares = {f"dead {i}": jnp.mean(mask.astype(jnp.float32)) for i, mask in enumerate(masks, 1)}
        return task.evaluate(trial, carry.run, data) | shares

    return task._replace(
        init=init,
        step=step,
        evaluate=evaluate,
        test=lambda trial, carry, data: test(trial, carry.run, data),
        model=lambda trial, carry: model(trial, carry.run),
    )


def total(results: sweeps.Results, setting: sweeps.Setting, metric: str) -> np.ndarray:
    """The sum of a metric over the steps of each run of a setting."""
    return np.array([np.nansum(results.curves[row][metric]) * results.facts["stride"] for row in setting.trials])
