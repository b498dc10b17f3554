"""The NNX optimizer whose settings are arrays in its state."""

from typing import Any

import jax
import optax
from flax import nnx

from jaxopt_lite.flax._embedding import put, without_rows
from jaxopt_lite.flax._signature import Signature
from jaxopt_lite.optimizers import settings, with_settings


def _pure(tree: Any) -> Any:
    """The arrays inside variables; Flax 0.11 calls it `pure`."""
    return (getattr(nnx, "as_pure", None) or nnx.pure)(tree)


def _started(params: Any) -> Any:
    raise RuntimeError("this optimizer has its state already; build a new Optimizer to start again")


class Optimizer(Signature, nnx.Optimizer):
    """`nnx.Optimizer` with the settings in its state: any number, array or tracer, and one trace for all values.

    `nnx.Optimizer` keeps the transform as a static attribute, where arrays are refused and every new float compiles a
    new program. Here only the structure is static; the settings are variables in `opt_state`, which `nnx.jit`,
    `nnx.vmap` and checkpoints carry along.

    Args:
        model: the NNX module to train.
        tx: a transform of `jaxopt_lite.optimizers` or of optax, as `adamw(1e-3)`.
        wrt: filter of the variables to train. Default `nnx.Param`.

    Raises:
        TypeError: `tx` is not a transform, for instance the function `adamw` that was not called; or `model` is no NNX
            module and has no variables `wrt`.

    Example:
        >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
        >>> optimizer = Optimizer(model, adam(1e-3))
        >>> grads = nnx.grad(lambda m: m(jnp.ones((1, 2))).sum())(model)
        >>> _ = optimizer.update(model, grads)
        >>> optimizer.set(learning_rate=1e-4)
        >>> round(float(optimizer.settings["learning_rate"]), 6)
        0.0001
    """

    def __init__(self, model: Any, tx: optax.GradientTransformation, *, wrt: Any = nnx.Param) -> None:
        if not (hasattr(tx, "init") and hasattr(tx, "update")):
            name = getattr(tx, "__name__", None)
            advice = f"call it first, as in {name}(1e-3)" if callable(tx) and name else "give one, as adamw(1e-3)"
            raise TypeError(f"Optimizer: tx is {tx!r}, which is not an optimizer; {advice}")
        if not isinstance(model, nnx.Module) and not jax.tree.leaves(nnx.state(model, wrt)):
            raise TypeError(
                f"Optimizer: model is a {type(model).__name__} without variables to train; give an nnx.Module"
            )
        super().__init__(model, optax.GradientTransformationExtraArgs(tx.init, tx.update), wrt=wrt)
        # `init` contains the settings' values: as an attribute, each value would be another static structure.
        self.tx = optax.GradientTransformationExtraArgs(_started, tx.update)

    def update(self, model: Any, grads: Any, /, **extra: Any) -> Any:
        """Do one step: update the model's variables `wrt` and the state of the optimizer, in place.

        Args:
            model: the module given at construction.
            grads: the `nnx.State` that `nnx.grad` returns; gradients of variables outside `wrt` are ignored.
            **extra: further arguments of the transform's update, as `value` of a line search.

        Returns:
            The updates added to the parameters, a tree like the gradients.

        Raises:
            ValueError: the model has an `Embedding` and `grads` no gradient of its gathered rows.
        """
        if isinstance(grads, nnx.State):  # Flax 0.11 does not select the gradients of `wrt`
            _check_rows(model, grads)
            grads = nnx.filter_state(grads, self.wrt)
        params, before = _pure(nnx.state(model, self.wrt)), _pure(self.opt_state)
        updates, after = self.tx.update(_pure(grads), before, params, **_pure(extra))
        nnx.update(model, optax.apply_updates(params, updates))
        # Variable by variable: `nnx.update` would turn a NamedTuple in a variable, as of `compress`, into a State.
        is_variable = lambda x: isinstance(x, nnx.Variable)  # noqa: E731
        jax.tree.map(put, self.opt_state, after, is_leaf=is_variable)
        put(self.step, self.step[...] + 1)
        return updates

    @property
    def settings(self) -> dict[str, Any]:
        """The current settings by name, as `jaxopt_lite.optimizers.settings` gives them."""
        return settings(_pure(self.opt_state))

    def set(self, **changes: Any) -> None:
        """Change settings; moments and counts stay.

        Args:
            **changes: numbers, arrays, tracers or schedules, by the names that `settings` shows. A number for a number
                is traced once for all values; a schedule for a number changes the structure, and a jitted step is
                traced again.

        Raises:
            ValueError: the state has no setting of that name, or several.
            TypeError: a value is neither a number nor a schedule.
        """
        before = _pure(self.opt_state)
        changed = with_settings(before, **changes)
        structures: list[Any] = [jax.tree.structure(before), jax.tree.structure(changed)]
        if structures[0] == structures[1]:
            nnx.update(self.opt_state, nnx.state(changed))
            return
        variables = with_settings(self.opt_state, **changes)
        self.opt_state = nnx.data(jax.tree.map(_variable, variables, is_leaf=lambda x: isinstance(x, nnx.Variable)))


def _variable(value: Any) -> nnx.Variable[Any]:
    return value if isinstance(value, nnx.Variable) else nnx.OptArray(value)


def _check_rows(model: Any, grads: nnx.State) -> None:
    if without_rows(model, grads):
        raise ValueError(
            "Optimizer.update: the model has a jaxopt_lite.flax.Embedding, but grads has no gradient of its rows, "
            "so its table would never change. Call gather(ids), differentiate in nnx.Any(nnx.Param, Rows) and call "
            "the embedding's update; or use nnx.Embed"
        )
