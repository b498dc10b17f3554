"""Convolutions in the form for CPUs: equal to XLA's in every setting, wherever they stand in a program, and fast."""

import functools
import re
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

from jaxopt_lite import optimizers, sweeps, training
from jaxopt_lite.sweeps.programs import _trace, _width
from jaxopt_lite.sweeps.programs._convolutions import for_cpu, has_convolutions
from jaxopt_lite.training._run import keys
from tests.sweeps import small

NHWC = ("NHWC", "HWIO", "NHWC")


@pytest.fixture
def x64():
    before = jax.config.jax_enable_x64
    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", before)


def case(image, kernel, **settings):
    """Shapes and parameters of one convolution."""
    settings = {"window_strides": (1,) * (len(image) - 2), "padding": "SAME"} | settings
    return image, kernel, settings


CASES = {
    "1-D": case((2, 3, 9), (4, 3, 3)),
    "2-D": case((2, 3, 5, 6), (4, 3, 3, 2)),
    "2-D, channels last": case((2, 5, 6, 3), (3, 2, 3, 4), dimension_numbers=NHWC),
    "3-D": case((2, 3, 4, 5, 6), (4, 3, 2, 3, 2)),
    "mixed layouts": case((5, 2, 6, 3), (4, 3, 2, 3), dimension_numbers=("HNWC", "OHWI", "CWNH")),
    "1 by 1": case((2, 5, 6, 3), (1, 1, 3, 4), dimension_numbers=NHWC),
    "kernel as large as the image": case((2, 3, 5, 6), (4, 3, 5, 6), padding="VALID"),
    "strides": case((2, 3, 7, 9), (4, 3, 3, 3), window_strides=(2, 3)),
    "a stride above the kernel": case((2, 3, 11, 9), (4, 3, 2, 2), window_strides=(3, 4), padding="VALID"),
    "patches": case((2, 3, 8, 8), (5, 3, 4, 4), window_strides=(4, 4), padding="VALID"),
    "asymmetric padding": case((2, 3, 5, 6), (4, 3, 3, 2), padding=((0, 3), (2, 1))),
    "negative padding": case((2, 3, 8, 9), (4, 3, 3, 2), padding=((-1, 2), (3, -2)), window_strides=(2, 1)),
    "dilated image": case((2, 3, 4, 5), (4, 3, 3, 4), padding=((2, 1), (1, -1)), lhs_dilation=(2, 3)),
    "dilated kernel": case((2, 3, 9, 9), (4, 3, 3, 2), rhs_dilation=(2, 3)),
    "both dilated": case(
        (2, 3, 5, 5), (4, 3, 3, 2), padding=((1, 3), (4, 4)), lhs_dilation=(2, 4), rhs_dilation=(3, 2)
    ),
    "a dilated image of few outputs": case((2, 3, 2, 3), (4, 3, 4, 4), padding=((0, 2), (1, 0)), lhs_dilation=(4, 2)),
    "dilated and strided": case(
        (2, 3, 5, 5), (4, 3, 3, 2), padding=((1, 2), (3, 3)), lhs_dilation=(2, 3), window_strides=(3, 1)
    ),
    "groups of features": case((2, 6, 5, 6), (9, 2, 3, 2), feature_group_count=3),
    "groups of the batch": case((6, 2, 5, 6), (9, 2, 3, 2), batch_group_count=3),
    "depthwise": case((2, 6, 7, 5), (6, 1, 3, 3), feature_group_count=6),
    "depthwise, strided, twice the features": case(
        (2, 7, 5, 4), (3, 3, 1, 8), feature_group_count=4, window_strides=(2, 1), dimension_numbers=NHWC
    ),
    "depthwise, kernel as large as the image": case((2, 4, 5, 6), (4, 1, 5, 6), feature_group_count=4, padding="VALID"),
    "one example a group": case((3, 2, 5, 6), (6, 2, 5, 5), batch_group_count=3, padding="VALID"),
    "many positions": case((2, 3, 200), (2, 3, 150), padding=((80, 70),), window_strides=(1,), rhs_dilation=(1,)),
    "many positions, strided": case((2, 3, 13, 30), (2, 3, 12, 12), padding=((12, 11), (3, 3)), window_strides=(1, 2)),
    "no outputs": case((2, 3, 4, 5), (4, 3, 6, 2), padding="VALID"),
    "no examples": case((0, 3, 5, 6), (4, 3, 3, 2)),
    "no features": case((2, 0, 5, 6), (4, 0, 3, 2)),
}


