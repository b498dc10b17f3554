"""A rule applied to the touched rows of one table."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.tree_util import GetAttrKey

from jaxopt_lite.optimizers._arithmetic import next_count, one_minus_power, working
from jaxopt_lite.optimizers._ranges import split_arguments
from jaxopt_lite.optimizers._settings import copied, resolved
from jaxopt_lite.optimizers._structure import PlainFunction, same
from jaxopt_lite.optimizers.rows._unique import unique_rows
from jaxopt_lite.optimizers.rules._rule import Rule, step_leaf

# Missed steps of Adam shrink as (b1/√b2)ᵏ. Below this share of the first one they are lost in the rounding of float32.
NEGLIGIBLE = 1e-9


class RowsState(NamedTuple):
    """The state of a row optimizer.

    Attributes:
        count: steps done, an int32 scalar.
        settings: the settings by name, float32 scalars or schedules; read and change them with
            `optimizers.settings(state)` and `optimizers.with_settings(state, learning_rate=...)`.
        moments: arrays shaped like the table, by name.
        last: the step up to which each row is up to date, int32 (rows,); `None` without `catch_up=True`.

    Example:
        >>> rows.adagrad(0.1).init(jnp.zeros((2, 1))).moments["sum_of_squares"].shape
        (2, 1)
    """

    count: Any
    settings: dict[str, Any]
    moments: dict[str, Any]
    last: Any


class RowRule(NamedTuple):
    """The static part of a row optimizer."""

    name: str
    rule: Rule
    fixed: tuple[tuple[str, Any], ...]
    exact: bool


class _Part:
    """One of the three functions of a row optimizer; it compares by its static part."""

    def __init__(self, rule: RowRule) -> None:
        self.rule = rule

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.rule == other.rule

    def __hash__(self) -> int:
        return hash((type(self).__name__, self.rule))


class Init(_Part):
    """`init(table)`; it has the settings as given."""

    def __init__(self, rule: RowRule, data: Mapping[str, Any]) -> None:
        super().__init__(rule)
        self.data = data

    def __call__(self, table: jax.Array) -> RowsState:
        """The first state of a table (rows, features)."""
        dtype = getattr(table, "dtype", None)
        if dtype is None or jnp.ndim(table) != 2 or not jnp.issubdtype(dtype, jnp.floating):
            given = f"shape {jnp.shape(table)} and dtype {dtype}"
            raise ValueError(f"rows.{self.rule.name}.init was given {given}: give a floating table (rows, features)")
        fixed = dict(self.rule.fixed)
        kept = copied(self.rule.name, self.data, fixed, self.rule.rule.settings)
        slots = self.rule.rule.slots(kept, fixed)
        numbers = resolved(kept, fixed, jnp.zeros((), jnp.int32))
        starts = {n: numbers[slot.start] if isinstance(slot.start, str) else slot.start for n, slot in slots.items()}
        moments = {name: jnp.full_like(table, start, dtype=working(dtype)) for name, start in starts.items()}
        last = jnp.zeros(table.shape[0], jnp.int32) if self.rule.exact else None
        return RowsState(count=jnp.zeros((), jnp.int32), settings=kept, moments=moments, last=last)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Init):
            return NotImplemented
        mine: Any = jax.tree.flatten(dict(self.data))
        theirs: Any = jax.tree.flatten(dict(other.data))
        return self.rule == other.rule and mine[1] == theirs[1] and all(map(same, mine[0], theirs[0]))

    def __hash__(self) -> int:
        return hash((self.rule, tuple(self.data)))


class Update(_Part):
    """`update(table, state, ids, row_grads)`."""

    def __call__(self, table: jax.Array, state: RowsState, ids: Any, row_grads: Any) -> tuple[jax.Array, RowsState]:
        """The table and the state after one step; `row_grads` has the shape of `ids` and then the features."""
        _check_state(self.rule, table, state)
        ids, grads = _flat(self.rule.name, table, ids, row_grads)
        rule, fixed = self.rule.rule, dict(self.rule.fixed)
        rows, g = unique_rows(ids, grads.astype(working(table.dtype)), table.shape[0])
        p, moments = _gathered(table, state.moments, rows)
        count = next_count(state.count)
        if self.rule.exact:
            gap = jnp.where(rows < table.shape[0], state.count - state.last.at[rows].get(mode="clip"), 0)
            p, moments = _missed(self.rule, state.settings, p, moments, state.count - gap, gap)
        step, moments = step_leaf(rule, g, p, moments, rule.values(state.settings, fixed, state.count))
        last = state.last.at[rows].set(count, mode="drop") if self.rule.exact else None
        table = table.at[rows].set((p + step).astype(table.dtype), mode="drop", indices_are_sorted=True)
        return table, state._replace(count=count, last=last, moments=_scattered(state.moments, moments, rows))


class CatchUp(_Part):
    """`catch_up(table, state)`."""

    def __call__(self, table: jax.Array, state: RowsState) -> tuple[jax.Array, RowsState]:
        """The table and the state with every row up to date."""
        _check_state(self.rule, table, state)
        if not self.rule.exact:
            return table, state
        wide = table.astype(working(table.dtype))
        p, moments = _missed(self.rule, state.settings, wide, state.moments, state.last, state.count - state.last)
        return p.astype(table.dtype), state._replace(moments=moments, last=jnp.full_like(state.last, state.count))


class RowTransform(NamedTuple):
    """A row optimizer: three functions for one table, and a pytree whose leaves are the numeric settings.

    Attributes:
        init: `init(table)` returns the first `RowsState` of a floating table (rows, features).
        update: `update(table, state, ids, row_grads)` returns the table and the state after one step. `ids` are
            integers of any shape. `row_grads` has that shape, then the features. The gradients of an id that occurs
            several times are summed. Ids outside [0, rows) are padding and ignored. All `update`s of one structure are
            equal, whatever the settings, so that it can be a static argument of `jit`; the settings are in the state.
        catch_up: `catch_up(table, state)` returns the table and the state with every row up to date; call it before
            the whole table is evaluated or saved. Without `catch_up=True` it returns what it was given.

    Example:
        >>> tx = rows.adam(0.1, catch_up=True)
        >>> table = jnp.zeros((2, 1))
        >>> state = tx.init(table)
        >>> for row in (0, 1):
        ...     table, state = tx.update(table, state, jnp.array([row]), jnp.ones((1, 1)))
        >>> table, state = tx.catch_up(table, state)
        >>> [round(float(x), 3) for x in table[:, 0]]
        [-0.167, -0.074]
    """

    init: Any
    update: Any
    catch_up: Any

    def __repr__(self) -> str:
        functions = {name: value.function for name, value in self.init.rule.fixed if isinstance(value, PlainFunction)}
        given = ", ".join(f"{name}={value!r}" for name, value in (dict(self.init.data) | functions).items())
        return f"rows.{self.init.rule.name}({given}{', catch_up=True' if self.init.rule.exact else ''})"


def row_transform(name: str, rule: Rule, data: Mapping[str, Any], fixed: Any = (), exact: bool = False) -> Any:
    """The row optimizer of a rule.

    Args:
        name: the name of the public function in `rows`.
        rule: the rule of the whole tree. It must not decay the parameters, as only touched rows are updated.
        data: the settings by name. Plain functions become static.
        fixed: the static arguments of the rule, pairs of name and value.
        exact: whether a touched row first makes the steps that it missed.

    Returns:
        A `RowTransform`.
    """
    numbers, rest = split_arguments(f"rows.{name}", data, rule.settings)
    return _built(RowRule(name, rule, (*fixed, *rest.items()), exact), numbers)


def _built(rule: RowRule, data: Mapping[str, Any]) -> RowTransform:
    return RowTransform(init=Init(rule, data), update=Update(rule), catch_up=CatchUp(rule))


def _flatten(tx: RowTransform) -> tuple[list, tuple]:
    return [(GetAttrKey(name), v) for name, v in tx.init.data.items()], (tx.init.rule, tuple(tx.init.data))


def _unflatten(structure: tuple, values: Any) -> RowTransform:
    return _built(structure[0], dict(zip(structure[1], values, strict=True)))


jax.tree_util.register_pytree_with_keys(RowTransform, _flatten, _unflatten)


def _check_state(rule: RowRule, table: jax.Array, state: Any) -> None:
    kept = {name: getattr(x, "shape", None) for name, x in getattr(state, "moments", {}).items()}
    expected = dict.fromkeys(rule.rule.slots(set(getattr(state, "settings", ())), dict(rule.fixed)), table.shape)
    if not isinstance(state, RowsState) or kept != expected or (state.last is not None) is not rule.exact:
        raise TypeError(
            f"rows.{rule.name} was given a state of {type(state).__name__} with moments {kept or 'none'}, "
            f"{'with' if getattr(state, 'last', None) is not None else 'without'} catch_up: give the state that its "
            f"own init made for this table {table.shape}"
        )


def _flat(name: str, table: jax.Array, ids: Any, row_grads: Any) -> tuple[jax.Array, jax.Array]:
    ids, grads = jnp.asarray(ids), jnp.asarray(row_grads)
    if not jnp.issubdtype(ids.dtype, jnp.integer) or grads.shape != (*ids.shape, table.shape[1]):
        raise ValueError(
            f"rows.{name}.update was given ids {ids.dtype}{ids.shape} and row_grads {grads.shape} for a table "
            f"{table.shape}: give integers, and one gradient of {table.shape[1]} features for each of them"
        )
    return ids.reshape(-1), grads.reshape(-1, table.shape[1])


def _gathered(table: jax.Array, moments: Mapping[str, Any], rows: jax.Array) -> tuple[jax.Array, dict[str, jax.Array]]:
    def rows_of(x: jax.Array) -> jax.Array:
        return x.at[rows].get(mode="fill", fill_value=1, indices_are_sorted=True)

    return rows_of(table).astype(working(table.dtype)), {name: rows_of(x) for name, x in moments.items()}


def _scattered(moments: Mapping[str, Any], new: Mapping[str, jax.Array], rows: jax.Array) -> dict[str, jax.Array]:
    return {
        name: x.at[rows].set(new[name].astype(x.dtype), mode="drop", indices_are_sorted=True)
        for name, x in moments.items()
    }


def _missed(rule: RowRule, settings: Any, p: Any, moments: Any, last: jax.Array, gap: jax.Array) -> tuple[Any, Any]:
    """Rows and moments after the steps that they missed, each made by the rule with a zero gradient.

    All rows make their next missed step together, until none is missing or the others are negligible. Over these the
    moments decay by a power.

    Args:
        rule: the row optimizer.
        settings: those of the state.
        p: the rows (n, features) in the working precision.
        moments: their moments.
        last: the step up to which each row is up to date, int32 (n,).
        gap: the number of steps that each row missed, int32 (n,).

    Returns:
        The rows and their moments.
    """
    fixed, zero = dict(rule.fixed), jnp.zeros_like(p)
    first = resolved(settings, fixed, jnp.max(last, initial=0))
    ratio = first["b1"] / jnp.sqrt(first["b2"])
    scheduled = any(settings[name] is None or callable(settings[name]) for name in ("b1", "b2"))
    few = jnp.ceil(jnp.log(NEGLIGIBLE) / jnp.log(ratio))
    needed = jnp.inf if scheduled else jnp.where(ratio < 1, few, jnp.inf)
    turns = jnp.minimum(jnp.max(gap, initial=0).astype(float), needed).astype(jnp.int32)

    def turn(carry: tuple) -> tuple:
        k, p, moments = carry
        done = (last + k)[:, None]
        step, new = step_leaf(rule.rule, zero, p, moments, rule.rule.values(settings, fixed, done))
        due = (k < gap)[:, None]
        return k + 1, jnp.where(due, p + step, p), {n: jnp.where(due, x, moments[n]) for n, x in new.items()}

    _, p, moments = jax.lax.while_loop(lambda c: c[0] < turns, turn, (jnp.zeros((), jnp.int32), p, moments))
    remaining = jnp.maximum(gap - turns, 0).astype(float)[:, None]
    rests = {"mu": 1 - first["b1"], "nu": 1 - first["b2"]}
    return p, {n: x * (1 - one_minus_power(rests[n], remaining)).astype(x.dtype) for n, x in moments.items()}
