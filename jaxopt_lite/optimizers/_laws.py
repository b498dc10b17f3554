"""The laws that every optimizer obeys, as functions that raise where one is broken; `check` runs them all."""

import contextlib
import functools
import pickle
from collections.abc import Callable
from typing import Any

import jax
import jax.experimental
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_lite.optimizers._apply import apply_updates
from jaxopt_lite.optimizers._arithmetic import wider
from jaxopt_lite.optimizers._catalogue import CATALOGUE
from jaxopt_lite.optimizers._laws_settings import is_foreign, is_rate, lows, place, takes
from jaxopt_lite.optimizers._repr import shown
from jaxopt_lite.optimizers._settings import settings, with_settings
from jaxopt_lite.optimizers._transform import Transform
from jaxopt_lite.optimizers.schedules._decays import exponential_decay, linear_schedule

Make = Callable[..., Transform]


def check(optimizer: str | Make, **settings: Any) -> list[str]:
    """Test an optimizer against the laws that all of this package obey.

    The laws: it is an optax transformation; its leaves are its numbers; one trace serves all settings; `vmap` over it
    equals a loop; gradients with respect to its settings agree with finite differences; `update` reads
    the settings from the state; `update` works without the parameters unless the rule declares `needs_params` or decays
    them; every setting may be a schedule; a gradient of `None` leaves its parameter unchanged;
    the state keeps its structure and dtypes, and updates have the wider of the gradient's and the parameter's dtype,
    under strict promotion; zero gradients give finite updates in half precision; and it pickles, compares by value and
    prints as the call that builds it. They say nothing about the formula: compare that with the paper.

    Gradients with respect to settings are checked at their values and at the lower end of their range, if that is in
    it. Of optimizers of optax, as from `lift`, they are not checked, nor are strict promotion and a gradient of `None`
    where `init` was given an array.

    Args:
        optimizer: a name of `CATALOGUE`, or a function that builds a transform from a learning rate.
        **settings: further arguments for the function.

    Returns:
        The names of the laws.

    Raises:
        AssertionError: for the first law that is broken, with its name and what was found.
        KeyError: for a name that is not in the catalogue.

    Example:
        >>> "one_trace" in check("sgd", momentum=0.5)
        True
    """
    function = CATALOGUE[optimizer].function if isinstance(optimizer, str) else optimizer
    name = optimizer if isinstance(optimizer, str) else getattr(function, "__name__", repr(function))

    @functools.wraps(function)
    def make(**more: Any) -> Transform:
        return function(**({"learning_rate": 0.1} | settings | more))

    for law, test in LAWS.items():
        try:
            test(make)
        except Exception as error:
            text = (test.__doc__ or "").split("\n")[0]
            raise AssertionError(f"{name} breaks the law {law!r} ({text}): {type(error).__name__}: {error}") from error
    return list(LAWS)


def is_an_optax_transformation(make: Make) -> None:
    """It unpacks to init and update, ignores unknown keywords and works inside optax.chain."""
    tx, params = make(), _params()
    init, update = tx
    _require(isinstance(tx, optax.GradientTransformationExtraArgs), f"it is a {type(tx).__name__}")
    updates, _ = update(params, init(params), params, unknown_extra=1)
    chained = optax.chain(optax.identity(), tx)
    inside, _ = chained.update(params, chained.init(params), params)
    np.testing.assert_array_equal(inside["w"], updates["w"])


def leaves_are_its_numbers(make: Make) -> None:
    """Its leaves are its numeric settings, and nothing else."""
    tx = make(learning_rate=0.25)
    leaves = {place(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tx)[0]}
    static = dict(shown(tx.init.fixed))
    numbers = {name: value for name, value in tx.settings.items() if isinstance(value, float) and name not in static}
    given = [value for name, value in leaves.items() if is_rate(name)]
    _require(leaves == numbers and 0.25 in given, f"leaves {leaves}, settings {tx.settings}")


def one_trace(make: Make) -> None:
    """As an argument of jit it traces once for all settings."""
    traces, params = [], _params()

    @jax.jit
    def train(tx: Any) -> Any:
        traces.append(1)
        return _run(tx, params, 1)

    for rate in (1, 0.1, np.float32(0.01), 1e-3):
        train(make(learning_rate=rate))
    _require(len(traces) == 1, f"{len(traces)} traces for 4 learning rates")


def vmap_is_the_loop(make: Make) -> None:
    """vmap over stacked leaves gives what each alone gives."""
    rates, params = [0.2, 0.05], _params()
    txs = [make(learning_rate=rate) for rate in rates]
    stacked = jax.tree.map(lambda *x: jnp.stack([jnp.float32(v) for v in x]), *txs)
    run = jax.jit(_run, static_argnums=2)
    together = jax.jit(jax.vmap(lambda tx: _run(tx, params, 3)))(stacked)
    for i, tx in enumerate(txs):
        np.testing.assert_allclose(together["w"][i], run(tx, params, 3)["w"], rtol=2e-6, atol=1e-6)


