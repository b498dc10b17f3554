"""The laws that every activation obeys, as functions that raise where one is broken; `check` runs them all."""

from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxopt_lite.activations._catalogue import CATALOGUE, Activation
from jaxopt_lite.activations._facts import differences, measure
from jaxopt_lite.activations._register import unmeasured

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
    name = activation if isinstance(activation, str) else getattr(activation, "__name__", repr(activation))
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
    row = row._replace(settings={**row.settings, **settings})
    return row._replace(**measure(row)._asdict())


def transformations_agree(row: Activation) -> None:
    """Eager, jit, vmap, jvp, linearize, vjp, remat and scan give the same numbers."""
    f = partial(row.function, **row.settings)
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

    def derivative(g: Function, reverse: bool) -> Function:
        ones = jnp.ones_like(x)
        return (lambda x: jax.vjp(g, x)[1](ones)[0]) if reverse else (lambda x: jax.jvp(g, (x,), (ones,))[1])

    @jax.jit
    def at(x: jax.Array) -> tuple[Any, ...]:
        first = derivative(f, True)
        seconds = [derivative(derivative(f, a), b) for a, b in ((True, True), (True, False), (False, True))]
        thirds = [derivative(seconds[0], True), derivative(seconds[1], False)]
        hessian = jax.hessian(lambda x: jnp.sum(f(x)))(x)
        return f(x), first(x), [s(x) for s in seconds], [t(x) for t in thirds], jnp.diag(hessian)

    h = 0.01
    above, below, (_, first, seconds, thirds, diagonal) = at(x + h), at(x - h), at(x)
    np.testing.assert_allclose(first, (above[0] - below[0]) / (2 * h), rtol=0.02, atol=2e-3, err_msg="slope")
    for second in (*seconds, diagonal):
        np.testing.assert_allclose(second, (above[1] - below[1]) / (2 * h), rtol=0.02, atol=2e-3, err_msg="curvature")
    for third in thirds:
        difference = (above[2][0] - below[2][0]) / (2 * h)
        np.testing.assert_allclose(third, difference, rtol=0.05, atol=5e-3, err_msg="third derivative")


def dtypes_are_kept(row: Activation) -> None:
    """Value, tangent and cotangent have the dtype of x in bfloat16, float16 and float32."""
    f = partial(row.function, **row.settings)

    def parts(x: jax.Array) -> tuple[jax.Array, ...]:
        y, back = jax.vjp(f, x)
        return y, back(y)[0], jax.jvp(f, (x,), (x,))[1]

    for dtype in (jnp.bfloat16, jnp.float16, jnp.float32):
        for part in jax.eval_shape(parts, jax.ShapeDtypeStruct((4,), dtype)):
            _require(part.dtype == dtype and not part.weak_type, f"{part.dtype} from {jnp.dtype(dtype)}")


def nan_stays_nan(row: Activation) -> None:
    """NaN in gives NaN out."""
    for dtype in (jnp.bfloat16, jnp.float32):
        y = row.probe(jnp.asarray([jnp.nan, 1.0], dtype))
        _require(bool(jnp.isnan(y[0])), f"f(nan) is {y[0]} in {jnp.dtype(dtype)}")


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
