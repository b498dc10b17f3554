"""The signals in all layers of a network on one batch, and the gradient of an objective at each of them."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxopt_lite.flax._capture.network import Network
from jaxopt_lite.flax._capture.walk import Seen, Value, Walk

Array = jax.Array


class Signal(NamedTuple):
    """What one call of a layer computes on a batch, arrays of the shape of the layer's output.

    Attributes:
        z: the output of the layer, the pre-activation.
        activation: the elementwise function of z that the network computes next; z itself if there is none.
        slope: its derivative at z.
        gradient: the gradient of the objective at z.

    Example:
        >>> net = network(nnx.Linear(4, 3, rngs=nnx.Rngs(0)))
        >>> observe(net, net.arrays, net.random, jnp.ones((2, 4)), jnp.sum).signals[0].gradient.tolist()
        [[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]]
    """

    z: Array
    activation: Array
    slope: Array
    gradient: Array


class Call(NamedTuple):
    """One call of a layer.

    Attributes:
        layer: path of the layer.
        type: its class.
        steps: names of the operations that its activation consists of.
        curved: whether one of them is not linear; else the layer has no activation.
    """

    layer: str
    type: str
    steps: tuple[str, ...]
    curved: bool


class Observed(NamedTuple):
    """All that `observe` sees. `outputs`, `signals` and `gradients` hold arrays, the others hold none.

    Attributes:
        outputs: the outputs of the network.
        signals: for each call of a layer, in the order of the calls.
        calls: which layer each signal belongs to.
        absent: layers that are not called, by the reason: "not called", or "in a loop" of more than 64 steps.
        linear: whether the network is a linear function of its inputs, up to a constant.
        sums: number of additions of two arrays that depend on the inputs, as in residual blocks.
        gradients: the gradient of the objective with respect to each array of floats among the model's arrays.
        references: a function without arguments, which works where `observe` was called. For each call of a layer it
            gives standard normal z (the same quasi-random numbers in all layers), the activation and its slope there.

    Example:
        >>> net = network(nnx.Linear(4, 3, rngs=nnx.Rngs(0)))
        >>> observe(net, net.arrays, net.random, jnp.ones((2, 4)), jnp.sum).linear
        True
        >>> net = network(MLP((4, 8, 2), relu, rngs=nnx.Rngs(0)))
        >>> hidden, _ = observe(net, net.arrays, net.random, jnp.ones((500, 4)), jnp.sum).references()
        >>> round(float(jnp.mean(hidden.slope)), 1)
        0.5
    """

    outputs: Any
    signals: tuple[Signal, ...]
    calls: tuple[Call, ...]
    absent: dict[str, str]
    linear: bool
    sums: int
    gradients: tuple[Array, ...]
    references: Callable[[], tuple[Seen, ...]]


def observe(model: Network, arrays: Any, random: Any, x: Any, objective: Callable[[Any], Array]) -> Observed:
    """The signals of all layers on a batch, with the gradient of an objective. It works inside `jax.jit`.

    Args:
        model: what `network` returns.
        arrays: `model.arrays`, or others of the same structure.
        random: `model.random`, or another.
        x: a batch of inputs, as the model takes them.
        objective: function of the outputs that returns one number.

    Returns:
        Outputs, signals, and to which layers they belong.

    Example:
        >>> net = network(MLP((4, 8, 2), relu, rngs=nnx.Rngs(0)))
        >>> seen = observe(net, net.arrays, net.random, jnp.ones((5, 4)), jnp.sum)
        >>> [(call.layer, signal.z.shape) for call, signal in zip(seen.calls, seen.signals)]
        [('layers.0', (5, 8)), ('layers.1', (5, 2))]
    """
    program = _program(model, arrays, random, x)
    shapes = jax.eval_shape(lambda: [seen.z for seen in program(lambda _, z: z)[1].seen])
    leaves = jax.tree.leaves(arrays)
    floats = {i: leaf for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jnp.floating)}
    records: list[Walk] = []

    def value(offsets: list[Array], floats: dict[int, Array]) -> tuple[Array, Any]:
        moved = [floats.get(i, leaf) for i, leaf in enumerate(leaves)]
        outputs, walk = program(lambda number, z: z + offsets[number], moved)
        records.append(walk)
        return objective(outputs), (outputs, [seen[1:4] for seen in walk.seen])

    zeros = [jnp.zeros(shape.shape, shape.dtype) for shape in shapes]
    (at_layers, gradients), (outputs, arrays_seen) = jax.grad(value, (0, 1), has_aux=True)(zeros, floats)
    walk = records[-1]
    signals = tuple(Signal(*seen, gradient) for seen, gradient in zip(arrays_seen, at_layers, strict=True))  # type: ignore[call-arg]
    calls = tuple(Call(seen.layer, model.layers.get(seen.layer, ""), seen.steps, seen.curved) for seen in walk.seen)
    called = {seen.layer for seen in walk.seen} | walk.merged
    absent = {name: "in a loop" if name in walk.hidden else "not called" for name in model.layers if name not in called}
    return Observed(
        outputs,
        signals,
        calls,
        absent,
        not walk.curved,
        walk.sums,
        tuple(gradients.values()),
        partial(_references, program, shapes),
    )


def _references(program: Callable[..., tuple[Any, Walk]], shapes: Sequence[Any]) -> tuple[Seen, ...]:
    """The activation of each layer at standard normal pre-activations, in place of those that the inputs cause."""
    numbers = _normal(max((shape.size for shape in shapes), default=0))
    normal = [numbers[: shape.size].reshape(shape.shape).astype(shape.dtype) for shape in shapes]
    _, walk = program(lambda number, _: normal[number])
    return tuple(
        seen._replace(z=z, activation=seen.activation if seen.steps else z)
        for seen, z in zip(walk.seen, normal, strict=True)
    )


def _normal(size: int) -> Array:
    """Standard normal numbers of which every prefix is spread evenly: multiples of the golden ratio modulo 1."""
    steps = jnp.arange(size, dtype=jnp.uint32) * jnp.uint32(2654435769)  # 2^32 / golden ratio
    return jax.scipy.special.ndtri((steps.astype(jnp.float32) + 0.5) / 2.0**32 * (1 - 2e-7) + 1e-7)


def _program(model: Network, arrays: Any, random: Any, x: Any) -> Callable[..., tuple[Any, Walk]]:
    """The network as a function of what happens at the marks."""
    given = (arrays, random, x)
    closed, shapes = jax.make_jaxpr(model.apply, return_shape=True)(*given)
    rest = [
        *(Value(leaf, random=True) for leaf in jax.tree.leaves(random)),
        *(Value(leaf, varies=True) for leaf in jax.tree.leaves(x)),
    ]

    def run(at_mark: Callable[[int, Array], Array], leaves: Sequence[Array] | None = None) -> tuple[Any, Walk]:
        walk = Walk(at_mark)
        values = [*map(Value, jax.tree.leaves(arrays) if leaves is None else leaves), *rest]
        outputs = walk.run(closed.jaxpr, closed.consts, values)
        walk.leave(outputs)
        return jax.tree.unflatten(jax.tree.structure(shapes), [value.array for value in outputs]), walk

    return run
