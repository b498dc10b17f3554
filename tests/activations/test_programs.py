"""Every row in exported, sharded and accelerator programs, and on empty batches; one program has all rows."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import export
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from jaxopt_lite import activations as act
from jaxopt_lite.activations import CATALOGUE

WIDTH = 24


def call(name: str) -> partial:
    return partial(CATALOGUE[name].function, **CATALOGUE[name].settings)


def value_and_gradient(x: jax.Array, names: Iterable[str] = CATALOGUE) -> dict[str, tuple[jax.Array, jax.Array]]:
    """Value and gradient of each row: one program of all of them, whose instructions have the names of the rows."""

    def of_row(name: str) -> tuple[jax.Array, jax.Array]:
        y, back = jax.vjp(call(name), x)
        return y, back(jnp.cos(y))[0]

    found = {}
    for name in names:
        try:
            found[name] = of_row(name)
        except Exception as error:
            error.add_note(f"in the row {name}")
            raise
    return found


def equal(found: Any, expected: Any) -> None:
    for name in expected:
        for got, right in zip(found[name], expected[name], strict=True):
            np.testing.assert_allclose(got, right, rtol=1e-5, atol=1e-6, err_msg=name)


def test_value_and_gradient_export_with_a_symbolic_batch() -> None:
    (batch,) = export.symbolic_shape("b")
    program = export.export(jax.jit(value_and_gradient))(jax.ShapeDtypeStruct((batch, WIDTH), jnp.float32))
    x = jnp.linspace(-3.0, 3.0, 5 * WIDTH).reshape(5, WIDTH)
    equal(program.call(x), jax.jit(value_and_gradient)(x))


def test_value_and_gradient_lower_for_accelerators() -> None:
    platforms = ("cuda", "tpu")
    x = jax.ShapeDtypeStruct((4, WIDTH), jnp.bfloat16)
    assert export.export(jax.jit(value_and_gradient), platforms=platforms)(x).platforms == platforms


def mesh(kind: AxisType) -> Mesh:
    return Mesh(np.array(jax.devices()), ("d",), axis_types=(kind,))


def test_sharded_programs_move_no_data_and_take_any_width_of_a_shard() -> None:
    names = [name for name, row in CATALOGUE.items() if row.kind == "elementwise"]
    devices = len(jax.devices())
    assert devices > 1
    split = PartitionSpec(None, "d")
    x = jnp.linspace(-3.0, 3.0, 4 * 3 * devices).reshape(4, -1)
    automatic = jax.device_put(x, NamedSharding(mesh(AxisType.Auto), split))
    program = jax.jit(partial(value_and_gradient, names=names))
    compiled = program.lower(automatic).compile()
    words = ("all-gather", "all-to-all", "collective-permute", "all-reduce")
    assert not [line for line in compiled.as_text().splitlines() if any(word in line for word in words)]
    with jax.sharding.set_mesh(mesh(AxisType.Explicit)):
        found = program(jax.device_put(x, split))
        wrong = [name for name, pair in found.items() if {jax.typeof(y).sharding.spec for y in pair} != {split}]
    assert not wrong
    equal(found, compiled(automatic))


def test_an_empty_batch_gives_an_empty_result() -> None:
    single = jax.eval_shape(value_and_gradient, jax.ShapeDtypeStruct((1, WIDTH), jnp.float32))
    for name, (y, gradient) in jax.jit(value_and_gradient)(jnp.zeros((0, WIDTH))).items():
        assert y.shape == (0, *single[name][0].shape[1:]) and gradient.shape == (0, WIDTH), name


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