def random_case(seed):
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(1, 4))
    draw = lambda low, high: tuple(int(n) for n in rng.integers(low, high, rank))  # noqa: E731
    kind, groups = int(rng.integers(3)), int(rng.integers(2, 4))
    settings = {("feature_group_count", "batch_group_count")[kind]: groups} if kind < 2 else {}
    batch, features = int(rng.integers(1, 3)), int(rng.integers(1, 3))
    image = (batch * (groups if kind == 1 else 1), features * (groups if kind == 0 else 1), *draw(3, 7))
    kernel = (groups * int(rng.integers(1, 3)), features, *draw(1, 4))
    padding = tuple(zip(draw(-1, 4), draw(-1, 4), strict=True))
    settings |= {"padding": padding, "window_strides": draw(1, 4)}
    return case(image, kernel, lhs_dilation=draw(1, 4), rhs_dilation=draw(1, 3), **settings)


def with_gradients(convolve):
    """A function that returns the convolution and both gradients of a weighted sum of it."""

    def both(x, w):
        out, pullback = jax.vjp(convolve, x, w)
        return out, pullback(jnp.cos(jnp.arange(out.size).reshape(out.shape)).astype(out.dtype))

    return both


def compare(both, x, w, tolerance):
    """The function as it is against the form for CPUs."""
    expected, found = jax.jit(both)(x, w), jax.jit(for_cpu(both))(x, w)
    for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
        assert (a.shape, a.dtype) == (b.shape, b.dtype)
        scale = max(1.0, float(np.max(np.abs(np.asarray(a, np.float64)), initial=0)))
        np.testing.assert_allclose(
            np.asarray(b, np.float64), np.asarray(a, np.float64), rtol=tolerance, atol=tolerance * scale
        )


def orders(function, *arguments):
    """The orders of axes of the convolutions in a function's program."""
    text = jax.jit(function).lower(*arguments).as_text()
    return re.findall(r"dim_numbers = (\S+)x(\S+)->(\S+),", text)


@pytest.mark.parametrize("image, kernel, settings", [*CASES.values(), *map(random_case, range(12))])
def test_convolutions_and_their_gradients_are_equal(x64, rng, image, kernel, settings):
    x, w = jnp.asarray(rng.normal(size=image)), jnp.asarray(rng.normal(size=kernel))
    function = with_gradients(partial(jax.lax.conv_general_dilated, **settings))
    compare(function, x, w, 1e-12)
    rank = x.ndim - 2
    space = [str(i) for i in range(rank)]
    fast = tuple(f"[{', '.join(axes)}]" for axes in (["b", *space, "f"], [*space, "i", "o"], ["b", *space, "f"]))
    assert set(orders(for_cpu(function), x, w)) <= {fast}


@pytest.mark.parametrize("dtype, tolerance", [("float32", 1e-5), ("bfloat16", 1e-2), ("float16", 2e-3)])
@pytest.mark.parametrize("name", ["2-D, channels last", "depthwise", "dilated image", "groups of features"])
def test_dtypes(rng, name, dtype, tolerance):
    image, kernel, settings = CASES[name]
    x, w = (jnp.asarray(rng.normal(size=shape), dtype) for shape in (image, kernel))
    compare(with_gradients(partial(jax.lax.conv_general_dilated, **settings)), x, w, tolerance)


def test_products_in_half_precision_are_summed_in_float32(rng):
    """Against float64: sums in bfloat16 stop at 256."""
    x = jnp.asarray(rng.uniform(1, 2, (1, 1, 4096)), jnp.bfloat16)
    convolve = partial(jax.lax.conv_general_dilated, window_strides=(1,), padding="VALID")
    found = jax.jit(for_cpu(convolve))(x, jnp.ones((1, 1, 4096), jnp.bfloat16))
    assert found.dtype == jnp.bfloat16
    assert float(found[0, 0, 0]) == pytest.approx(np.asarray(x, np.float64).sum(), rel=2**-8)


def test_other_types_of_results(rng):
    x, w = rng.integers(-100, 100, (2, 3, 9, 9)), rng.integers(-100, 100, (4, 3, 3, 3))
    convolve = partial(jax.lax.conv_general_dilated, window_strides=(1, 1), padding="SAME")
    widened = partial(convolve, preferred_element_type=jnp.int32)
    compare(widened, jnp.asarray(x, jnp.int8), jnp.asarray(w, jnp.int8), 0)
    widened = partial(convolve, preferred_element_type=jnp.float32, precision="highest")
    compare(widened, jnp.asarray(x / 100, jnp.bfloat16), jnp.asarray(w / 100, jnp.bfloat16), 1e-5)


