"""Several optimizers as one, so that trials that differ only in the optimizer share a compiled program."""

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax

from jaxopt_lite.optimizers import Transform
from jaxopt_lite.training._averaged import evaluated

Array = jax.Array


class Either(optax.GradientTransformationExtraArgs):
    """One of several transforms, selected by an index that is data; itself an optax transformation.

    Where `index` is i, it is `alternatives[i]`. The state holds as many arrays of each shape as the alternative
    that needs most. The update is a `lax.switch`: as long as the index is not batched one branch runs, and as each
    branch is compiled by itself, a trial's bits do not depend on which other optimizers the sweep contains. For that
    even a single alternative goes through the switch (a branch that holds still is the second).
    """

    index: Array
    alternatives: tuple[Transform, ...]

    def __new__(cls, index: Array, alternatives: Sequence[Transform]) -> "Either":
        """The transform; `index` is an int32 scalar."""
        init, update = partial(_init, index, tuple(alternatives)), partial(_update, index, tuple(alternatives))
        made = super().__new__(cls, init, update)
        made.index, made.alternatives = index, tuple(alternatives)
        return made

    def evaluated(self, state: list[Array], params: Any) -> Any:
        """The averaged parameters if the selected alternative keeps an average, else `params`."""
        shapes = [jax.eval_shape(tx.init, params) for tx in self.alternatives]
        branches = [lambda state, params, shape=shape: evaluated(_unpacked(state, shape), params) for shape in shapes]
        return jax.lax.switch(self.index, branches, state, params)

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"the task uses {name!r} of trial['optimizer'], but the sweep trains several optimizers with one program, "
            "which offers init and update alone; use layout=sweeps.Layout(merge=False), or merge=False in the Task"
        )


def _init(index: Array, alternatives: Sequence[Transform], params: Any) -> list[Array]:
    """The packed state of the selected alternative."""
    room = _room([jax.eval_shape(tx.init, params) for tx in alternatives])
    branches = [lambda params, tx=tx: _packed(tx.init(params), room) for tx in alternatives]
    hold = lambda params: [jnp.zeros(shape, dtype) for shape, dtype in room]  # noqa: E731
    return jax.lax.switch(index + 1, [hold, *branches], params)


def _update(
    index: Array, alternatives: Sequence[Transform], grads: Any, state: list[Array], params: Any = None, **extra: Any
) -> tuple[Any, list[Array]]:
    """The updates of the selected alternative, and its packed state."""
    like = grads if params is None else params
    shapes = [jax.eval_shape(tx.init, like) for tx in alternatives]

    def branch(tx: Transform, shape: Any) -> Any:
        def run(grads: Any, state: list[Array], params: Any, extra: Any) -> tuple[Any, list[Array]]:
            updates, new = tx.update(grads, _unpacked(state, shape), params, **extra)
            return updates, _packed(new, [(s.shape, s.dtype) for s in state], state)

        return run

    branches = [branch(tx, shape) for tx, shape in zip(alternatives, shapes, strict=True)]
    given = (grads, state, params, extra)
    updated = _updated(branches, given)

    def widened(run: Any) -> Any:
        def wide(*given: Any) -> tuple[Any, list[Array]]:
            updates, new = run(*given)
            return jax.tree.map(lambda u, like: u.astype(like.dtype), updates, updated), new

        return wide

    hold = lambda grads, state, params, extra: (jax.tree.map(jnp.zeros_like, updated), state)  # noqa: E731
    return jax.lax.switch(index + 1, [hold, *map(widened, branches)], *given)


def _updated(branches: Sequence[Any], given: tuple[Any, ...]) -> Any:
    """Shapes of the updates, each of the widest type that an alternative returns.

    If all parameters and gradients are of float32, so are their updates, and nothing is traced to know it.
    """
    grads, _, params, _ = given
    if {x.dtype for x in jax.tree.leaves((grads, params))} == {jnp.dtype("float32")}:
        return jax.eval_shape(lambda x: x, grads)
    shapes = [jax.eval_shape(run, *given)[0] for run in branches]
    return jax.tree.map(lambda first, *rest: jax.ShapeDtypeStruct(first.shape, jnp.result_type(first, *rest)), *shapes)


def _room(shapes: list[Any]) -> list[tuple[tuple[int, ...], Any]]:
    """For each shape and dtype, as many arrays as the alternative that has most of them."""
    need: Counter[tuple[tuple[int, ...], Any]] = Counter()
    for tree in shapes:
        need |= Counter((x.shape, x.dtype) for x in jax.tree.leaves(tree))
    return [spec for spec, count in sorted(need.items(), key=str) for _ in range(count)]


def _packed(state: Any, room: list[tuple[Any, Any]], old: list[Array] | None = None) -> list[Array]:
    """The arrays of a state, each in the first free slot of its shape and dtype; free slots keep their old arrays."""
    waiting: dict[Any, list[Array]] = {}
    for x in jax.tree.leaves(state):
        waiting.setdefault((x.shape, x.dtype), []).append(x)
    spare = old or [jnp.zeros(shape, dtype) for shape, dtype in room]
    return [waiting[spec].pop(0) if waiting.get(spec) else spare[i] for i, spec in enumerate(room)]


def _unpacked(state: list[Array], shape: Any) -> Any:
    by_spec: dict[Any, list[Array]] = {}
    for x in state:
        by_spec.setdefault((x.shape, x.dtype), []).append(x)
    leaves, tree = jax.tree.flatten(shape)
    return jax.tree.unflatten(tree, [by_spec[x.shape, x.dtype].pop(0) for x in leaves])
