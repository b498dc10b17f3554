"""Every optax factory: which of its numbers are data, that it equals optax, that it survives float16."""

import inspect
import pickle
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

from jaxopt_lite import optimizers as opt
from jaxopt_lite.optimizers._structure import freeze, thaw
from tests.precision import double

# Factories that take transformations or functions instead of numbers.
TAKES_NO_NUMBERS = frozenset(
    [
        "centralize",
        "chain",
        "conditionally_mask",
        "conditionally_transform",
        "flatten",
        "freeze",
        "identity",
        "inject_hyperparams",
        "inject_stateful_hyperparams",
        "keep_params_nonnegative",
        "lookahead",
        "masked",
        "mechanize",
        "multi_transform",
        "named_chain",
        "normalize",
        "partition",
        "sam",
        "scale_by_learning_rate",
        "scale_by_schedule",
        "scale_by_sign",
        "schedule_free",
        "selective_transform",
        "set_to_zero",
        "snapshot",
        "split_real_and_imaginary",
        "stateless",
        "stateless_with_tree_map",
        "with_extra_args_support",
        "zero_nans",
        "apply_if_finite",
        "measure_with_ema",
    ]
)
# The arguments that a factory needs as Python numbers, and why.
STRUCTURE: dict[str, dict[str, str]] = {
    "adafactor": {"min_dim_size_to_factor": "compared with shapes, decides what is kept"},
    "add_noise": {"seed": "makes the random key", "key": "makes the random key"},
    "noisy_sgd": {"seed": "makes the random key", "key": "makes the random key"},
    "dpsgd": {"seed": "makes the random key", "key": "makes the random key"},
    "differentially_private_aggregate": {"seed": "makes the random key", "key": "makes the random key"},
    "galore": {"rank": "a shape"},
    "scale_by_galore": {"rank": "a shape"},
    "lbfgs": {"memory_size": "a shape"},
    "scale_by_lbfgs": {"memory_size": "a shape"},
    "muon": {"ns_steps": "the length of a Python loop"},
    "scale_by_muon": {"ns_steps": "the length of a Python loop"}
    | dict.fromkeys(("beta", "eps"), "before optax 0.2.8 no step of it alone works"),
    "scale_by_sm3": {"b2": "compared with 1 in Python"},
    "reduce_on_plateau": dict.fromkeys(("factor", "rtol", "atol"), "checked in Python"),
}
VALUES = {
    "learning_rate": 1e-3,
    "eta": 0.1,
    "gamma": 0.5,
    "clipping": 1.0,
    "max_delta": 1.0,
    "threshold": 1.0,
    "max_norm": 1.0,
    "decay": 0.9,
    "step_size": -0.1,
    "max_backtracking_steps": 3,
    "max_linesearch_steps": 3,
    "l2_norm_clip": 1.0,
    "noise_multiplier": 0.1,
    "key": 0,
    "seed": 0,
}
SMALL = {"galore": {"rank": 2}, "scale_by_galore": {"rank": 2}}
# These need the loss as well, or gradients one by one, and have no update of gradients alone to compare.
NEEDS_MORE = frozenset({"lbfgs", "scale_by_backtracking_linesearch", "scale_by_zoom_linesearch", "dpsgd"}) | {
    "differentially_private_aggregate",
    "scale_by_lbfgs",
}


def factories() -> dict[str, Any]:
    found = {}
    for module in (optax, optax.contrib):
        for name, function in vars(module).items():
            if not name.startswith("_") and inspect.isfunction(function) and name not in TAKES_NO_NUMBERS:
                annotation = str(inspect.signature(function).return_annotation)
                if "GradientTransformation" in annotation:
                    found[name] = function
    return found


FACTORIES = factories()


def arguments(name: str) -> dict[str, Any]:
    parameters = inspect.signature(FACTORIES[name]).parameters.values()
    needed = [p.name for p in parameters if p.default is p.empty and p.kind is not p.VAR_KEYWORD]
    with_rate = needed + ["learning_rate"] * any(p.name == "learning_rate" for p in parameters)
    both = "seed" in with_rate and "key" in with_rate
    return {n: VALUES[n] for n in with_rate if not (both and n == "key")} | SMALL.get(name, {})


