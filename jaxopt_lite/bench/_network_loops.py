"""The trainings of a network by hand: one jitted step per network, or PyTorch; in one process or one per core."""

import multiprocessing
import os
import time
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from jaxopt_lite.bench._networks import Network, Start, cost, network
from jaxopt_lite.bench._scan_loop import cores


class Work(NamedTuple):
    """The trainings of a network: its name, their learning rates, and what they start from."""

    name: str
    rates: tuple[float, ...]
    start: Start


class ModuleLoop:
    """The loop of an NNX module: a step under `nnx.jit`, compiled once, with the learning rate in Adam's state."""

    def __init__(self, one: Network, work: Work) -> None:
        self._data, self._work = one.data, work
        self._model = one.build(nnx.Rngs(0))
        params = nnx.state(self._model, nnx.Param)
        leaves = [jnp.asarray(w) for w in work.start.weights]
        nnx.update(self._model, jax.tree.unflatten(jax.tree.structure(params), leaves))
        adam = optax.inject_hyperparams(optax.adam)(learning_rate=0.0)
        self._optimizer = nnx.Optimizer(self._model, adam, wrt=nnx.Param)
        self._first = jax.tree.map(np.asarray, (nnx.state(self._model), nnx.state(self._optimizer)))

        @nnx.jit
        def step(model: Any, optimizer: Any, x: Any, y: Any) -> Any:
            value, grads = nnx.value_and_grad(lambda model: cost(model(x), y).mean())(model)
            optimizer.update(model, grads)
            return value

        self._step, self._scores = step, nnx.jit(lambda model, x, y: cost(model(x), y).mean())
        self._trained(work.rates[0], work.start.rows[:2])

    def __call__(self) -> list[float]:
        """The test losses of the trainings."""
        return [self._trained(rate, self._work.start.rows) for rate in self._work.rates]

    def _trained(self, rate: float, rows: np.ndarray) -> float:
        nnx.update(self._model, jax.tree.map(jnp.asarray, self._first[0]))
        nnx.update(self._optimizer, jax.tree.map(jnp.asarray, self._first[1]))
        self._optimizer.opt_state.hyperparams["learning_rate"][...] = jnp.float32(rate)
        (x, y), test = self._data
        losses = [self._step(self._model, self._optimizer, x[batch], y[batch]) for batch in rows]
        np.mean(jax.device_get(losses))
        return [float(self._scores(self._model, *part)) for part in ((x, y), test)][1]


class FunctionLoop:
    """The loop of a Linen module: a step under `jax.jit`, compiled once, with the learning rate in Adam's state."""

    def __init__(self, one: Network, work: Work) -> None:
        self._data, self._work = one.data, work
        module, tx = one.build(nnx.Rngs(0)), optax.inject_hyperparams(optax.adam)(learning_rate=0.0)
        shapes = jax.eval_shape(module.init, jax.random.key(0), one.data[0][0][:1])["params"]
        self._tree, self._tx = jax.tree.structure(shapes), tx

        def loss(params: Any, x: Any, y: Any) -> Any:
            return cost(module.apply({"params": params}, x), y).mean()

        def step(params: Any, state: Any, x: Any, y: Any) -> Any:
            value, grads = jax.value_and_grad(loss)(params, x, y)
            updates, state = tx.update(grads, state, params)
            return optax.apply_updates(params, updates), state, value

        self._step, self._scores = jax.jit(step, donate_argnums=(0, 1)), jax.jit(loss)
        self._trained(work.rates[0], work.start.rows[:2])

    def __call__(self) -> list[float]:
        """The test losses of the trainings."""
        return [self._trained(rate, self._work.start.rows) for rate in self._work.rates]

    def _trained(self, rate: float, rows: np.ndarray) -> float:
        params = jax.tree.unflatten(self._tree, [jnp.array(w) for w in self._work.start.weights])
        state = self._tx.init(params)
        state.hyperparams["learning_rate"] = jnp.float32(rate)
        (x, y), test = self._data
        losses = []
        for batch in rows:
            params, state, value = self._step(params, state, x[batch], y[batch])
            losses.append(value)
        np.mean(jax.device_get(losses))
        return [float(self._scores(params, *part)) for part in ((x, y), test)][1]


def jitted(work: Work) -> Any:
    """The loop with a jitted step, compiled."""
    one = network(work.name)
    return (ModuleLoop if isinstance(one.build, type) else FunctionLoop)(one, work)


def torch(work: Work) -> Any:
    """The loop in PyTorch, warmed up, with the number of threads that is faster."""
    from jaxopt_lite.bench._torch_networks import Loop

    return Loop(network(work.name), work)


LOOPS = {"jitted": jitted, "torch": torch}


class Processes:
    """A loop in one process per core, each bound to its core where the system allows it.

    Attributes:
        compile_seconds: from the start of compilation to its end in the slowest process.
    """

    def __init__(self, loop: str, work: Work) -> None:
        context = multiprocessing.get_context("spawn")
        chosen = cores()
        self._length = len(work.rates)
        self._shares = [list(range(k, self._length, len(chosen))) for k in range(min(len(chosen), self._length))]
        self._pipes: list[Connection] = []
        self._processes = []
        for core, share in zip(chosen, self._shares, strict=False):
            pipe, end = context.Pipe()
            part = work._replace(rates=tuple(work.rates[i] for i in share))
            process = context.Process(target=_serve, args=(end, core, loop, part), daemon=True)
            process.start()
            end.close()  # otherwise a process that dies would leave `recv` waiting
            self._pipes.append(pipe)
            self._processes.append(process)
        self.compile_seconds = max(pipe.recv() for pipe in self._pipes)

    def __call__(self) -> list[float]:
        """The test losses of the trainings, in their order."""
        for pipe in self._pipes:
            pipe.send("run")
        losses = np.zeros(self._length)
        for pipe, share in zip(self._pipes, self._shares, strict=True):
            losses[share] = pipe.recv()
        return losses.tolist()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join()


def _serve(pipe: Connection, core: int | None, loop: str, work: Work) -> None:
    """Compile, then run all trainings at every message of the pipe, until it closes."""
    if core is not None:
        os.sched_setaffinity(0, {core})  # before JAX makes its threads: it makes one per allowed core
    started = time.perf_counter()
    train = LOOPS[loop](work)
    pipe.send(time.perf_counter() - started)
    try:
        while pipe.recv() == "run":
            pipe.send(train())
    except EOFError:
        return