def convolve(x, w):
    return jax.lax.conv_general_dilated(x, w, (1, 1), "SAME", dimension_numbers=NHWC)


def squared(x, w):
    return jnp.sum(convolve(x, w) ** 2)


@jax.custom_vjp
def custom(x, w):
    return convolve(x, w)


custom.defvjp(lambda x, w: (convolve(x, w), (x, w)), lambda kept, g: (convolve(g, kept[1]), kept[1] * jnp.sum(g)))


@jax.custom_jvp
def custom_forward(x, w):
    return convolve(x, w)


custom_forward.defjvp(lambda values, tangents: (convolve(*values), convolve(tangents[0], values[1])))

PLACES = {
    "jit": jax.jit(convolve),
    "scan": lambda x, w: jax.lax.scan(lambda c, s: (convolve(c, w) * s, jnp.sum(c)), x, jnp.arange(3.0)),
    "fori_loop": lambda x, w: jax.lax.fori_loop(0, 3, lambda i, c: convolve(c, w), x),
    "while": lambda x, w: jax.lax.while_loop(lambda c: jnp.sum(convolve(c, w)) < 9.0, lambda c: convolve(c, w) + 1, x),
    "cond": lambda x, w: jax.lax.cond(x[0, 0, 0, 0] > 0, convolve, lambda x, w: -convolve(x, w) * 2, x, w),
    "switch": lambda x, w: jax.lax.switch(2, [convolve, lambda x, w: x, lambda x, w: x + convolve(x, w)], x, w),
    "remat": jax.checkpoint(convolve),
    "custom_vjp": custom,
    "custom_jvp": custom_forward,
    "gradient": jax.grad(squared, (0, 1)),
    "gradient of remat": jax.grad(jax.checkpoint(squared), (0, 1)),
    "gradient of scan": jax.grad(
        lambda x, w: jnp.sum(jax.lax.scan(lambda c, _: (convolve(c, w), None), x, length=3)[0]), (0, 1)
    ),
    "gradient of custom_vjp": jax.grad(lambda x, w: jnp.sum(custom(x, w) ** 2), (0, 1)),
    "gradient of custom_jvp": jax.grad(lambda x, w: jnp.sum(custom_forward(x, w) ** 2)),
    "map": lambda x, w: jax.lax.map(lambda one: convolve(one[None], w)[0], x),
    "vmap over kernels": lambda x, w: jax.vmap(convolve, (None, 0))(x, jnp.stack([w, 2 * w])),
    "all in one": lambda x, w: jax.lax.scan(
        lambda c, _: (jax.lax.cond(jnp.sum(c) > 0, jax.jit(jax.checkpoint(custom)), jax.jit(convolve), c, w), c),
        x,
        length=2,
    ),
}


@pytest.mark.parametrize("function", PLACES.values(), ids=PLACES)
def test_convolutions_inside_other_operations(rng, function):
    x, w = (jnp.asarray(rng.normal(size=s) / 3, jnp.float32) for s in ((2, 4, 5, 3), (3, 3, 3, 3)))
    compare(function, x, w, 1e-5)
    in_loop = jax.jit(lambda x, w: jax.lax.map(lambda _: for_cpu(function)(x, w), jnp.arange(2)))
    batched = jax.jit(jax.vmap(for_cpu(function)))
    for a, b, c in zip(
        jax.tree.leaves(function(x, w)),
        jax.tree.leaves(in_loop(x, w)),
        jax.tree.leaves(batched(jnp.stack([x, x / 2]), jnp.stack([w, w]))),
        strict=True,
    ):
        np.testing.assert_allclose(b[1], a, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(c[0], a, rtol=1e-5, atol=1e-4)


def test_keys_weak_types_constants_and_effects_survive(rng, capfd):
    x, w = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((2, 4, 5, 3), (3, 3, 3, 3)))
    captured, seen = jnp.asarray(rng.normal(size=x.shape), jnp.float32), []

    def function(key, x, scale, tree):
        key, drawn = jax.random.split(key)
        jax.debug.callback(seen.append, scale)
        out = convolve(x + captured, tree["w"]) * scale * jax.random.bernoulli(drawn, 0.5, x.shape)
        return {"key": key, "out": (out, scale), "none": tree["none"], "constant": 2.5}

    arguments = (jax.random.key(3), x, 1.5, {"w": w, "none": None})
    expected, found = jax.jit(function)(*arguments), jax.jit(for_cpu(function))(*arguments)
    jax.effects_barrier()
    assert seen == [1.5, 1.5]
    assert jax.tree.structure(expected) == jax.tree.structure(found)
    assert jax.random.key_data(expected["key"]).tolist() == jax.random.key_data(found["key"]).tolist()
    assert [jnp.asarray(a).aval for a in jax.tree.leaves(expected)] == [a.aval for a in jax.tree.leaves(found)]
    assert found["out"][1].weak_type
    np.testing.assert_allclose(found["out"][0], expected["out"][0], rtol=1e-5, atol=1e-5)


