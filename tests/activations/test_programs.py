"""Every row in exported, sharded and accelerator programs, and on empty batches."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxopt_lite import activations as act
from jaxopt_lite.activations import CATALOGUE

ROWS = pytest.mark.parametrize("name", CATALOGUE)
WIDTH = 24


def call(name: str) -> partial:
    return partial(CATALOGUE[name].function, **CATALOGUE[name].settings)


def value_and_gradient(name: str):
    f = call(name)
    return jax.jit(lambda x: (f(x), jax.grad(lambda x: jnp.sum(jnp.sin(f(x))))(x)))


@ROWS
def test_value_and_gradient_export_with_a_symbolic_batch(name: str) -> None:
    (batch,) = export.symbolic_shape("b")
    program = export.export(value_and_gradient(name))(jax.ShapeDtypeStruct((batch, WIDTH), jnp.float32))
    x = jnp.linspace(-3.0, 3.0, 5 * WIDTH).reshape(5, WIDTH)
    for got, expected in zip(program.call(x), value_and_gradient(name)(x), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@ROWS
def test_value_and_gradient_lower_for_accelerators(name: str) -> None:
    platforms = ("cuda", "tpu")
    x = jax.ShapeDtypeStruct((4, WIDTH), jnp.bfloat16)
    assert export.export(value_and_gradient(name), platforms=platforms)(x).platforms == platforms


def mesh(kind: AxisType) -> Mesh:
    return Mesh(np.array(jax.devices()), ("d",), axis_types=(kind,))


@pytest.mark.parametrize("name", [n for n, row in CATALOGUE.items() if row.kind == "elementwise"])
def test_sharded_programs_move_no_data_and_take_any_width_of_a_shard(name: str) -> None:
    devices = len(jax.devices())
    assert devices > 1
    split = PartitionSpec(None, "d")
    x = jnp.linspace(-3.0, 3.0, 4 * 3 * devices).reshape(4, -1)
    automatic = jax.device_put(x, NamedSharding(mesh(AxisType.Auto), split))
    compiled = value_and_gradient(name).lower(automatic).compile()
    text = compiled.as_text()
    assert not any(word in text for word in ("all-gather", "all-to-all", "collective-permute", "all-reduce"))
    with jax.sharding.set_mesh(mesh(AxisType.Explicit)):
        y, gradient = value_and_gradient(name)(jax.device_put(x, split))
        assert jax.typeof(y).sharding.spec == jax.typeof(gradient).sharding.spec == split
    for got, expected in zip((y, gradient), compiled(automatic), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)


@ROWS
def test_an_empty_batch_gives_an_empty_result(name: str) -> None:
    y, gradient = value_and_gradient(name)(jnp.zeros((0, WIDTH)))
    one = jax.eval_shape(call(name), jax.ShapeDtypeStruct((1, WIDTH), jnp.float32))
    assert y.shape == (0, *one.shape[1:]) and gradient.shape == (0, WIDTH)


def test_softmax_takes_numpy_axes_single_numbers_and_empty_axes() -> None:
    x = jnp.arange(6.0).reshape(2, 3)
    for f in (act.softmax, act.log_softmax, act.sparsemax):
        np.testing.assert_array_equal(f(x, np.int64(0)), f(x, 0))
    assert float(act.softmax(3.0)) == 1.0 and float(act.log_softmax(jnp.asarray(3.0))) == 0.0
    assert act.softmax(jnp.zeros((3, 0))).shape == (3, 0)


@pytest.mark.parametrize("name", ["relu", "gelu", "leaky_relu", "glu", "softmax"])
def test_programs_name_the_function(name: str) -> None:
    f = call(name)
    assert f"name={name}" in str(jax.make_jaxpr(f)(jnp.ones((2, 4))))
    assert f"jit({name})" in jax.jit(lambda x: f(x)).lower(jnp.ones((2, 4))).compile().as_text()
