"""One transform after another."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import optax

from jaxopt_lite.optimizers._transform import Parts, Transform, build
from jaxopt_lite.optimizers.wrappers._checks import check_parts
from jaxopt_lite.optimizers.wrappers._clip import WHOLE


class Chain(NamedTuple):
    """The rule of `chain`: its state is the tuple of its parts' states, as optax's."""

    name: str = "chain"

    def init(self, params: Any, data: Mapping[str, Any], fixed: Mapping[str, Any], parts: Parts) -> tuple:
        """Every part's first state."""
        return tuple(part.init(params) for part in parts.values())

    def update(
        self, grads: Any, state: Any, params: Any, fixed: Mapping[str, Any], parts: Parts, extra: Mapping[str, Any]
    ) -> tuple[Any, tuple]:
        """The updates of one part are the gradients of the next."""
        check_parts("chain", state, len(parts))
        after = []
        for update, inner in zip(parts.values(), state, strict=True):
            grads, inner = update(grads, inner, params, **extra)
            after.append(inner)
            # Only the first transform of a group gets the gradients of all groups: the next one's differ from them.
            extra = {name: value for name, value in extra.items() if name != WHOLE}
        return grads, tuple(after)


def chain(*txs: optax.GradientTransformation) -> Transform:
    """Transforms one after another: the updates of each are the gradients of the next.

    Args:
        *txs: transforms of this package, whose settings stay leaves, or of optax, which are static.

    Returns:
        A transform whose state is the tuple of the states of `txs`, as in `optax.chain`. The settings are named
        "0.learning_rate", "1.max_norm" and so on.

    Raises:
        TypeError: one of `txs` has no `init` and `update`.
        ValueError: from `update`, the state is not that of a chain of as many transforms.

    Example:
        >>> tx = chain(optax.clip(1.0), sgd(0.1))
        >>> tx.update(jnp.array([50.0]), tx.init(jnp.zeros(1)))[0]
        Array([-0.1], dtype=float32)
        >>> jax.tree.leaves(tx)
        [0.1]
    """
    return build(Chain(), {}, {}, dict(enumerate(txs)))
