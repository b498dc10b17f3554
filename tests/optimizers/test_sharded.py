"""Optimizers of sharded models: shardings of their states, and what an update sends between devices.

There are as many devices as the process has: 2 by default, 8 with TEST_LAYOUT=accelerator.
"""

from collections import Counter
from typing import Any

import jax
import jax.numpy as jnp
import optax
import pytest
from flax import nnx
from jax.sharding import AxisType, NamedSharding
from jax.sharding import PartitionSpec as P

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from tests.collectives import moved
from tests.optimizers.optimizer_cases import CASES
from tests.optimizers.wrapper_cases import TRANSFORMS, close

WIDTH, HEADS, LENGTH, WORDS, BATCH = 16, 2, 8, 32, 8
SCALAR = 4  # bytes


class Transformer(nnx.Module):
    """Next-word prediction with one layer of attention."""

    def __init__(self, rngs: nnx.Rngs) -> None:
        self.embed = nnx.Embed(WORDS, WIDTH, rngs=rngs)
        self.norm = nnx.LayerNorm(WIDTH, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(HEADS, WIDTH, decode=False, rngs=rngs)
        self.up = nnx.Linear(WIDTH, 4 * WIDTH, rngs=rngs)
        self.down = nnx.Linear(4 * WIDTH, WIDTH, rngs=rngs)
        self.out = nnx.Linear(WIDTH, WORDS, rngs=rngs)

    def __call__(self, words: Any) -> Any:
        x = self.embed(words)
        x = x + self.attention(self.norm(x), mask=nnx.make_causal_mask(words))
        return self.out(x + self.down(act.gelu(self.up(x))))


def mesh() -> Any:
    """Two axes, of which the first splits batches and both split weights."""
    devices = len(jax.devices())
    assert devices % 2 == 0
    return jax.make_mesh((2, devices // 2), ("data", "model"), axis_types=(AxisType.Auto,) * 2)


def spread(tree: Any, devices: Any) -> Any:
    """Weights are split along their first and last axis, vectors along the one that they have."""

    def placed(x: Any) -> Any:
        inner = (None,) * (x.ndim - 2)
        return jax.device_put(x, NamedSharding(devices, P("data", *inner, "model") if x.ndim > 1 else P("data")))

    return jax.tree.map(placed, tree)


def shardings(tree: Any, devices: Any) -> Any:
    """Those of arrays that are spread; on all devices the others, as counts and settings."""
    everywhere = NamedSharding(devices, P())
    return jax.tree.map(lambda x: x.sharding if isinstance(x.sharding, NamedSharding) else everywhere, tree)


def same_shardings(a: Any, b: Any) -> bool:
    pairs = zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    return all(x.shape == y.shape and x.sharding.is_equivalent_to(y.sharding, x.ndim) for x, y in pairs)


def transformer() -> tuple[Any, Any]:
    """Its weights on one device, and the gradient of its loss."""
    graph, weights = nnx.split(Transformer(nnx.Rngs(0)), nnx.Param)

    def loss(weights: Any, words: Any) -> Any:
        logits = nnx.merge(graph, weights)(words[:, :-1])
        return optax.softmax_cross_entropy_with_integer_labels(logits, words[:, 1:]).mean()

    return nnx.to_pure_dict(weights), jax.grad(loss)


@pytest.mark.parametrize("clip", [False, True], ids=["adamw", "clipped"])
def test_a_step_of_a_sharded_transformer_moves_no_more_than_its_gradient(clip: bool) -> None:
    """With clipping some numbers more for each parameter: its part of the norm, summed over each axis of the mesh."""
    adamw = opt.adamw(1e-2, eps=1e-3)  # the gradient of a key's bias is 0, and its rounding errors should not count
    tx = opt.chain(opt.clip_by_global_norm(1.0), adamw) if clip else adamw
    alone, gradient = transformer()
    words = jax.random.randint(jax.random.key(0), (BATCH, LENGTH + 1), 0, WORDS)
    devices = mesh()
    weights = spread(alone, devices)
    batch = jax.device_put(words, NamedSharding(devices, P("data")))
    state = tx.init(weights)

    def step(weights: Any, state: Any, words: Any) -> Any:
        updates, state = tx.update(gradient(weights, words), state, weights)
        return jax.tree.map(jnp.add, weights, updates), state

    placed = shardings(weights, devices)
    only = jax.jit(gradient, out_shardings=placed).lower(weights, batch).compile()
    whole = jax.jit(step, out_shardings=(placed, shardings(state, devices))).lower(weights, state, batch).compile()
    more = Counter(moved(whole))
    more.subtract(moved(only))
    assert moved(only)
    assert {name: bytes_ for name, bytes_ in more.items() if bytes_ and name != "all-reduce"} == {}
    assert 0 <= more["all-reduce"] <= (4 * SCALAR * len(jax.tree.leaves(weights)) if clip else 0)
    assert bool(more["all-reduce"]) is clip
    new, _ = whole(weights, state, batch)
    expected, _ = jax.jit(step)(alone, tx.init(alone), words)
    close(new, expected, rtol=1e-4, atol=1e-5)
    assert same_shardings(new, weights)


def tree(devices: Any) -> dict[str, Any]:
    count = 4 * len(jax.devices())
    return spread({"b": jnp.cos(jnp.arange(count)), "w": jnp.sin(jnp.arange(count * 8.0)).reshape(count, 8)}, devices)


def test_states_have_the_shardings_of_the_parameters_and_updates_move_nothing() -> None:
    """One program with every optimizer of the table; nothing tells XLA the shardings of its results."""
    params = tree(mesh())
    transforms = {name: case() for name, case in CASES.items()}
    states = {name: tx.init(params) for name, tx in transforms.items()}
    for name, state in states.items():
        for moments in state.moments.values():
            assert same_shardings(moments, params), name

    def update(grads: Any, states: Any, params: Any) -> Any:
        return {name: tx.update(grads, states[name], params) for name, tx in transforms.items()}

    program = jax.jit(update).lower(params, states, params).compile()
    assert not moved(program)
    for name, (updates, state) in program(params, states, params).items():
        assert same_shardings(updates, params) and same_shardings(state.moments, states[name].moments), name


MATRICES = {"lamb": opt.lift(optax.lamb)(0.1), "muon": opt.lift(optax.contrib.muon)(0.1)}
# These need numbers of whole parameters: norms, the largest entry of a block, whether all is finite.
NORMS = {"accumulate", "clip_by_block_rms", "clip_by_global_norm", "compress", "guard", "lamb"}


@pytest.mark.parametrize("name", [*TRANSFORMS, *MATRICES])
def test_what_other_transforms_move(name: str) -> None:
    params = tree(mesh())
    tx = (TRANSFORMS | MATRICES)[name]
    found = moved(jax.jit(tx.update).lower(params, tx.init(params), params).compile())
    if name == "muon":  # products of whole matrices
        assert found["all-gather"] >= params["w"].nbytes
    elif name in NORMS:
        assert set(found) == {"all-reduce"}
        assert found["all-reduce"] <= 8 * SCALAR * len(params)
    else:
        assert not found
