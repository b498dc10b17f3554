"""ActDense and GatedDense: equal to the dense layer after an activation for every keyword, and lean in memory."""

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from flax import nnx

from jaxopt_lite import activations as act
from jaxopt_lite import flax as layers
from jaxopt_lite.flax import linen

X = jnp.asarray(np.random.default_rng(0).normal(size=(5, 6)), jnp.float32)
UP = X[::-1]


def shifted(*args: Any, **options: Any) -> jax.Array:
    return jax.lax.dot_general(*args, **options) + 1.0


def to_half(arrays: Any, dtype: Any = None) -> Any:
    return tuple(None if a is None else a.astype(jnp.bfloat16) for a in arrays)


def each_to_half(*arrays: Any, dtype: Any = None) -> Any:
    return to_half(arrays)


COMMON: dict[str, Any] = {
    "use_bias": False,
    "dtype": jnp.bfloat16,
    "param_dtype": jnp.float16,
    "precision": jax.lax.Precision.HIGHEST,
    "kernel_init": nnx.initializers.ones_init(),
    "bias_init": nnx.initializers.ones_init(),
    "dot_general": shifted,
}
NNX = {**COMMON, "promote_dtype": to_half}
if "preferred_element_type" in inspect.signature(nnx.Linear.__init__).parameters:  # Flax 0.12
    NNX |= {"preferred_element_type": jnp.float16, "kernel_metadata": {"note": 1}, "bias_metadata": {"note": 1}}
LINEN = {**COMMON, "promote_dtype": each_to_half, "dot_general_cls": lambda: shifted}


def program(f: Callable[..., Any], *args: Any) -> tuple[Any, str]:
    return f(*args), str(jax.make_jaxpr(f)(*args))


def test_every_keyword_is_tested() -> None:
    theirs = set(inspect.signature(nnx.Linear.__init__).parameters) - {"self", "in_features", "out_features", "rngs"}
    assert theirs == set(NNX)
    assert theirs <= set(inspect.signature(layers.ActDense).parameters)
    theirs = set(inspect.signature(nn.Dense).parameters) - {"features", "parent", "name"}
    assert theirs == set(LINEN)
    assert theirs <= set(inspect.signature(linen.GatedDense).parameters)


@pytest.mark.parametrize("option", NNX)
def test_nnx_keywords_have_the_effect_they_have_in_linear(option: str) -> None:
    given = {option: NNX[option]}
    plain = nnx.Linear(6, 4, rngs=nnx.Rngs(0), **given)
    lean = layers.ActDense(6, 4, act.gelu, rngs=nnx.Rngs(0), **given)
    gated = layers.GatedDense(6, 4, act.silu, rngs=nnx.Rngs(0), **given)
    for result, expected in ((lean(X), plain(act.gelu(X))), (gated(X, UP), plain(act.silu(X) * UP))):
        assert result.dtype == expected.dtype
        np.testing.assert_allclose(np.float32(result), np.float32(expected), rtol=1e-5, atol=1e-6)
    if "metadata" in option:
        assert getattr(lean, option.split("_")[0]).get_metadata()["note"] == 1
    else:
        default = layers.ActDense(6, 4, act.gelu, rngs=nnx.Rngs(0))
        (result, jaxpr), (other, default_jaxpr) = program(lean, X), program(default, X)
        assert jaxpr != default_jaxpr or np.any(result != other)


@pytest.mark.parametrize("option", LINEN)
def test_linen_keywords_have_the_effect_they_have_in_dense(option: str) -> None:
    given = {option: LINEN[option]}
    plain, lean, gated = (
        nn.Dense(4, **given),
        linen.ActDense(4, act.gelu, **given),
        linen.GatedDense(4, act.silu, **given),
    )
    variables = plain.init(jax.random.key(1), X)
    assert jax.tree.all(jax.tree.map(lambda a, b: np.array_equal(a, b), variables, lean.init(jax.random.key(1), X)))
    assert jax.tree.all(
        jax.tree.map(lambda a, b: np.array_equal(a, b), variables, gated.init(jax.random.key(1), X, UP))
    )
    pairs = (
        (lean.apply(variables, X), plain.apply(variables, act.gelu(X))),
        (gated.apply(variables, X, UP), plain.apply(variables, act.silu(X) * UP)),
    )
    for result, expected in pairs:
        assert result.dtype == expected.dtype
        np.testing.assert_allclose(np.float32(result), np.float32(expected), rtol=1e-5, atol=1e-6)
    default = linen.ActDense(4, act.gelu)
    theirs = default.init(jax.random.key(1), X)
    (result, jaxpr), (other, default_jaxpr) = program(lean.apply, variables, X), program(default.apply, theirs, X)
    assert jaxpr != default_jaxpr or np.any(result != other)


