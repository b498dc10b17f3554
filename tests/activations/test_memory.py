"""What is kept for the backward pass, and that keeping less changes no gradient."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import activations
from jaxopt_lite.activations import CATALOGUE, act_dense, gated_dense
from jaxopt_lite.bench._activation_memory import closure, dense_after, scan_slope
from jaxopt_lite.bench._activation_rivals import in_jax_nn

ROW = jax.ShapeDtypeStruct((1, 8), jnp.float32)
SAME_SHAPE = [
    name
    for name, row in CATALOGUE.items()
    if jax.eval_shape(partial(row.function, **row.settings), ROW).shape == (1, 8)
]
KEPT = {"nothing": 1.0, "mask": 1.25, "input": 2.0, "output": 2.0}  # arrays of float32, the layer's input included
LAYER = ((256, 256),), 512 * 256, 256


def call(name: str) -> partial:
    return partial(CATALOGUE[name].function, **CATALOGUE[name].settings)


@pytest.mark.parametrize("name", SAME_SHAPE)
def test_a_layer_keeps_what_its_row_says(name: str) -> None:
    kept = closure(dense_after(call(name)), *LAYER)
    if kept:  # a function without a gradient keeps nothing at all
        assert kept == pytest.approx(KEPT[CATALOGUE[name].keeps], abs=3e-3)  # a few numbers a row


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "tanh", "gelu", "mish", "softmax", "rational"])
def test_a_scanned_layer_keeps_what_its_row_says(name: str) -> None:
    assert scan_slope(dense_after(call(name)), *LAYER) == pytest.approx(KEPT[CATALOGUE[name].keeps], abs=1e-3)


def unrolled_slope(f: Callable[[jax.Array], jax.Array]) -> float:
    """Arrays for each further layer f(h @ w) of a network written as a Python loop, in compiled temporary memory."""

    def temporary(depth: int) -> int:
        def loss(weights: list[jax.Array], h: jax.Array) -> jax.Array:
            for w in weights:
                h = f(h @ w)
            return jnp.sum(h)

        weights = [jax.ShapeDtypeStruct((128, 128), jnp.float32)] * depth
        h = jax.ShapeDtypeStruct((256, 128), jnp.float32)
        return jax.jit(jax.grad(loss)).lower(weights, h).compile().memory_analysis().temp_size_in_bytes

    return (temporary(6) - temporary(2)) / 4 / (4 * 256 * 128)


@pytest.mark.parametrize("name", SAME_SHAPE)
def test_an_unrolled_layer_keeps_no_more_than_with_jax_nn(name: str) -> None:
    ours, rival = unrolled_slope(call(name)), in_jax_nn(name)
    if ours > 1.02:
        assert ours <= (unrolled_slope(rival) if rival else 2.0) + 0.02


@pytest.mark.parametrize("name", SAME_SHAPE)
def test_act_dense_keeps_the_pre_activation_alone(name: str) -> None:
    block = lambda z, w: act_dense(call(name), z, w)  # noqa: E731
    assert closure(block, *LAYER) <= 1.001


@pytest.mark.parametrize("name", ["relu", "tanh", "gelu", "mish", "silu"])
def test_act_dense_keeps_one_array_a_layer_in_a_scan(name: str) -> None:
    assert scan_slope(lambda z, w: act_dense(call(name), z, w), *LAYER) <= 1.001


@pytest.mark.parametrize("name", ["silu", "gelu", "relu", "sigmoid"])
def test_gated_blocks_keep_gate_and_up_and_their_input(name: str) -> None:
    def layer(h: jax.Array, w_gate: jax.Array, w_up: jax.Array, w: jax.Array) -> jax.Array:
        return gated_dense(call(name), h @ w_gate, h @ w_up, w)

    sizes = ((256, 1024), (256, 1024), (1024, 256)), 512 * 1024, 256
    assert scan_slope(layer, *sizes) <= 2.251
    assert closure(layer, *sizes) <= 2.251


@pytest.mark.parametrize("name", [n for n, row in CATALOGUE.items() if row.keeps == "mask" and n in SAME_SHAPE])
def test_masks_give_the_same_gradient_in_both_modes(name: str) -> None:
    f, rng = call(name), np.random.default_rng(1)

    def both(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        ones = jnp.ones_like(x)
        return jax.jvp(f, (x,), (ones,))[1], jax.vjp(f, x)[1](ones)[0]

    for shape in ((4, 512, 64), (3, 5)):
        np.testing.assert_array_equal(*jax.jit(both)(jnp.asarray(rng.normal(size=shape) * 3, jnp.float32)))


@pytest.mark.parametrize("name", SAME_SHAPE)
def test_blocks_have_the_gradients_of_the_plain_form(name: str) -> None:
    f, rng = call(name), np.random.default_rng(2)
    z, up = (jnp.asarray(3 * rng.normal(size=(16, 32)), jnp.float32) for _ in range(2))
    w, b, *cotangents = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((32, 24), (24,), (16, 24), (16, 24)))

    def lean(z: jax.Array, up: jax.Array, w: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
        return act_dense(f, z, w, b), gated_dense(f, z, up, w, b)

    def plain(z: jax.Array, up: jax.Array, w: jax.Array, b: jax.Array) -> tuple[jax.Array, jax.Array]:
        return f(z) @ w + b[None], (f(z) * up) @ w + b[None]

    @jax.jit
    def gradients(*a: jax.Array) -> list[tuple[jax.Array, ...]]:
        return [jax.vjp(form, *a)[1](tuple(cotangents)) for form in (lean, plain)]

    for a, c in zip(*gradients(z, up, w, b), strict=True):
        np.testing.assert_allclose(a, c, rtol=1e-5, atol=1e-4)  # sums of products in another order


@pytest.mark.parametrize("block", ["act_dense", "gated_dense"])
def test_blocks_repeat_no_matrix_product(block: str) -> None:
    z, w, b = jnp.ones((16, 32)), jnp.ones((32, 24)), jnp.ones(24)
    if block == "act_dense":
        lean, plain, arguments = (
            partial(act_dense, activations.gelu),
            lambda z, w, b: activations.gelu(z) @ w + b[None],
            (z,),
        )
    else:
        lean, plain = partial(gated_dense, activations.silu), lambda g, u, w, b: (activations.silu(g) * u) @ w + b[None]
        arguments = (z, z)
    arguments = (*arguments, w, b)
    dots = []
    for f in (lean, plain):
        gradient = jax.jit(jax.grad(lambda *a, f=f: jnp.sum(jnp.sin(f(*a))), tuple(range(len(arguments)))))
        dots.append(gradient.lower(*arguments).compile().as_text().count(" dot("))
    assert dots[0] == dots[1] >= 3
    np.testing.assert_array_equal(lean(*arguments[:-1]), lean(*arguments[:-1], None))


def test_blocks_take_bound_functions_and_differentiate_their_settings() -> None:
    z, w = jnp.asarray([[-1.0, 2.0]]), jnp.ones((2, 1))

    def loss(fn: activations.Bound) -> jax.Array:
        return act_dense(fn, z, w).sum()

    slope = jax.grad(loss)(activations.bind(activations.leaky_relu, negative_slope=0.1))
    np.testing.assert_allclose(slope.settings["negative_slope"], -1.0)


def test_shapes_that_do_not_fit_are_refused_with_a_cure() -> None:
    with pytest.raises(ValueError, match=r"act_dense: shapes \(2, 3\) @ \(4, 5\) \+ None do not fit; give w of shape"):
        act_dense(activations.relu, jnp.ones((2, 3)), jnp.ones((4, 5)))
    with pytest.raises(ValueError, match=r"gated_dense: gate has shape \(2, 3\) and up \(2, 4\)"):
        gated_dense(activations.relu, jnp.ones((2, 3)), jnp.ones((2, 4)), jnp.ones((3, 5)))