def test_a_jitted_function_that_is_called_twice_stays_one_function(rng):
    inner = jax.jit(lambda x, w: jnp.tanh(convolve(x, w)))
    x, w = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((2, 4, 5, 3), (3, 3, 3, 3)))
    text = jax.jit(for_cpu(lambda x, w: inner(inner(x, w), w))).lower(x, w).as_text()
    assert text.count("stablehlo.tanh") == 1
    assert text.count("stablehlo.convolution") == 1


def test_a_function_without_convolutions_is_called_as_it_is():
    called = []

    def function(x):
        called.append(type(x))
        return x @ x

    assert for_cpu(function)(np.ones((2, 2))).tolist() == [[2, 2], [2, 2]]
    assert called[-1] is np.ndarray


POOLS = {
    "2 by 2": ((1, 2, 2, 1), (1, 2, 2, 1), "VALID"),
    "rows that remain": ((1, 3, 2, 1), (1, 3, 2, 1), "VALID"),
    "padded": ((1, 2, 3, 1), (1, 2, 3, 1), "SAME"),
    "overlapping": ((1, 3, 3, 1), (1, 2, 2, 1), "SAME"),
    "apart": ((1, 2, 1, 2), (1, 3, 2, 2), "VALID"),
    "too large": ((1, 9, 8, 1), (1, 1, 1, 1), "VALID"),
    "no outputs": ((1, 12, 1, 1), (1, 1, 1, 1), "VALID"),
}


@pytest.mark.parametrize("dimensions, strides, padding", POOLS.values(), ids=POOLS)
@pytest.mark.parametrize("lowest", [False, True])
def test_gradients_of_pools_are_equal_where_entries_tie(rng, dimensions, strides, padding, lowest):
    """Entries are few integers, and the infinities: the gradient goes to the same entry of a window."""
    x = rng.integers(-2, 3, (2, 9, 8, 4)).astype(np.float32)
    x[x == 2], x[0, :4, :4] = np.inf, np.inf if lowest else -np.inf
    start, operation = (np.inf, jax.lax.min) if lowest else (-np.inf, jax.lax.max)

    def gradient(x, w):
        out, pullback = jax.vjp(lambda x: jax.lax.reduce_window(x, start, operation, dimensions, strides, padding), x)
        return pullback(jnp.arange(1.0, out.size + 1).reshape(out.shape))

    assert has_convolutions(jax.make_jaxpr(gradient)(x, None).jaxpr)
    compare(gradient, jnp.asarray(x), None, 0)
    slow = "select_and_scatter" in jax.jit(for_cpu(gradient)).lower(x, None).as_text()
    assert slow == (dimensions == POOLS["too large"][0])


def test_a_step_in_a_loop_takes_about_as_long_as_alone(rng):
    """Without the form for CPUs, the loop takes about ten times as long as its steps alone."""
    x, w = (jnp.asarray(rng.normal(size=s), jnp.float32) for s in ((32, 16, 16, 16), (3, 3, 16, 16)))
    step = for_cpu(lambda w, x: w - 1e-6 * jax.grad(lambda w: squared(jnp.tanh(convolve(x, w)), w))(w))
    alone, loop = jax.jit(step), jax.jit(lambda w, x: jax.lax.fori_loop(0, 10, lambda i, w: step(w, x), w))

    def seconds(run):
        jax.block_until_ready(run())
        times = []
        for _ in range(5):
            begin = time.process_time()
            jax.block_until_ready(run())
            times.append(time.process_time() - begin)
        return min(times)

    assert seconds(lambda: loop(w, x)) < 4 * 10 * seconds(lambda: alone(w, x))


