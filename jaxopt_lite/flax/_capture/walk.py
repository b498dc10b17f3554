"""A program evaluated operation by operation, which sees what becomes of the marked outputs of layers.

The activation of a layer is not asked for: it is what the program computes from the layer's output entry by entry, from
nothing else that depends on the inputs. Its derivative is accumulated along the way, by the derivative rules of the
operations themselves. So it does not matter whether the activation is a function of this package or of Flax, a lambda,
a learned layer or a formula in the user's `__call__`.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from jaxopt_lite.flax._capture.elementwise import called, curved, elementwise, has_rule, inner_jaxprs, title
from jaxopt_lite.flax._capture.layers import layer_of

Array = jax.Array
AtMark = Callable[[int, Array], Array]  # (number of the mark, value) -> the value that the rest of the program gets
LONGEST_SCAN = 64  # a scan over more steps is not unrolled: the program would become too large
_RANDOM = ("random_", "threefry", "rng_")


class Trail(NamedTuple):
    """What is known of an elementwise function of a layer's output.

    Attributes:
        mark: number of the mark at the layer's output.
        slope: the derivative of the function.
        steps: names of the operations it consists of.
        curved: whether one of them is not linear.
    """

    mark: int
    slope: Array
    steps: tuple[str, ...] = ()
    curved: bool = False


class Value(NamedTuple):
    """A value of the program.

    Attributes:
        array: its array.
        varies: whether it depends on the inputs.
        random: whether it depends on random numbers.
        trail: what it is as a function of a layer's output; None if it is no elementwise function of one.
    """

    array: Any
    varies: bool = False
    random: bool = False
    trail: Trail | None = None


class Seen(NamedTuple):
    """A marked output and its activation.

    Attributes:
        layer: path of the layer.
        z: the layer's output.
        activation: the last elementwise function of z alone that the program computes; z itself if there is none.
        slope: its derivative at z.
        steps: names of the operations that it consists of.
        curved: whether one of them is not linear.
        summed: whether the program only sums the activation, as in a mean.
    """

    layer: str
    z: Array
    activation: Array
    slope: Array
    steps: tuple[str, ...] = ()
    curved: bool = False
    summed: bool = True


class Walk:
    """One evaluation of a program.

    Attributes:
        seen: the marks, in the order of the program.
        merged: layers whose input is an elementwise function of the layer before: part of its activation.
        hidden: layers inside loops that are not unrolled.
        curved: whether any operation is not linear in the inputs.
        sums: number of additions of two values that depend on the inputs, as in a residual block.
    """

    def __init__(self, at_mark: AtMark) -> None:
        self.at_mark = at_mark
        self.seen: list[Seen] = []
        self.merged: set[str] = set()
        self.hidden: set[str] = set()
        self.curved = False
        self.sums = 0

    def run(self, jaxpr: Any, consts: Sequence[Any], values: Sequence[Value]) -> list[Value]:
        """The outputs of a jaxpr."""
        known = dict(zip(jaxpr.constvars, map(Value, consts), strict=True))
        known |= dict(zip(jaxpr.invars, values, strict=True))

        def read(v: Any) -> Value:
            return Value(v.val) if isinstance(v, core.Literal) else known[v]

        for equation in jaxpr.eqns:
            outputs = self._equation(equation, [read(v) for v in equation.invars])
            known |= dict(zip(equation.outvars, outputs, strict=True))
        return [read(v) for v in jaxpr.outvars]

    def leave(self, values: Sequence[Value], summed: bool = False) -> None:
        """Note that the program uses elementwise functions of marks for something else: they are activations.

        Of several the one with the most operations counts. What is only summed (the squares of a variance) comes last.
        """
        for value in values:
            if value.trail is not None:
                seen, trail = self.seen[value.trail.mark], value.trail
                if (not summed, len(trail.steps)) > (not seen.summed, len(seen.steps)):
                    self.seen[trail.mark] = Seen(
                        seen.layer, seen.z, value.array, trail.slope, trail.steps, trail.curved, summed
                    )

    def _equation(self, equation: Any, inputs: list[Value]) -> list[Value]:
        layer = layer_of(equation)
        if layer is not None:
            return [self._mark(layer, inputs[0])]
        moving = [value.varies for value in inputs]
        self.curved |= curved(equation, moving)
        self.sums += equation.primitive.name == "add" and all(moving) and _floats(inputs[0].array)
        inner = called(equation)
        if _of_one_mark(inputs) and elementwise(equation, moving):
            return [self._follow(equation, inputs)]
        if inner is not None and (not has_rule(equation) or _marks(inner.jaxpr)):
            return self.run(inner.jaxpr, inner.consts, inputs)
        if _is_short_scan(equation) and _marks(equation.params["jaxpr"]):
            return self._unrolled(equation.params, inputs)
        self.leave(inputs, summed=equation.primitive.name in ("reduce_sum", "reduce_max"))
        self.hidden |= {name for nested in inner_jaxprs(equation) for name in _marks(nested)}
        outputs = _evaluated(equation, [value.array for value in inputs])
        random = any(v.random for v in inputs) or equation.primitive.name.startswith(_RANDOM)
        return [Value(output, any(moving), random) for output in outputs]

    def _mark(self, layer: str, value: Value) -> Value:
        if value.trail is not None:
            self.merged.add(layer)
            return value
        z, number = value.array, len(self.seen)
        one = jnp.ones_like(z)
        self.seen.append(Seen(layer, z, z, one))
        return Value(self.at_mark(number, z), varies=True, trail=Trail(number, one))

    def _follow(self, equation: Any, inputs: list[Value]) -> Value:
        """The output of an elementwise operation, and by the chain rule its derivative."""
        arrays = [value.array for value in inputs]
        trails = [value.trail for value in inputs if value.trail is not None]
        longest = max(trails, key=lambda trail: len(trail.steps))
        moving = [i for i, v in enumerate(inputs) if v.trail is not None and _floats(v.array)]

        def function(*moved: Array) -> Any:
            given = list(arrays)
            for i, array in zip(moving, moved, strict=True):
                given[i] = array
            return _evaluated(equation, given)[0]

        if moving and _floats(equation.outvars[0].aval):
            output, pullback = jax.vjp(function, *(arrays[i] for i in moving))
            pairs = zip(moving, pullback(jnp.ones_like(output)), strict=True)
            terms = [_slope(inputs[i]) * cotangent.astype(_slope(inputs[i]).dtype) for i, cotangent in pairs]
            slope = sum(terms[1:], terms[0])
        else:  # a comparison
            output, slope = function(*(arrays[i] for i in moving)), jnp.zeros_like(longest.slope)
        bent = any(trail.curved for trail in trails) or curved(equation, [v.varies for v in inputs])
        trail = Trail(longest.mark, slope, (*longest.steps, title(equation)), bent)
        return Value(output, True, any(v.random for v in inputs), trail)

    def _unrolled(self, params: dict[str, Any], inputs: list[Value]) -> list[Value]:
        """The outputs of a scan, step by step, so that each step's layers are seen."""
        consts, carry = params["num_consts"], params["num_carry"]
        fixed, state, stacked = inputs[:consts], inputs[consts : consts + carry], inputs[consts + carry :]
        self.leave(stacked)
        order = range(params["length"])
        rows: list[list[Value]] = []
        for i in reversed(order) if params["reverse"] else order:
            slices = [Value(value.array[i], value.varies, value.random) for value in stacked]
            outputs = self.run(params["jaxpr"].jaxpr, params["jaxpr"].consts, [*fixed, *state, *slices])
            state = outputs[:carry]
            rows.append(outputs[carry:])
            self.leave(rows[-1])
        if params["reverse"]:
            rows.reverse()
        return [*state, *map(_stacked, zip(*rows, strict=True))]


