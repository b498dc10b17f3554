"""The laws that every activation obeys, as functions that raise where one is broken; `check` runs them all."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite.activations._catalogue import CATALOGUE, Activation
from jaxopt_lite.activations._facts import differences, measure
from jaxopt_lite.activations._register import unmeasured
from jaxopt_lite.activations._shaping.function import name_of

Function = Callable[[jax.Array], jax.Array]


def check(activation: str | Callable[..., jax.Array], **settings: Any) -> list[str]:
    """Test an activation against the laws that all of this package obey.

    The laws: eager, compiled and batched calls agree; forward and reverse mode agree, also in rematerialised and
    scanned programs; first to third derivatives agree with finite differences away from kinks; half precision and
    float32 are kept; NaN stays NaN; and every claim of its catalogue row that can be measured is true. They do not
    compare with a formula: the reference of a test does that.

    Args:
        activation: a name of `CATALOGUE`, or a function of one array, elementwise, registered or not.
        **settings: keyword arguments for the function.

    Returns:
        The names of the laws.

    Raises:
        AssertionError: for the first law that is broken, with its name and what was found.
        KeyError: for a name that is not in the catalogue.

    Example:
        >>> "nan_stays_nan" in check("tanh")
        True
    """
    name = activation if isinstance(activation, str) else name_of(activation)
    row = _row(activation, settings)
    for law, test in LAWS.items():
        try:
            test(row)
        except Exception as error:
            text = (test.__doc__ or "").split("\n")[0]
            raise AssertionError(f"{name} breaks the law {law!r} ({text}): {type(error).__name__}: {error}") from error
    return list(LAWS)


def _row(activation: str | Callable[..., jax.Array], settings: dict[str, Any]) -> Activation:
    """The catalogue row; with other settings, or for an unregistered function, the claims are measured ones."""
    known = [row for row in CATALOGUE.values() if row.function is activation]
    if isinstance(activation, str):
        row = CATALOGUE[activation]
    elif known:
        row = known[0]
    else:
        row = unmeasured(activation, "elementwise", {"formula": "", "use": "", "weakness": "", "reference": ""})
    if (known and not settings) or (isinstance(activation, str) and not settings):
        return row
    initial = {name: value for name, value in row.initial.items() if name not in settings}
    row = row._replace(settings={**row.settings, **settings}, initial=initial)
    return row._replace(**measure(row)._asdict())


def transformations_agree(row: Activation) -> None:
    """Eager, jit, vmap, jvp, linearize, vjp, remat and scan give the same numbers."""
    f = partial(row.function, **row.settings, **row.initial)
    x = jnp.asarray(np.random.default_rng(0).normal(size=(3, 8)) * 2 + 0.037, jnp.float32)
    y = f(x)
    t = jnp.cos(jnp.arange(x.size, dtype=jnp.float32)).reshape(x.shape)
    ct = jnp.sin(jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape)

    def through(h: jax.Array) -> jax.Array:
        return jax.lax.scan(lambda h, _: (0.5 * h + 0.1 * jnp.mean(f(h)), None), h, length=3)[0].sum()

    @jax.jit
    def transformed(x: jax.Array, t: jax.Array, ct: jax.Array) -> dict[str, jax.Array]:
        return {
            "jit": f(x),
            "vmap": jax.vmap(f)(x),
            "jvp": jax.jvp(f, (x,), (t,))[1],
            "linearize": jax.linearize(f, x)[1](t),
            "vjp": jax.vjp(f, x)[1](ct)[0],
            "vjp in vmap": jax.vmap(lambda x, c: jax.vjp(f, x)[1](c)[0])(x, ct),
            "vjp of remat": jax.vjp(jax.checkpoint(f), x)[1](ct)[0],
            "scan": jax.grad(through)(x),
        }

    got = transformed(x, t, ct)
    for same, expected in (("jit", y), ("vmap", y), ("linearize", got["jvp"])):
        np.testing.assert_allclose(got[same], expected, rtol=2e-5, atol=1e-5, err_msg=same)
    for same in ("vjp in vmap", "vjp of remat"):
        np.testing.assert_allclose(got[same], got["vjp"], rtol=2e-5, atol=1e-5, err_msg=same)
    forward, reverse = jnp.vdot(ct, got["jvp"]), jnp.vdot(got["vjp"], t)
    np.testing.assert_allclose(forward, reverse, rtol=1e-4, atol=1e-4, err_msg="jvp against vjp")
    _require(bool(np.isfinite(got["scan"]).all()), "the gradient through scan is not finite")


def derivatives_match_differences(row: Activation) -> None:
    """First, second and third derivatives, in all modes, equal central differences away from kinks."""
    f = row.probe
    kinks = np.array([*row.kinks, 1e9, 0.0])
    x = jnp.asarray([v for v in np.linspace(-2.9, 2.9, 8) if np.abs(v - kinks).min() > 0.05], jnp.float32)

    @jax.jit
    def at(x: jax.Array) -> tuple[list[tuple[jax.Array, ...]], jax.Array]:
        modes = ("reverse",) * 3, ("reverse", "forward", "forward"), ("forward", "reverse")
        return [_orders(f, mode)(x) for mode in modes], jnp.diag(jax.hessian(lambda x: jnp.sum(f(x)))(x))

    h = 0.01
    ((above, *_), _), ((below, *_), _), (found, diagonal) = at(x + h), at(x - h), at(x)
    slope, curvature, third = ((a - b) / (2 * h) for a, b in zip(above[:3], below[:3], strict=True))
    np.testing.assert_allclose(diagonal, curvature, rtol=0.02, atol=2e-3, err_msg="curvature")
    for _, *orders in found:
        np.testing.assert_allclose(orders[0], slope, rtol=0.02, atol=2e-3, err_msg="slope")
        np.testing.assert_allclose(orders[1], curvature, rtol=0.02, atol=2e-3, err_msg="curvature")
        for highest in orders[2:]:
            np.testing.assert_allclose(highest, third, rtol=0.05, atol=5e-3, err_msg="third derivative")


def _orders(f: Function, modes: Sequence[str]) -> Callable[[jax.Array], tuple[jax.Array, ...]]:
    """f and its derivatives, each of the one before it in the mode of its place."""
    if not modes:
        return lambda x: (f(x),)
    lower = _orders(f, modes[:-1])

    def highest(x: jax.Array) -> tuple[jax.Array, tuple[jax.Array, ...]]:
        orders = lower(x)
        return orders[-1], orders

    def one_more(x: jax.Array) -> tuple[jax.Array, ...]:
        if modes[-1] == "forward":
            _, derivative, orders = jax.jvp(highest, (x,), (jnp.ones_like(x),), has_aux=True)
        else:
            y, back, orders = jax.vjp(highest, x, has_aux=True)
            (derivative,) = back(jnp.ones_like(y))
        return (*orders, derivative)

    return one_more


def dtypes_are_kept(row: Activation) -> None:
    """Value, tangent and cotangent have the dtype of x in bfloat16, float16 and float32."""
    f = partial(row.function, **row.settings, **row.initial)

    def parts(x: jax.Array) -> tuple[jax.Array, ...]:
        y, back = jax.vjp(f, x)
        return y, back(y)[0], jax.jvp(f, (x,), (x,))[1]

    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        for part in jax.eval_shape(parts, jax.ShapeDtypeStruct((4,), dtype)):
            _require(part.dtype == dtype and not part.weak_type, f"{part.dtype} from {jnp.dtype(dtype)}")


def nan_stays_nan(row: Activation) -> None:
    """NaN in gives NaN out."""
    inputs = [jnp.asarray([jnp.nan, 1.0], dtype) for dtype in (jnp.bfloat16, jnp.float32)]
    for y in jax.jit(lambda inputs: [row.probe(x) for x in inputs])(inputs):
        _require(bool(jnp.isnan(y[0])), f"f(nan) is {y[0]} in {y.dtype}")


def claims_are_true(row: Activation) -> None:
    """Range, mean, monotonicity, smoothness, saturation, kinks and gain are those that are measured."""
    false = differences(row, measure(row))
    _require(not false, "; ".join(false))


def _require(condition: bool, otherwise: str) -> None:
    if not condition:
        raise AssertionError(otherwise)


LAWS: dict[str, Callable[[Activation], None]] = {
    law.__name__: law
    for law in (
        transformations_agree,
        derivatives_match_differences,
        dtypes_are_kept,
        nan_stays_nan,
        claims_are_true,
    )
}