@pytest.mark.parametrize("name", FACTORIES)
@pytest.mark.filterwarnings("ignore")
def test_numbers_are_data_and_sweep(name: str) -> None:
    given = arguments(name)
    tx = opt.lift(FACTORIES[name])(**given)
    numbers = {k for k, v in tx.settings.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    leaves = {path[-1].name for path, _ in jax.tree_util.tree_flatten_with_path(tx)[0]}
    assert numbers - leaves <= STRUCTURE.get(name, {}).keys(), "a number is structure without a reason in the table"
    assert tx == opt.lift(FACTORIES[name])(**given) and tx.update == opt.lift(FACTORIES[name])(**given).update
    if name in NEEDS_MORE or not leaves:
        return

    def run(tx: Any, params: Any) -> Any:
        state, value = tx.init(params), jnp.zeros(())
        return tx.update(params, state, params, value=value, loss=value, obj_fn=lambda p: value)[0]

    several = jax.tree.map(lambda x: jnp.full(3, x, jnp.float32), tx)
    # Of a matrix alone: scale_by_muon takes nothing else.
    with jax.numpy_rank_promotion("allow"):
        assert jax.eval_shape(jax.vmap(run, in_axes=(0, None)), several, jnp.ones((4, 4))).shape == (3, 4, 4)


@pytest.mark.parametrize("name", [n for n in FACTORIES if "learning_rate" in arguments(n) and n not in NEEDS_MORE])
@pytest.mark.filterwarnings("ignore")
def test_equals_optax_and_is_finite_in_half_precision(name: str) -> None:
    given = arguments(name)
    lifted, plain = opt.lift(FACTORIES[name])(**given), optax.with_extra_args_support(FACTORIES[name](**given))
    start = jnp.linspace(-1, 1, 12).reshape(3, 4)
    ordinary = jnp.cos(jnp.arange(12.0)).reshape(3, 4)
    extra = {"value": jnp.ones(()), "loss": jnp.ones(()), "obj_fn": lambda p: jnp.ones(())}

    def two(tx: Any, grads: Any, dtype: Any) -> Any:
        params = {"w": start.astype(dtype)}
        state, out = tx.init(params), []
        for k in range(2):
            updates, state = tx.update({"w": grads.astype(dtype) * (k + 1)}, state, params, **extra)
            out.append(updates["w"])
        return jnp.stack(out)

    @jax.jit
    def everything() -> Any:
        info = jnp.finfo(jnp.float16)
        faulty = jnp.stack([jnp.zeros((3, 4)), jnp.full((3, 4), info.tiny), jnp.full((3, 4), info.max / 32)])
        half = jax.vmap(lambda g: two(lifted, g, jnp.float16))(faulty.astype(jnp.float16))
        return two(lifted, ordinary, jnp.float32), two(plain, ordinary, jnp.float32), half

    ours, theirs, half = everything()
    assert half.dtype == jnp.float16 and np.isfinite(np.asarray(half, np.float32)).all()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-7)


def test_a_first_gradient_of_zero_is_survived() -> None:
    for name in ("prodigy", "dadapt_adamw"):
        tx = opt.lift(getattr(optax.contrib, name))()
        params = jnp.ones(3)
        state = tx.init(params)
        for grads in (jnp.zeros(3), jnp.ones(3), jnp.ones(3)):
            updates, state = tx.update(grads, state, params)
            assert np.isfinite(updates).all(), name
        assert np.any(updates), name
        updates, _ = tx.update(jnp.full(3, jnp.nan), state, params)
        assert np.isnan(updates).all(), name


def test_state_holds_the_settings_and_schedules_work() -> None:
    tx = opt.lift(optax.lamb)(opt.exponential_decay(0.1, 1, 0.5), weight_decay=0.1)
    params = jnp.ones(3)
    state = tx.init(params)
    plain = optax.lamb(optax.exponential_decay(0.1, 1, 0.5), weight_decay=0.1)
    other = plain.init(params)
    for _ in range(3):
        updates, state = tx.update(params, state, params)
        expected, other = plain.update(params, other, params)
        np.testing.assert_allclose(updates, expected, rtol=1e-5)
    still, _ = tx.update(params, opt.with_settings(state, learning_rate=0.0), params)
    assert not np.any(still)


