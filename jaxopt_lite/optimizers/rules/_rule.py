"""Rules that treat the parameters one array at a time: a dozen lines of maths each, everything else is here, once."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers._arithmetic import cast, next_count, real, wider, working
from jaxopt_lite.optimizers._bits import random_bits, rounded, stream
from jaxopt_lite.optimizers._ranges import Range, declare, dtype
from jaxopt_lite.optimizers._settings import copied, resolved
from jaxopt_lite.optimizers._transform import Parts, State, Transform, build
from jaxopt_lite.optimizers._trees import check_params, flatten_gradients, leaves_like
from jaxopt_lite.optimizers.rules._mask import checked_mask, masked
from jaxopt_lite.optimizers.rules._values import Values


class Moment(NamedTuple):
    """One tree shaped like the parameters that a rule stores in its state.

    Args:
        start: what it starts with: a number, or the name of a setting. Default: 0.
        dtype: the name of the argument that chooses its dtype. Without one, or if that argument is `None`, it is
            float32 for half precision and the parameters' dtype otherwise.
        signed: whether entries may be negative. `False` for means of squares: they are real for complex parameters
            and, in bfloat16, rounded stochastically, because to nearest they would never fall. float16 is refused.

    Example:
        >>> Moment(dtype="nu_dtype", signed=False)
        Moment(start=0.0, dtype='nu_dtype', signed=False)
    """

    start: float | str = 0.0
    dtype: str | None = None
    signed: bool = True


def _unchanged(s: Values) -> Values:
    return s


@dataclasses.dataclass(frozen=True)
class Rule:
    """An optimizer without its numbers: the names and ranges of its settings, its moments, and its maths.

    A rule is called with the arguments of an optimizer and returns the transform. The maths sees them as attributes:
    `s.b1` is the number of this step, whatever it was given as, `s.nesterov` a flag, `s.t` the step 1, 2, ....

    Args:
        name: the name of the function that builds the transforms.
        settings: the arguments that are numbers, with the range of each. They are the leaves of the transform; all
            other arguments are static. One that is not given, or is `None`, is `None` in `s`. `with_settings`, which
            sees a state alone, checks a name that an optimizer of this package has, such as `b1`, by its range there,
            and no other name.
        moments: the moments by name, or a function from `s`, whose flags may decide about them, to that dictionary.
        per_leaf: the maths, `per_leaf(g, p, m, s) -> (step, moments)`, on one array in its working precision (float32
            at least): the gradient, the parameter (`None` if `update` was given none), the moments as `m.mu`, and
            `s`. It returns the step to add and a dictionary of all new moments. Where the mask excludes a parameter,
            `s.weight_decay` is `None`, as it is in a rule without one.
        per_step: calculations that do not depend on the array, done once per step: `s.replace(rate=-s.learning_rate)`.
            Default: none.
        needs_params: whether `update` must be given the parameters. With a weight decay it must be in any case.
        mask: the argument that selects the parameters which decay. Default: "mask".

    Example:
        >>> signs = Rule(
        ...     name="signs",
        ...     settings={"learning_rate": Range(0.0)},
        ...     moments={},
        ...     per_leaf=lambda g, p, m, s: (-s.learning_rate * jnp.sign(g), {}),
        ... )
        >>> tx = signs(learning_rate=0.1)
        >>> tx
        signs(learning_rate=0.1)
        >>> tx.update(jnp.array([3.0, -4.0]), tx.init(jnp.zeros(2)))[0]
        Array([-0.1,  0.1], dtype=float32)
    """

    name: str
    settings: Mapping[str, Range]
    moments: Mapping[str, Moment] | Callable[[Values], Mapping[str, Moment]]
    per_leaf: Callable[[jax.Array, Any, Values, Values], tuple[jax.Array, Mapping[str, jax.Array]]]
    per_step: Callable[[Values], Values] = _unchanged
    needs_params: bool = False
    mask: str = "mask"

    def __post_init__(self) -> None:
        if getattr(self.per_leaf, "__module__", "").startswith(f"{__package__}."):  # not a rule of the user
            declare(self.settings)

    def __hash__(self) -> int:
        return hash((self.name, self.per_leaf, self.per_step))

    def __call__(self, **arguments: Any) -> Transform:
        """The transform with these arguments.

        Args:
            **arguments: every argument of the optimizer by name. Those named in `settings` are numbers, arrays,
                tracers or schedules, those that end in `_dtype` dtypes, all others static.

        Returns:
            The transform.

        Raises:
            ValueError: if a Python number is out of its range, the setting that a moment starts at is not given, or a
                mean of squares is to be float16.
            TypeError: if a setting is no number.
        """
        data = {name: arguments.pop(name) for name in self.settings if name in arguments}
        fixed = {name: dtype(name, x) if name.endswith("_dtype") else x for name, x in arguments.items()}
        if self.mask in fixed:
            fixed[self.mask] = checked_mask(self.name, fixed[self.mask])
        tx = build(self, data, fixed)
        for moment, slot in self.slots({name for name, x in data.items() if x is not None}, fixed).items():
            if isinstance(slot.start, str) and data.get(slot.start) is None:
                raise ValueError(f"{self.name}: the moment {moment!r} starts at {slot.start}, which is not given")
            if not slot.signed and slot.dtype and fixed.get(slot.dtype) == jnp.float16:
                raise ValueError(
                    f"{self.name}: {slot.dtype}=float16 has too small a range: squares of gradients below 2e-4 become "
                    "0 and above 256 infinite. Give jax.numpy.bfloat16, which has the range of float32"
                )
        return tx

    def slots(self, names: Any, fixed: Mapping[str, Any]) -> dict[str, Moment]:
        """The moments of a transform with settings of these names and these static arguments."""
        if not callable(self.moments):
            return dict(self.moments)
        return dict(self.moments(Values(dict.fromkeys(self.settings) | dict(fixed) | dict.fromkeys(names, True))))

    def values(self, settings: Mapping[str, Any], fixed: Mapping[str, Any], count: jax.Array) -> Values:
        """What the maths sees at the step after `count` others."""
        numbers = resolved(settings, fixed, count)
        given = Values({"weight_decay": None, **dict.fromkeys(self.settings), **fixed, **numbers})
        return self.per_step(given.replace(t=next_count(count).astype(float)))

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> State:
        """No step done, the settings copied, every moment at its start."""
        check_params(self.name, params)
        if fixed.get(self.mask) is not None:
            masked(self.name, fixed[self.mask], params)
        kept = copied(self.name, data, fixed, self.settings)
        count = jnp.zeros((), jnp.int32)
        numbers = resolved(kept, fixed, count)
        moments = {name: _start(params, m, numbers, fixed) for name, m in self.slots(kept, fixed).items()}
        return State(count=count, settings=kept, moments=moments)

    def update(
        self, grads: Any, state: State, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, State]:
        """One step: the maths on every array in its working precision, then back to the stored dtypes."""
        gs, treedef = flatten_gradients(self.name, grads)
        moments = {name: leaves_like(self.name, treedef, gs, tree, grads) for name, tree in state.moments.items()}
        if params is None and (self.needs_params or "weight_decay" in state.settings):
            verb = "decays" if "weight_decay" in state.settings else "reads"
            raise ValueError(f"{self.name} {verb} the parameters and was given none: call update(grads, state, params)")
        ps = [None] * len(gs) if params is None else leaves_like(self.name, treedef, gs, params, grads)
        decays = self._decays(state, treedef, gs, ps, fixed)
        s = self.values(state.settings, fixed, state.count)
        undecayed = s.replace(weight_decay=None)
        slots = self.slots(state.settings, fixed)
        count = next_count(state.count)
        steps: list[Any] = []
        after: dict[str, list[Any]] = {name: [] for name in moments}
        for i, (g, p, decay) in enumerate(zip(gs, ps, decays, strict=True)):
            old = {name: leaves[i] for name, leaves in moments.items()}
            step, new = (None, old) if g is None else step_leaf(self, g, p, old, s if decay else undecayed)
            steps.append(step)
            for name, leaves in after.items():
                x = new[name]
                leaves.append(x if g is None else _stored(x, old[name].dtype, slots[name], count, i))
        trees = {name: jax.tree.unflatten(treedef, leaves) for name, leaves in after.items()}
        return jax.tree.unflatten(treedef, steps), State(count=count, settings=state.settings, moments=trees)

    def _decays(self, state: State, treedef: Any, gs: list[Any], ps: list[Any], fixed: Mapping[str, Any]) -> list[bool]:
        if "weight_decay" not in state.settings or fixed.get(self.mask) is None:
            return [True] * len(gs)
        # A mask function gets None for what has no gradient, as at init: it may be anything but an array.
        trained = treedef.unflatten([None if g is None else p for g, p in zip(gs, ps, strict=True)])
        return treedef.flatten_up_to(masked(self.name, fixed[self.mask], trained))


def step_leaf(
    rule: Rule, g: jax.Array, p: Any, m: Mapping[str, jax.Array], s: Values
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The maths of a rule on one array.

    Args:
        rule: the rule.
        g: the gradient.
        p: the parameter, or `None`.
        m: the moments by name.
        s: the settings of this step.

    Returns:
        The step to add, in the wider of the gradient's and the parameter's dtype, because one that is smaller than
        the gradient's smallest number would be lost in the gradient's; and the new moments in the working precision.

    Raises:
        TypeError: if `per_leaf` returns something else than a step and a dictionary of all declared moments.
        ValueError: if the step or a moment has another shape than the gradient.
    """
    out = g.dtype if p is None else wider(g.dtype, p.dtype)
    kind = working(out)
    wide = {name: cast(x, kind if jnp.iscomplexobj(x) else real(kind)) for name, x in m.items()}
    p = None if p is None else cast(p, kind)
    step, new = _checked(rule, rule.per_leaf(cast(g, kind), p, Values(wide), s.cast(real(kind))), g, m)
    return cast(step, out), dict(new)