def _is_short_scan(equation: Any) -> bool:
    return equation.primitive.name == "scan" and equation.params["length"] <= LONGEST_SCAN


def _of_one_mark(inputs: Sequence[Value]) -> bool:
    """Whether the inputs are elementwise functions of one mark, beside constants, parameters and random masks."""
    marks = {value.trail.mark if value.trail else None for value in inputs if value.varies or _noise(value)}
    return len(marks) == 1 and None not in marks


def _noise(value: Value) -> bool:
    return value.random and _floats(value.array)


def _floats(array: Any) -> bool:
    return jnp.issubdtype(array.dtype, jnp.floating) if hasattr(array, "dtype") else isinstance(array, float)


def _slope(value: Value) -> Array:
    assert value.trail is not None
    return value.trail.slope


def _stacked(values: Sequence[Value]) -> Value:
    arrays = jnp.stack([v.array for v in values])
    return Value(arrays, any(v.varies for v in values), any(v.random for v in values))


def _marks(jaxpr: Any) -> set[str]:
    """The layers that are marked in a jaxpr or in one inside it."""
    if isinstance(jaxpr, core.ClosedJaxpr):
        jaxpr = jaxpr.jaxpr
    names = {layer_of(equation) for equation in jaxpr.eqns} - {None}
    inner = (nested for equation in jaxpr.eqns for nested in inner_jaxprs(equation))
    return names.union(*map(_marks, inner))  # type: ignore[return-value]


def _evaluated(equation: Any, arrays: Sequence[Any]) -> list[Any]:
    """The outputs of one operation."""
    params = equation.primitive.get_bind_params(equation.params)
    functions, params = params if isinstance(params, tuple) else ((), params)  # a pair before jax 0.10
    with equation.ctx.manager:
        outputs = equation.primitive.bind(*functions, *arrays, **params)
    return list(outputs) if equation.primitive.multiple_results else [outputs]