def test_inject_hyperparams_is_not_needed() -> None:
    """The six configurations of optax 0.2.8 that fail in inject_hyperparams under jit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = ("adafactor", "adopt", "schedule_free_adamw", "schedule_free_sgd", "galore")
        for name in (n for n in names if n in FACTORIES):
            tx = opt.lift(FACTORIES[name])(learning_rate=0.1, **SMALL.get(name, {}))
            params = jnp.ones((4, 4))
            jax.eval_shape(lambda tx, p: tx.update(p, tx.init(p), p), tx, params)


def test_divergence_is_visible() -> None:
    """Gradient descent on w² with a rate of 50 multiplies w by −99 until it overflows."""

    def end(tx: Any) -> Any:
        params = jnp.ones(1)
        state = tx.init(params)
        for _ in range(22):
            updates, state = tx.update(2 * params, state, params)
            params = optax.apply_updates(params, updates)
        return params

    assert np.isnan(end(opt.lift(optax.sgd)(50.0))).all() and np.isnan(end(optax.sgd(50.0))).all()


@pytest.mark.filterwarnings("ignore")
def test_a_step_size_that_overflows_is_visible() -> None:
    tx, params = opt.lift(optax.contrib.prodigy)(1e30), jnp.ones(3)
    state = tx.init(params)
    for _ in range(3):
        updates, state = tx.update(jnp.full(3, 1e30), state, params)
    assert not np.isfinite(updates).any()


@pytest.mark.parametrize("offset", [0, -3, 3])
def test_adafactor_with_an_offset_equals_optax(offset: int) -> None:
    params = {"w": jnp.cos(jnp.arange(12.0)).reshape(3, 4)}
    lifted = opt.lift(optax.adafactor)(1e-3, decay_offset=offset)
    plain = optax.adafactor(1e-3, decay_offset=offset)
    state, other = lifted.init(params), plain.init(params)
    for _ in range(3):
        updates, state = lifted.update(params, state, params)
        expected, other = plain.update(params, other, params)
        np.testing.assert_allclose(updates["w"], expected["w"], rtol=1e-6)


@pytest.mark.parametrize("factory", [optax.nadam, optax.nadamw, optax.lamb])
def test_pickles(factory: Any) -> None:
    tx = opt.lift(factory)(1e-3)
    again = pickle.loads(pickle.dumps(tx))
    assert again == tx and again.update == tx.update and hash(again) == hash(tx)
    assert "0x" not in repr(tx)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize("factory", [optax.novograd, optax.contrib.sophia, optax.adam])
@pytest.mark.filterwarnings("ignore")
def test_keeps_dtypes_in_double_precision(factory: Any, dtype: Any) -> None:
    with double():
        tx, params = opt.lift(factory)(1e-3), {"w": jnp.ones((3, 4), dtype)}
        state = tx.init(params)
        updates, after = tx.update(params, state, params, obj_fn=lambda p: jnp.sum(p["w"] ** 2))
        assert updates["w"].dtype == dtype
        assert [x.dtype for x in jax.tree.leaves(after)] == [x.dtype for x in jax.tree.leaves(state)]


def test_factories_of_this_package_are_not_lifted_twice() -> None:
    assert opt.lift(opt.adam) is opt.adam

    def mine(learning_rate: Any) -> Any:
        return opt.chain(opt.clip(1.0), opt.adam(learning_rate))

    with pytest.raises(
        TypeError, match=r"lift: mine returns chain\(clip, adam\) of this package, whose numbers are data"
    ):
        opt.lift(mine)(0.1).init(jnp.ones(3))


def by_label(learning_rate: Any, labels: Any) -> optax.GradientTransformation:
    return optax.multi_transform({"a": optax.sgd(learning_rate), "b": optax.set_to_zero()}, labels)


def test_static_arguments_that_differ_compile_different_programs() -> None:
    params = {"b": jnp.ones(1), "w": jnp.ones(1)}
    for labels in ({"w": "a", "b": "b"}, {"w": "b", "b": "a"}):
        tx = opt.lift(by_label)(0.1, labels=labels)
        updates, _ = jax.jit(tx.update)(params, tx.init(params), params)
        assert {name: float(updates[name][0]) != 0 for name in labels} == {n: v == "a" for n, v in labels.items()}
    muon = opt.lift(optax.contrib.muon)
    assert muon(0.1, ns_coeffs=[3.44, -4.78, 2.03]) != muon(0.1, ns_coeffs=[1.0, 1.0, 1.0])
    assert muon(0.1, ns_coeffs=[3.44, -4.78, 2.03]).update == muon(0.1, ns_coeffs=[3.44, -4.78, 2.03]).update


@pytest.mark.parametrize("a, b", [(1, True), (1, 1.0), ((1, 2), (1.0, 2)), ([0], [False]), ({"x": 1}, {"x": 2})])
def test_static_values_are_equal_with_their_types_alone(a: Any, b: Any) -> None:
    assert freeze(a) != freeze(b)
    assert freeze(a) == freeze(a) and hash(freeze(a)) == hash(freeze(a)) and thaw(freeze(a)) is a


def test_a_random_key_as_argument() -> None:
    make, params = opt.lift(optax.noisy_sgd), jnp.ones(3)
    tx = make(1e-2, key=jax.random.key(0))
    assert tx == make(1e-2, key=jax.random.key(0)) and tx != make(1e-2, key=jax.random.key(1))
    assert np.isfinite(tx.update(params, tx.init(params), params)[0]).all()


def test_a_factory_with_keyword_arguments() -> None:
    tx = opt.lift(lambda learning_rate, **options: optax.adam(learning_rate, **options))(0.1, b1=0.5)
    assert tx.settings["b1"] == 0.5 and len(jax.tree.leaves(tx)) == 2
    updates, _ = tx.update(jnp.ones(2), tx.init(jnp.ones(2)), jnp.ones(2))
    np.testing.assert_allclose(updates, [-0.1, -0.1], rtol=1e-5)