@pytest.mark.parametrize("gated", [False, True])
def test_only_the_inputs_are_kept(gated: bool) -> None:
    sizes = (512, 256)
    inputs = [jnp.ones(sizes)] * (1 + gated)
    nnx_layer = (layers.GatedDense if gated else layers.ActDense)(256, 64, act.gelu, rngs=nnx.Rngs(0))
    linen_layer = (linen.GatedDense if gated else linen.ActDense)(64, act.gelu)
    variables = linen_layer.init(jax.random.key(0), *inputs)
    for call in (nnx_layer, lambda *inputs: linen_layer.apply(variables, *inputs)):
        _, backward = jax.vjp(call, *inputs)
        kept = {id(leaf): leaf for leaf in jax.tree.leaves(backward) if jnp.shape(leaf) == sizes}
        assert len(kept) <= len(inputs)


@pytest.mark.parametrize("form", ["act_dense", "gated_dense", "nnx", "nnx gated", "linen", "linen gated"])
def test_the_recomputation_is_not_merged_outside_a_scan(form: str) -> None:
    """A barrier separates it from the forward pass; XLA:CPU ignores barriers, XLA for accelerators does not."""
    inputs = (X, X) if "gated" in form else (X,)
    w = jnp.ones((6, 6))
    calls: dict[str, Callable[..., jax.Array]] = {
        "act_dense": lambda z: act.act_dense(act.gelu, z, w),
        "gated_dense": lambda gate, up: act.gated_dense(act.silu, gate, up, w),
        "nnx": layers.ActDense(6, 6, layers.PReLU(), rngs=nnx.Rngs(0)),
        "nnx gated": layers.GatedDense(6, 6, act.silu, rngs=nnx.Rngs(0)),
    }
    if form.startswith("linen"):
        layer = (linen.GatedDense if "gated" in form else linen.ActDense)(6, act.gelu)
        variables = layer.init(jax.random.key(0), *inputs)
        calls[form] = lambda *inputs: layer.apply(variables, *inputs)
    gradient = jax.grad(lambda *inputs: jnp.sum(jnp.sin(calls[form](*inputs))))
    assert "optimization_barrier" in jax.jit(gradient).lower(*inputs).as_text()


class Dropped(nnx.Module):
    def __init__(self, rngs: nnx.Rngs) -> None:
        self.slope, self.dropout = layers.PReLU(), nnx.Dropout(0.5, rngs=rngs)

    def __call__(self, x: jax.Array) -> jax.Array:
        return self.dropout(self.slope(x))


def test_nnx_dropout_inside_the_block() -> None:
    plain, fn = nnx.Linear(6, 4, rngs=nnx.Rngs(0)), Dropped(nnx.Rngs(dropout=1))
    lean = layers.ActDense(6, 4, Dropped(nnx.Rngs(dropout=1)), rngs=nnx.Rngs(0))
    for _ in range(2):  # the second call draws another mask
        expected = plain(fn(X))
        np.testing.assert_allclose(lean(X), expected, rtol=1e-5, atol=1e-6)
    assert np.any(plain(fn(X)) != expected)
    gradient = nnx.jit(nnx.grad(lambda m: jnp.sum(m(X) ** 2)))(lean)
    assert float(jnp.abs(gradient["fn"]["slope"]["negative_slope"][...])) > 0


def test_linen_modules_inside_the_block() -> None:
    fn = nn.Sequential([linen.PReLU(), nn.Dropout(0.5, deterministic=False)])
    lean, keys = linen.ActDense(4, fn), {"params": jax.random.key(0), "dropout": jax.random.key(1)}
    variables = lean.init(keys, X)
    assert set(variables["params"]) == {"kernel", "bias", "fn"}
    gradient = jax.grad(lambda v: jnp.sum(lean.apply(v, X, rngs=keys) ** 2))(variables)
    assert all(float(jnp.abs(g).max()) > 0 for g in jax.tree.leaves(gradient))
    masks = [lean.apply(variables, X, rngs={"dropout": jax.random.key(k)}) for k in range(2)]
    assert np.any(masks[0] != masks[1])


def test_an_activation_bound_to_an_array() -> None:
    slope = jnp.linspace(0.1, 0.6, 6)
    bound = act.bind(act.leaky_relu, negative_slope=slope)
    lean = layers.ActDense(6, 4, bound, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(lean(X), nnx.Linear(6, 4, rngs=nnx.Rngs(0))(bound(X)), rtol=1e-5, atol=1e-6)
    jitted = nnx.jit(lambda m: m(X))(lean)
    np.testing.assert_allclose(jitted, lean(X), rtol=1e-5, atol=1e-6)
    gradient = nnx.grad(lambda m: jnp.sum(m(X) ** 2))(lean)
    assert set(gradient) == {"kernel", "bias"}


def test_wrong_activations_and_shapes() -> None:
    with pytest.raises(TypeError, match=r"ActDense: the activation 'gelu' is not callable; .*activations.gelu"):
        layers.ActDense(6, 4, "gelu", rngs=nnx.Rngs(0))
    with pytest.raises(TypeError, match="the activation 3 is not callable"):
        linen.GatedDense(4, 3).init(jax.random.key(0), X, X)
    for call in (
        lambda: layers.GatedDense(6, 4, act.silu, rngs=nnx.Rngs(0))(X, X[:2]),
        lambda: linen.GatedDense(4, act.silu).init(jax.random.key(0), X, X[:2]),
    ):
        with pytest.raises(ValueError, match=r"gate has shape \(5, 6\) and up \(2, 6\)"):
            call()
