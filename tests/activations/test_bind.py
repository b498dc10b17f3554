"""A bound activation is a callable pytree whose settings are its leaves."""

import functools
import pickle

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite.activations import bind, gelu, leaky_relu, maxout, pelu, relu, softmax


def test_it_calls_prints_compares_hashes_and_pickles() -> None:
    bound = bind(leaky_relu, negative_slope=0.1)
    assert float(bound(-2.0)) == pytest.approx(-0.2)
    assert repr(bound) == "bind(leaky_relu, negative_slope=0.1)"
    assert (bound.name, bound.settings) == ("leaky_relu", {"negative_slope": 0.1})
    assert bound == bind(leaky_relu, negative_slope=0.1) != bind(leaky_relu, negative_slope=0.2)
    assert hash(bound) == hash(bind(leaky_relu, negative_slope=0.1))
    assert pickle.loads(pickle.dumps(bound)) == bound
    assert bind(relu) != relu


def test_its_numbers_are_leaves_with_a_path_that_names_them() -> None:
    bound = bind(pelu, beta=2.0, alpha=1.5)
    paths, _ = jax.tree_util.tree_flatten_with_path({"act": bound})
    assert [(path[-1].name, leaf) for path, leaf in paths] == [("alpha", 1.5), ("beta", 2.0)]
    assert jax.tree.structure(bound) == jax.tree.structure(bind(pelu, alpha=9.0, beta=9.0))


def test_numbers_may_be_swept_learned_and_anything_at_all() -> None:
    slopes = jax.tree.map(lambda _: jnp.asarray([0.1, 0.2]), bind(leaky_relu, negative_slope=0.0))
    np.testing.assert_allclose(jax.vmap(lambda f: f(-1.0))(slopes), [-0.1, -0.2])
    gradient = jax.grad(lambda f: f(-3.0))(bind(leaky_relu, negative_slope=0.1))
    assert float(gradient.settings["negative_slope"]) == -3.0
    placeholder = object()
    assert jax.tree.leaves(bind(leaky_relu, negative_slope=placeholder)) == [placeholder]
    traces = []

    @jax.jit
    def run(f, x):
        traces.append(1)
        return f(x)

    for slope in (0.1, 0.2, 0.3):
        run(bind(leaky_relu, negative_slope=slope), 1.0)
    assert len(traces) == 1


def test_an_unknown_setting_is_refused_where_it_is_given() -> None:
    with pytest.raises(TypeError, match=r"leaky_relu has no setting 'slope'; its settings are: negative_slope"):
        bind(leaky_relu, slope=0.1)
    with pytest.raises(TypeError, match=r"relu has no setting 'negative_slope'; its settings are: none"):
        bind(relu, negative_slope=0.1)


def test_a_text_in_place_of_a_number_is_refused() -> None:
    with pytest.raises(TypeError, match=r"bind: leaky_relu: negative_slope='a' is a text; give a value like 0.01"):
        bind(leaky_relu, negative_slope="a")


def test_arrays_compare_by_value() -> None:
    assert bind(leaky_relu, negative_slope=jnp.asarray(0.1)) == bind(leaky_relu, negative_slope=jnp.asarray(0.1))
    assert bind(leaky_relu, negative_slope=jnp.ones(2)) == bind(leaky_relu, negative_slope=jnp.ones(2))
    assert bind(leaky_relu, negative_slope=jnp.ones(2)) != bind(leaky_relu, negative_slope=jnp.zeros(2))


@pytest.mark.parametrize(
    ("function", "flag", "other"),
    [(gelu, {"approximate": False}, True), (softmax, {"axis": 0}, 1), (maxout, {"pieces": 3}, 2)],
)
def test_flags_axes_and_counts_are_structure(function, flag: dict, other: object) -> None:
    bound, x = bind(function, **flag), jnp.arange(12.0).reshape(2, 6)
    assert jax.tree.leaves(bound) == []
    np.testing.assert_allclose(jax.jit(lambda f, x: f(x))(bound, x), function(x, **flag))
    (setting,) = flag
    assert jax.tree.structure(bound) != jax.tree.structure(bind(function, **{setting: other}))


@pytest.mark.parametrize("slope", [0.1, jnp.asarray(0.1), np.full(3, 0.1, np.float32)])
def test_jit_and_checkpoint_accept_it(slope) -> None:
    bound, x = bind(leaky_relu, negative_slope=slope), jnp.asarray([-2.0, 1.0, -1.0])
    np.testing.assert_allclose(jax.jit(bound)(x), bound(x))
    np.testing.assert_allclose(jax.grad(lambda x: jax.checkpoint(bound)(x).sum())(x), [0.1, 1.0, 0.1], rtol=1e-6)
    np.testing.assert_allclose(
        jax.grad(lambda s: jax.checkpoint(bind(leaky_relu, negative_slope=s))(x).sum())(jnp.asarray(0.1)), -3.0
    )


def test_equal_ones_have_equal_hashes() -> None:
    assert hash(bind(pelu, alpha=jnp.ones(2), beta=2.0)) == hash(bind(pelu, beta=2.0, alpha=np.ones(2, np.float32)))
    assert bind(pelu, alpha=jnp.ones(2), beta=2.0) == bind(pelu, beta=2.0, alpha=np.ones(2, np.float32))
    assert bind(relu) != bind(gelu)
    # They compile to different programs, so neither may stand in for the other in the cache of jax.jit.
    assert bind(leaky_relu, negative_slope=1.0) != bind(leaky_relu, negative_slope=np.float32(1.0))


@pytest.mark.parametrize("value", [None, True, 3, "label", (1, 2)])
def test_what_replaces_a_leaf_stays_a_leaf(value) -> None:
    bound = bind(pelu, alpha=jnp.ones(2), beta=2.0)
    mapped = jax.tree.map(lambda _: value, bound)
    is_leaf = lambda x: x is None or isinstance(x, tuple)  # noqa: E731
    assert jax.tree.leaves(mapped, is_leaf=is_leaf) == [value, value]
    again = jax.tree.map(lambda _, leaf: leaf, mapped, bound, is_leaf=is_leaf)
    assert again == bound and jax.tree.structure(again) == jax.tree.structure(bound)


def test_functions_without_a_name() -> None:
    bound = bind(functools.partial(pelu, alpha=2.0), beta=3.0)
    assert "functools.partial" in bound.name and bound.name in repr(bound)
    assert float(bound(-1.0)) == float(pelu(-1.0, 2.0, 3.0))
    with pytest.raises(TypeError, match=r"functools.partial.* has no setting 'slope'"):
        bind(functools.partial(pelu), slope=1.0)
    with pytest.raises(TypeError, match=r"functools.partial.*beta='b' is a text"):
        bind(functools.partial(pelu), beta="b")
    assert bind(bind(leaky_relu, negative_slope=0.5)).name == "leaky_relu"


@pytest.mark.parametrize("two", [2, np.int64(2)])
def test_an_integer_in_place_of_a_float_is_a_number_of_the_formula(two) -> None:
    bound = bind(pelu, alpha=two)
    assert jax.tree.leaves(bound) == [2.0] and type(bound.settings["alpha"]) is float
    assert bound == bind(pelu, alpha=2.0) and repr(bound) == "bind(pelu, alpha=2.0)"
    assert float(jax.grad(lambda f: f(1.0))(bound).settings["alpha"]) == 1.0
