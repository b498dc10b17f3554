"""Signals and gradients of deep networks before training: what `shaped` promises, on a small scale."""

from functools import cache

import jax
import jax.numpy as jnp
import pytest

from jaxopt_lite import activations as act
from jaxopt_lite.activations import initializers, shaped

DEPTH, WIDTH = 50, 128
ORTHOGONAL = initializers.orthogonal()


def written_here(x):
    return jnp.log1p(x * x)


@cache
def drawn(init) -> jax.Array:
    return jax.lax.map(lambda key: init(key, (WIDTH, WIDTH)), jax.random.split(jax.random.key(0), DEPTH))


def start(f, init, skip: float = 0.0) -> tuple[float, float, float]:
    """Gradient after the first kernel divided by that after the last; rms and similarity of inputs after the last."""
    x, weights = (jax.random.normal(jax.random.key(seed), (32, WIDTH)) for seed in (1, 2))

    kernels = drawn(init)

    @jax.jit
    def run(x, shifts):
        def layer(h, of_layer):
            kernel, shift = of_layer
            return skip**0.5 * h + (1 - skip) ** 0.5 * f(h) @ kernel + shift, None

        return jax.lax.scan(layer, x, (kernels, shifts))[0]

    last, back = jax.vjp(run, x, jnp.zeros((DEPTH, 32, WIDTH)))
    rms = jnp.sqrt(jnp.mean(back(weights)[1] ** 2, axis=(1, 2)))
    rows = last / jnp.linalg.norm(last, axis=1, keepdims=True)
    similarity = (jnp.abs(rows @ rows.T).sum() - 32) / (32 * 31)
    return float(rms[0] / rms[-1]), float(jnp.sqrt(jnp.mean(last**2))), float(similarity)


@pytest.mark.parametrize("fn", [act.tanh, act.gelu, written_here], ids=lambda f: f.__name__)
def test_orthogonal(fn) -> None:
    ratio, signal, similarity = start(shaped(fn, DEPTH), ORTHOGONAL)
    assert 0.8 < ratio < 1.25 and 0.8 < signal < 1.25
    assert similarity < 0.35


def test_leaky_relu() -> None:
    ratio, signal, similarity = start(shaped(act.leaky_relu, DEPTH), ORTHOGONAL)
    assert 0.7 < ratio < 1.4 and 0.7 < signal < 1.4
    assert 0.8 < similarity < 0.95


def test_normal_weights_and_flax_defaults() -> None:
    for init in (initializers.normal(), jax.nn.initializers.lecun_normal()):
        ratio, signal, similarity = start(shaped(act.silu, DEPTH), init)
        assert 0.7 < ratio < 1.5 and 0.7 < signal < 1.5 and similarity < 0.6


def test_dks_multiplies_gradients_by_the_root_of_its_constant() -> None:
    ratio, _, similarity = start(shaped(act.tanh, DEPTH, "dks"), ORTHOGONAL)
    assert ratio == pytest.approx(1.5**0.5, rel=0.1)
    assert similarity < 0.12  # 0.07 for independent inputs


def test_residual_networks_count_the_share_of_the_branch() -> None:
    ratio, signal, similarity = start(shaped(act.tanh, 0.4 * DEPTH), ORTHOGONAL, skip=0.6)
    assert 0.8 < ratio < 1.25 and 0.8 < signal < 1.25
    assert similarity < 0.35  # 0.13 for infinite width, as in a plain network of the depth shaped for; 0.18 for 512


def test_without_shaping_gradients_vanish_and_inputs_look_alike() -> None:
    assert start(act.relu, jax.nn.initializers.lecun_normal())[0] < 1e-5
    assert start(act.relu, initializers.normal(act.gain(act.relu)))[2] > 0.9