class Net(nnx.Module):
    """A small CNN with everything that a step changes: weights, averages of the batch, keys of dropout."""

    def __init__(self, rngs):
        self.first = nnx.Conv(1, 4, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.second = nnx.Conv(4, 6, (3, 3), strides=(2, 2), rngs=rngs)
        self.dropout = nnx.Dropout(0.2, rngs=rngs)
        self.outer = nnx.Linear(6, 3, rngs=rngs)

    def __call__(self, x):
        x = nnx.max_pool(nnx.relu(self.norm(self.first(x))), (2, 2), (2, 2))
        return self.outer(self.dropout(nnx.relu(self.second(x)).mean((1, 2))))


class LinenNet(linen.Module):
    """The same in Linen."""

    @linen.compact
    def __call__(self, x, train):
        x = linen.BatchNorm(use_running_average=not train)(linen.Conv(4, (3, 3))(x))
        x = linen.max_pool(linen.relu(x), (2, 2), (2, 2))
        x = linen.relu(linen.Conv(6, (3, 3), strides=(2, 2))(x)).mean((1, 2))
        return linen.Dense(3)(linen.Dropout(0.2, deterministic=not train)(x))


def images(rows=60):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, rows).astype(np.int32)
    x = rng.normal(size=(rows, 8, 8, 1)) + np.sin(np.arange(8) * (y[:, None] + 1))[:, :, None, None]
    x = x.astype(np.float32)
    return (x[:40], y[:40]), (x[40:], y[40:])


BUILDS = {"nnx": lambda trial, rngs: Net(rngs), "linen": lambda trial, rngs: LinenNet()}


STEPS, SPACE = 8, {"optimizer": optimizers.sgd(sweeps.values([0.05, 0.2]))}
CPU = sweeps.Layout(backend="cpu")


@functools.cache
def swept(name, width=None):
    task = training.supervised(BUILDS[name], images(), batch_size=8, name="cnn")
    return task, sweeps.run(task, SPACE, steps=STEPS, layout=sweeps.Layout(width=width), progress=False)


@pytest.mark.parametrize("name", BUILDS)
def test_a_cnn_in_a_sweep_equals_a_loop_of_its_steps(name):
    task, results = swept(name)
    init, step, evaluate = jax.jit(task.init), jax.jit(task.step), jax.jit(task.evaluate)
    for row, curve in zip(results.rows(), results.curves, strict=True):
        trial, losses = {"optimizer": optimizers.sgd(row["learning_rate"])}, []
        carry = init(trial, keys(0)[0])
        for i in range(STEPS):
            carry, metrics = step(trial, carry, task.data, jax.random.fold_in(keys(0)[1], i))
            losses.append(metrics["loss"])
        np.testing.assert_allclose(curve["loss"][:STEPS], losses, rtol=2e-4)
        for score, value in evaluate(trial, carry, task.data).items():
            assert row[score] == pytest.approx(float(value), rel=2e-3), score


def test_a_program_with_convolutions_has_one_trial_on_a_cpu():
    task, results = swept("nnx")
    assert sweeps.plan(task, SPACE, steps=1, layout=CPU).widths[0] == 1
    wide = swept("nnx", width=2)[1]
    np.testing.assert_allclose(wide.columns["test_loss"], results.columns["test_loss"], rtol=1e-3)


def programs(task, monkeypatch, hooked):
    with monkeypatch.context() as patch:
        if not hooked:
            for module in (_trace, _width):
                patch.setattr(module, "has_convolutions", lambda jaxpr: False)
        space = {"activation": jnp.tanh, "optimizer": optimizers.adam(0.1)}
        planned = sweeps.plan(task, space, steps=1, layout=CPU)
        width = planned.widths[0]
        return _trace.trace(task, planned.groups[0], width, planned.devices[0], planned.layout)


def test_a_program_without_convolutions_has_the_same_digest(monkeypatch):
    found = [programs(small.task(), monkeypatch, hooked).digests for hooked in (True, False)]
    assert found[0] == found[1]


def test_a_program_with_convolutions_has_the_form_for_cpus(monkeypatch):
    task = training.supervised(BUILDS["nnx"], images(), batch_size=8)
    texts = [programs(task, monkeypatch, hooked).segment.program.as_text() for hooked in (False, True)]
    assert ["select_and_scatter" in text for text in texts] == [True, False]
    found = [set(re.findall(r"dim_numbers = (.*?),? window", text)) for text in texts]
    assert len(found[0]) > len(found[1]) == 1
