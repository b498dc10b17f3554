"""Rules that treat every entry of every parameter alike: a dozen lines of maths each, all else is here, once."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lite.optimizers._arithmetic import cast, next_count, real, wider, working
from jaxopt_lite.optimizers._bits import random_bits, rounded, stream
from jaxopt_lite.optimizers._settings import copied, resolved
from jaxopt_lite.optimizers._transform import Parts, State
from jaxopt_lite.optimizers._trees import check_params, flatten_gradients, leaves_like

Numbers = Mapping[str, Any]


class Slot(NamedTuple):
    """One tree shaped like the parameters: what it starts with (a number, or the name of a setting) and its dtype."""

    start: float | str = 0.0
    dtype: str | None = None
    modulus: bool = False


class Elementwise(NamedTuple):
    """A rule in three functions.

    `slots(names, fixed)` lists the trees it keeps; `per_step(s, t, fixed)` calculates, once a step, the numbers that
    do not depend on the entry, from the settings `s` and the step `t` = 1, 2, ...; `per_leaf(g, p, m, s, fixed)`
    gives the step to add and the new moments, all in the working precision.
    """

    name: str
    slots: Callable[[Any, Mapping[str, Any]], dict[str, Slot]]
    per_step: Callable[[dict[str, jax.Array], jax.Array, Mapping[str, Any]], dict[str, jax.Array]]
    per_leaf: Callable[..., tuple[jax.Array, dict[str, jax.Array]]]

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> State:
        """No step done, the settings copied, every moment at its start."""
        check_params(self.name, params)
        kept = copied(self.name, data, fixed)
        slots = self.slots(set(data), fixed)
        count = jnp.zeros((), jnp.int32)
        numbers = resolved(kept, fixed, count)
        moments = {name: _started(params, slot, numbers, fixed) for name, slot in slots.items()}
        return State(count=count, settings=kept, moments=moments)

    def update(
        self, grads: Any, state: State, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, State]:
        """One step: the rule on every leaf, in the working precision, then back to the dtypes that came in."""
        if not hasattr(state, "moments"):
            raise TypeError(
                f"{self.name}.update was given a state of {type(state).__name__}: call update(grads, state, params) "
                f"with the state of its own init, or with from_optax(tx, state, params) of one of optax's"
            )
        gs, treedef = flatten_gradients(self.name, grads)
        moments = {name: leaves_like(self.name, treedef, gs, tree, grads) for name, tree in state.moments.items()}
        ps = [None] * len(gs) if params is None else leaves_like(self.name, treedef, gs, params, grads)
        out = [None if g is None else _widest(g, p) for g, p in zip(gs, ps, strict=True)]
        if "weight_decay" in state.settings:
            ps = _decayed(self.name, ps, params, treedef, fixed)
        count = next_count(state.count)
        now = self.per_step(resolved(state.settings, fixed, state.count), count.astype(float), fixed)
        numbers = {kind: _cast(now, kind) for kind in {real(working(dtype)) for dtype in out if dtype is not None}}
        slots = self.slots(set(state.settings), fixed)
        steps: list[Any] = []
        after: dict[str, list[Any]] = {name: [] for name in moments}
        for i, (g, p) in enumerate(zip(gs, ps, strict=True)):
            old = {n: m[i] for n, m in moments.items()}
            step, new = (None, old) if g is None else step_leaf(self, g, p, old, numbers, fixed, out[i])
            steps.append(step)
            for name, value in new.items():
                kept = value if g is None else _stored(value, old[name].dtype, slots[name], count, i)
                after[name].append(kept)
        trees = {name: jax.tree.unflatten(treedef, values) for name, values in after.items()}
        return jax.tree.unflatten(treedef, steps), State(count=count, settings=state.settings, moments=trees)


def _widest(g: jax.Array, p: Any) -> Any:
    """The dtype of an update: a step smaller than the gradient's last digit would be lost in the gradient's dtype."""
    return g.dtype if p is None else wider(g.dtype, p.dtype)


def step_leaf(
    rule: Elementwise,
    g: jax.Array,
    p: Any,
    m: dict[str, jax.Array],
    numbers: Mapping[Any, Numbers],
    fixed: Numbers,
    dtype: Any = None,
) -> tuple[jax.Array, dict[str, jax.Array]]:
    """The rule on one array: the step in `dtype` (default: the gradient's), the moments in the working precision."""
    dtype = dtype or g.dtype
    kind = working(dtype)
    wide = {name: cast(x, kind if jnp.iscomplexobj(x) else real(kind)) for name, x in m.items()}
    p = None if p is None else cast(p, kind)
    step, new = rule.per_leaf(cast(g, kind), p, wide, numbers[real(kind)], fixed)
    return cast(step, dtype), new


def _stored(x: jax.Array, kind: Any, slot: Slot, t: jax.Array, leaf: int) -> jax.Array:
    if not slot.modulus or jnp.finfo(kind).bits >= 32:
        return cast(x, kind)
    # Rounded to nearest, a second moment in half precision never falls: a thousandth of it is below its last digit.
    return rounded(x.astype(jnp.float32), kind, random_bits(stream(t, leaf, "moments"), x.shape))


def _cast(values: Mapping[str, jax.Array], kind: Any) -> dict[str, jax.Array]:
    return {name: cast(x, kind) for name, x in values.items()}


def _started(params: Any, slot: Slot, numbers: Numbers, fixed: Numbers) -> Any:
    start = numbers[slot.start] if isinstance(slot.start, str) else slot.start
    wanted = fixed.get(slot.dtype) if slot.dtype else None

    def leaf(p: jax.Array) -> jax.Array:
        kind = wanted or working(p.dtype)
        return jnp.full_like(p, start, dtype=real(kind) if slot.modulus else kind)

    return jax.tree.map(leaf, params)


def _decayed(name: str, ps: list, params: Any, treedef: Any, fixed: Numbers) -> list:
    """The parameters that decay; `None` stands where the mask says no."""
    if params is None:
        raise ValueError(f"{name} decays the parameters and was given none: call update(grads, state, params)")
    mask = fixed.get("mask", fixed.get("weight_decay_mask"))
    if mask is None:
        return ps
    flags = mask(params) if callable(mask) else mask
    spread = jax.tree.map(
        lambda flag, below: jax.tree.map(lambda _: flag, below), flags, params, is_leaf=lambda x: x is None
    )
    return [p if flag else None for p, flag in zip(ps, treedef.flatten_up_to(spread), strict=True)]
