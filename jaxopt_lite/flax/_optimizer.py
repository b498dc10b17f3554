"""The NNX optimizer whose settings are arrays in its state."""

from typing import Any

import optax
from flax import nnx

from jaxopt_lite.flax._signature import Signature
from jaxopt_lite.optimizers import settings, with_settings


def _pure(tree: Any) -> Any:
    """The arrays inside variables; flax 0.11 called it `pure`."""
    return (getattr(nnx, "as_pure", None) or nnx.pure)(tree)


def _started(params: Any) -> Any:
    raise RuntimeError("this optimizer holds its state already: build a new one to start again")


class Optimizer(Signature, nnx.Optimizer):
    """`nnx.Optimizer` for transforms whose settings are data: arrays and tracers pass, and no setting is a new trace.

    `nnx.Optimizer` keeps the transform as a static attribute, where arrays are refused and every new float is a new
    program. Here only the structure is static: the settings stand in `opt_state`, as variables that `nnx.jit`,
    `nnx.vmap` and checkpoints carry along.

    `model` is any NNX module, `tx` a transform of `jaxopt_lite.optimizers` or of optax, `wrt` the variables to train.
    `update(model, grads, **extra)` is as in `nnx.Optimizer`.

    >>> model = nnx.Linear(2, 3, rngs=nnx.Rngs(0))
    >>> optimizer = Optimizer(model, adam(1e-3))
    >>> grads = nnx.grad(lambda m: m(jnp.ones((1, 2))).sum())(model)
    >>> _ = optimizer.update(model, grads)
    >>> optimizer.set(learning_rate=1e-4)
    >>> round(float(optimizer.settings["learning_rate"]), 6)
    0.0001
    """

    def __init__(self, model: Any, tx: Any, *, wrt: Any = nnx.Param) -> None:
        super().__init__(model, optax.GradientTransformationExtraArgs(tx.init, tx.update), wrt=wrt)
        # `init` knows the settings' values: kept, it would make each value another static structure.
        self.tx = optax.GradientTransformationExtraArgs(_started, tx.update)

    def update(self, model: Any, grads: Any, /, **extra: Any) -> Any:
        """One step on the model's variables `wrt`; gradients of others, as `Rows`, are left out. Gives the updates."""
        # flax 0.11 does not select the gradients itself.
        own = nnx.filter_state(grads, self.wrt) if isinstance(grads, nnx.State) else grads
        return super().update(model, own, **extra)

    @property
    def settings(self) -> dict[str, Any]:
        """The settings it runs with, by name, as `jaxopt_lite.optimizers.settings` gives them."""
        return settings(_pure(self.opt_state))

    def set(self, **changes: Any) -> None:
        """Change settings in mid-run, by name; moments and counts stay. Values are numbers, arrays or tracers."""
        changed = with_settings(_pure(self.opt_state), **changes)
        nnx.update(self.opt_state, nnx.state(changed))
