"""What low precision does to training: final losses of small networks on real data, means over seeds."""

import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_lite import optimizers as opt
from jaxopt_lite.training._builtin import DATA

SIZES = (128, 128)
TASKS = ("digits", "mnist1d", "spirals")


def final_losses(steps: int, seeds: int) -> dict[str, dict[str, float]]:
    """Final training loss by task and rate, and by way of keeping parameters and state; infinite if it diverged."""
    ways: dict[str, tuple[Callable[[Any], Any], Any]] = {
        "float32": (lambda tx: tx, jnp.float32),
        "compress": (opt.compress, jnp.float32),
        "bfloat16 nearest": (lambda tx: tx, jnp.bfloat16),
        "stochastic_rounding": (opt.stochastic_rounding, jnp.bfloat16),
        "split_master": (opt.split_master, jnp.bfloat16),
    }
    out = {}
    for task in TASKS:
        x, y = map(jnp.asarray, DATA[task]()[0])
        for rate in (1e-3, 1e-4):
            out[f"{task}, {rate:g}"] = {
                way: _trained(wrap(opt.adam(rate)), dtype, x, y, steps, seeds) for way, (wrap, dtype) in ways.items()
            }
    return out


def _trained(tx: Any, dtype: Any, x: Any, y: Any, steps: int, seeds: int) -> float:
    sizes = (x.shape[1], *SIZES, int(y.max()) + 1)
    orders = np.stack([np.random.default_rng(s).integers(0, len(x), (steps, 64)) for s in range(seeds)])
    starts = jax.tree.map(lambda *p: jnp.stack(p), *[_start(s, sizes, dtype) for s in range(seeds)])

    def loss(params: Any, x: Any, y: Any) -> Any:
        for i, layer in enumerate(params):
            x = x @ layer["w"].astype(jnp.float32) + layer["b"].astype(jnp.float32)[None]
            x = jax.nn.relu(x) if i < len(params) - 1 else x
        return optax.softmax_cross_entropy_with_integer_labels(x, y).mean()

    def run(params: Any, order: Any) -> Any:
        def step(carry: Any, batch: Any) -> Any:
            params, state = carry
            grads = jax.grad(loss)(params, x[batch], y[batch])
            updates, state = tx.update(grads, state, params)
            return (opt.apply_updates(params, updates), state), None

        params, _ = jax.lax.scan(step, (params, tx.init(params)), order)[0]
        return loss(params, x, y)

    losses = jax.jit(lambda p, o: jax.lax.map(lambda now: run(*now), (p, o)))(starts, jnp.asarray(orders))
    return float(jnp.mean(losses))


def _start(seed: int, sizes: tuple[int, ...], dtype: Any) -> list[dict[str, jax.Array]]:
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=shape) * np.sqrt(2 / shape[0]) for shape in itertools.pairwise(sizes)]
    return [{"w": jnp.asarray(w, dtype), "b": jnp.zeros(w.shape[1], dtype)} for w in weights]