def gradients_agree_with_differences(make: Make) -> None:
    """Gradients with respect to its settings agree with finite differences in float64, at the end of a range too."""
    tx = make(learning_rate=1e-3)
    if is_foreign(tx):
        return
    with _double():
        params = _params(jnp.float64)

        @jax.jit
        @jax.value_and_grad
        def loss(tx: Any) -> Any:
            return sum(jnp.sum(jnp.sin(p)) for p in jax.tree.leaves(_run(tx, params, 2)))

        names = [place(path) for path, _ in jax.tree_util.tree_flatten_with_path(tx)[0]]
        ends = [low for low, leaf in lows(tx) for _ in jax.tree.leaves(leaf)]
        leaves, treedef = jax.tree.leaves(tx), _structure(tx)

        def at(i: int, value: float) -> tuple[float, float]:
            result, slopes = loss(treedef.unflatten([*leaves[:i], value, *leaves[i + 1 :]]))
            return float(result), float(jax.tree.leaves(slopes)[i])

        for i, (x, low) in enumerate(zip(leaves, ends, strict=True)):
            h = 1e-6 * max(abs(x), 1e-3)
            below = x - h if low is None else max(x - h, low)
            difference = (at(i, x + h)[0] - at(i, below)[0]) / (x + h - below)
            np.testing.assert_allclose(at(i, x)[1], difference, rtol=2e-3, atol=1e-5, err_msg=f"{names[i]} = {x}")
            if low is None:
                continue
            value, slope = at(i, low)
            _require(np.isfinite(slope), f"{names[i]} = {low:g}: the gradient is {slope}")
            h = 1e-8 * max(abs(low), 1)
            difference = (-3 * value + 4 * at(i, low + h)[0] - at(i, low + 2 * h)[0]) / (2 * h)
            # Where the formula has a root of the setting, its derivative at 0 is infinite, and 0 stands for it.
            if slope != 0 or abs(difference) < 1:
                np.testing.assert_allclose(slope, difference, rtol=1e-3, atol=1e-5, err_msg=f"{names[i]} = {low:g}")


def update_reads_the_state_alone(make: Make) -> None:
    """update is equal for all settings and reads them from the state, where with_settings changes them."""
    traces, params = [], _params()

    def step(update: Any, grads: Any, state: Any, params: Any) -> Any:
        traces.append(1)
        return update(grads, state, params)

    step = jax.jit(step, static_argnums=0)
    for rate in (0.1, 0.2, 0.3):
        tx = make(learning_rate=rate)
        updates, _ = step(tx.update, params, tx.init(params), params)
    changed = with_settings(make(learning_rate=0.1).init(params), learning_rate=0.3)
    rates = [float(value) for name, value in settings(changed).items() if is_rate(name)]
    _require(np.float32(0.3) in rates, "with_settings does not change the rate")
    np.testing.assert_array_equal(step(tx.update, params, changed, params)[0]["w"], updates["w"])
    _require(len(traces) == 1, f"{len(traces)} traces for 3 learning rates")


def params_are_optional(make: Make) -> None:
    """update works without the parameters, unless the rule has needs_params=True or a weight decay."""
    tx, params = make(), _params()
    state = tx.init(params)
    rule: Any = getattr(tx.init, "rule", None)
    if not getattr(rule, "needs_params", True) and "weight_decay" not in state.settings:
        try:
            tx.update(params, state)
        except Exception as error:
            raise AssertionError(
                f"update(grads, state) fails: {error}: if it reads p, set needs_params=True"
            ) from error


def takes_schedules(make: Make) -> None:
    """Every setting may be a schedule: one trace, and at each step what with_settings by hand gives."""
    params, tx = _params(), make()
    numbers = {name: value for name, value in tx.settings.items() if isinstance(value, float) and takes(make, name)}
    numbers["learning_rate"] = 0.1
    schedules = {name: linear_schedule(start, 0.8 * start + 0.01, 1000) for name, start in numbers.items()}
    scheduled, by_hand = make(**schedules), make(**{name: jnp.float32(start) for name, start in numbers.items()})
    step: Any = jax.jit(scheduled.update)
    state, other = scheduled.init(params), by_hand.init(params)
    for count in range(3):
        updates, state = step(params, state, params)
        other = with_settings(other, **{name: schedule(count) for name, schedule in schedules.items()})
        expected, other = by_hand.update(params, other, params)
        np.testing.assert_allclose(updates["w"], expected["w"], rtol=1e-5)
    _require(step._cache_size() == 1, f"{step._cache_size()} traces with schedules")
    falling, plain = make(learning_rate=exponential_decay(0.1, 1, 0.5)), make(learning_rate=lambda n: 0.1 * 0.5**n)
    state, other = falling.init(params), plain.init(params)
    for _ in range(2):
        updates, state = falling.update(params, state, params)
        expected, other = plain.update(params, other, params)
        np.testing.assert_allclose(updates["w"], expected["w"], rtol=1e-5)