def _checked(rule: Rule, result: Any, g: jax.Array, m: Mapping[str, jax.Array]) -> tuple[Any, Mapping[str, Any]]:
    """What `per_leaf` returned, if it has the form that `Rule` describes."""
    where = f"per_leaf of the rule {rule.name!r}"
    if not (isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], Mapping)):
        items = ", ".join(type(x).__name__ for x in result) if isinstance(result, tuple) else type(result).__name__
        raise TypeError(f"{where} returns ({items}): return (step, moments), an array and a dictionary")
    step, new = result
    if new.keys() != m.keys():
        raise TypeError(
            f"{where} returns the moments {sorted(new)}, but `moments` of the rule declares {sorted(m)}: return a "
            "dictionary of exactly those"
        )
    for what, x in {"a step": step, **{f"the moment {name!r}": x for name, x in new.items()}}.items():
        if getattr(x, "shape", None) != g.shape:
            given = f"of shape {x.shape}" if hasattr(x, "shape") else f"of type {type(x).__name__}"
            raise ValueError(f"{where} returns {what} {given}: return an array of the gradient's {g.shape}")
    return step, new


def _stored(x: jax.Array, kind: Any, moment: Moment, t: jax.Array, leaf: int) -> jax.Array:
    if moment.signed or jnp.finfo(kind).bits >= 32:
        return cast(x, kind)
    # Rounded to nearest, a second moment in half precision never falls: a thousandth of it is below its last digit.
    return rounded(x.astype(jnp.float32), kind, random_bits(stream(t, leaf, "moments"), x.shape))


def _start(params: Any, moment: Moment, numbers: Mapping[str, Any], fixed: Mapping[str, Any]) -> Any:
    start = numbers[moment.start] if isinstance(moment.start, str) else moment.start
    wanted = fixed.get(moment.dtype) if moment.dtype else None

    def leaf(p: jax.Array) -> jax.Array:
        kind = wanted or working(p.dtype)
        return jnp.full_like(p, start, dtype=kind if moment.signed else real(kind))

    return jax.tree.map(leaf, params)
