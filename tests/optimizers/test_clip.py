"""Clipping and the norms it uses."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxopt_lite import optimizers as opt
from tests.optimizers.wrapper_cases import close, tree


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_norm_does_not_overflow(dtype: Any) -> None:
    large = jnp.full(100, jnp.finfo(dtype).max / 2, dtype)
    tx = opt.clip_by_global_norm(1.0)
    updates, _ = jax.jit(tx.update)(large, tx.init(large))
    np.testing.assert_allclose(np.asarray(updates, np.float32), 0.1, rtol=1e-2)
    small = jnp.asarray([3e-3, 4e-3], dtype)
    np.testing.assert_array_equal(tx.update(small, tx.init(small))[0], small)
    assert np.isinf(opt.global_norm({"a": jnp.array([jnp.inf], dtype)}))
    assert np.isnan(opt.global_norm({"a": jnp.array([jnp.nan], dtype)}))
    assert float(opt.global_norm({})) == 0


@pytest.mark.parametrize("name", ["clip", "clip_by_global_norm", "clip_by_block_rms"])
def test_clips_equal_optax(name: str) -> None:
    ours, theirs = getattr(opt, name)(0.5), getattr(optax, name)(0.5)
    grads = tree(5)
    close(ours.update(grads, ours.init(grads))[0], theirs.update(grads, theirs.init(grads))[0])


@pytest.mark.parametrize("size", [1e-35, 1e-21, 1.0, 1e21, 1e36])
def test_norms_of_all_sizes(size: float) -> None:
    values = jnp.asarray(np.random.default_rng(0).normal(size=100), jnp.float32)
    np.testing.assert_allclose(opt.global_norm(values * size) / size, np.linalg.norm(values), rtol=1e-5)
    for tx in (opt.clip_by_global_norm(size), opt.clip_by_block_rms(size / 10)):
        updates, _ = tx.update(values * size, tx.init(values))
        np.testing.assert_allclose(np.linalg.norm(updates / size), 1, rtol=1e-5)


@pytest.mark.parametrize("name", ["clip", "clip_by_global_norm", "clip_by_block_rms"])
def test_clips_do_not_branch(name: str) -> None:
    tx = getattr(opt, name)(1.0)
    text = str(jax.make_jaxpr(tx.update)(tree(0), tx.init(tree(0))))
    assert "cond" not in text and "while" not in text


@pytest.mark.parametrize("name", ["clip", "clip_by_global_norm", "clip_by_block_rms"])
def test_gradients_of_clips_are_finite_at_zero(name: str) -> None:
    def loss(bound: Any, grads: Any) -> Any:
        tx = opt.chain(getattr(opt, name)(bound), opt.sgd(0.1))
        return sum(jnp.sum(u) for u in jax.tree.leaves(tx.update(grads, tx.init(grads))[0]))

    zero = jax.tree.map(jnp.zeros_like, tree(0))
    slopes = jax.grad(loss, argnums=(0, 1))(1.0, zero)
    assert float(slopes[0]) == 0
    jax.tree.map(lambda x: np.testing.assert_allclose(x, -0.1, rtol=1e-6), slopes[1])
    assert np.isfinite(jax.grad(opt.global_norm)(jnp.zeros(3))).all()


def test_empty_leaves_have_no_norm() -> None:
    assert float(opt.global_norm({"a": jnp.zeros((0, 2)), "b": jnp.full(4, 2.0)})) == 4