def none_gradients(make: Make) -> None:
    """A gradient of None leaves its parameter, whatever it is, and its moments unchanged."""
    tx, params = make(), _params()
    nothing = {"n": None, "name": None}
    model = params | {"n": 3, "name": len}
    updates, after = tx.update(params | nothing, tx.init(params | nothing), model)
    expected, state = tx.update(params, tx.init(params), params)
    np.testing.assert_allclose(updates["w"], expected["w"], rtol=1e-6)
    _require(updates["n"] is None and apply_updates(model, updates)["n"] == 3, "it changes what has no gradient")
    _require(_structure(after) == _structure(tx.init(params | nothing)), "the state changes its structure")
    if is_foreign(tx):  # optax refuses None where init was given an array
        return
    updates, after = tx.update({"b": None, "w": 2 * params["w"]}, state, params)
    _require(updates["b"] is None, "it updates a parameter without a gradient")
    for name, tree in getattr(after, "moments", {}).items():
        np.testing.assert_array_equal(tree["b"], state.moments[name]["b"])


def dtypes_stay(make: Make) -> None:
    """The state keeps structure, shapes and dtypes; updates have shapes and the wider dtype; strict promotion works."""
    tx = make(learning_rate=jnp.float32(0.1))
    f16, bf16, f32 = jnp.float16, jnp.bfloat16, jnp.float32
    for parameter, gradient in ((f32, f32), (bf16, bf16), (f32, f16), (bf16, f32), (f16, bf16)):
        with jax.numpy_dtype_promotion("standard" if is_foreign(tx) else "strict"):
            params = _params(parameter)
            state = tx.init(params)
            updates, after = jax.eval_shape(tx.update, _params(gradient), state, params)
        _require({u.dtype for u in jax.tree.leaves(updates)} == {wider(parameter, gradient)}, f"updates are {updates}")
        _require(_structure(after) == _structure(state), "the state changes its structure")
        shapes = [x.shape for x in jax.tree.leaves(params)]
        _require([u.shape for u in jax.tree.leaves(updates)] == shapes, f"updates are {updates}")
        before, new = ([(x.shape, x.dtype) for x in jax.tree.leaves(s)] for s in (state, after))
        _require(before == new, f"the state changes from {before} to {new}")
        _require(not any(x.weak_type for x in jax.tree.leaves(after)), "the state has a weak type")


def zero_gradients(make: Make) -> None:
    """Zero gradients give finite updates, in half precision too."""
    tx = make()
    for dtype in (jnp.float32, jnp.float16, jnp.bfloat16):
        params = jnp.ones(3, dtype)
        state = tx.init(params)
        for _ in range(2):
            updates, state = tx.update(jnp.zeros(3, dtype), state, params)
            _require(bool(jnp.isfinite(updates).all()), f"{dtype.__name__}: {updates}")


def a_value(make: Make) -> None:
    """It pickles (define the functions of a rule at module level), compares by value, and prints as its call."""
    tx = make(learning_rate=0.125)
    again = pickle.loads(pickle.dumps(tx))
    _require(again == tx and hash(again) == hash(tx) and again.update == tx.update, "the pickled copy is not equal")
    _require(tx == make(learning_rate=0.125) and tx != make(learning_rate=0.25), "it does not compare by value")
    printed = repr(tx)
    called = printed.startswith((f"{tx.init.rule.name}(", "lift("))
    _require(called and "learning_rate=0.125" in printed, f"it prints as {printed}")
    function = CATALOGUE.functions.get(tx.name)
    if function is not None and not is_foreign(tx):
        _require(eval(printed, {tx.name: function}) == tx, f"it prints as {printed}, which builds another one")


LAWS: dict[str, Callable[[Make], None]] = {
    function.__name__: function
    for function in (
        is_an_optax_transformation,
        leaves_are_its_numbers,
        one_trace,
        vmap_is_the_loop,
        gradients_agree_with_differences,
        update_reads_the_state_alone,
        params_are_optional,
        takes_schedules,
        none_gradients,
        dtypes_stay,
        zero_gradients,
        a_value,
    )
}


def _params(dtype: Any = jnp.float32) -> dict[str, jax.Array]:
    b, w = [0.3, -0.8, 1.1], [[-1.3, 0.9, 0.4], [-0.5, 0.6, 2.0]]
    return {"b": jnp.asarray(b, dtype), "w": jnp.asarray(w, dtype)}


def _run(tx: Transform, params: Any, steps: int) -> Any:
    """The parameters after some steps on a quadratic; the first entry of `b` never has a gradient."""
    state = tx.init(params)
    for k in range(steps):
        grads = {"b": params["b"].at[0].set(0), "w": params["w"] * (1 + k) + 0.3}
        updates, state = tx.update(grads, state, params)
        params = apply_updates(params, updates)
    return params


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise AssertionError(message)


def _structure(tree: Any) -> Any:
    return jax.tree.structure(tree)


def _double() -> contextlib.AbstractContextManager[None]:
    return jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64()  # type: ignore[attr-defined]
