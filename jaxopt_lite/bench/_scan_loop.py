"""An expert's loop: a jitted scan over the steps, compiled once per structure, in one process or one per core."""

import itertools
import multiprocessing
import os
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
import optax

from jaxopt_lite.bench._loops import ACTIVATIONS, MLP, OPTIMIZERS, Training, named_layers

Array = jax.Array
Runs = dict[tuple[str, str], list[int]]  # of each structure (activation, optimizer), the positions of its trainings


class _Ready(NamedTuple):
    """A process has compiled its programs, in so many seconds."""

    compile_seconds: float


def structures(trainings: list[Training]) -> Runs:
    """The positions of the trainings of each activation and optimizer."""
    runs: Runs = {}
    for i, training in enumerate(trainings):
        runs.setdefault((training.activation, training.optimizer), []).append(i)
    return runs


def training_function(activation: str, optimizer: str, widths: tuple[int, ...]) -> Callable[..., tuple[Array, Array]]:
    """A whole training as a pure function of (rate, params, rows, data): its validation accuracy and mean loss."""
    model = MLP(widths, ACTIVATIONS[activation])

    def train(rate: Array, params: Any, rows: Array, data: Any) -> tuple[Array, Array]:
        (x, y), (x_val, y_val), _ = data
        tx = OPTIMIZERS[optimizer](rate)

        def step(carry: Any, batch: Array) -> tuple[Any, Array]:
            params, state = carry

            def loss(params: Any) -> Array:
                logits: Any = model.apply({"params": params}, x[batch])
                return optax.softmax_cross_entropy_with_integer_labels(logits, y[batch]).mean()

            value, grads = jax.value_and_grad(loss)(params)
            updates, state = tx.update(grads, state, params)
            return (optax.apply_updates(params, updates), state), value

        (params, _), losses = jax.lax.scan(step, (params, tx.init(params)), rows)
        logits: Any = model.apply({"params": params}, x_val)
        return jnp.mean(jnp.argmax(logits, axis=-1) == y_val), jnp.mean(losses)

    return train


class Loop:
    """The trainings of one process, compiled when it is made; a call runs all of them.

    Args:
        data: `((x, y), (x_val, y_val), (x_test, y_test))`.
        trainings: what to run.
        vmapped: whether one program runs all learning rates of a structure at once, by `vmap`; otherwise they run one
            after another.
    """

    def __init__(self, data: Any, trainings: list[Training], vmapped: bool) -> None:
        self._data = jax.tree.map(jnp.asarray, data)
        self._rows = jnp.asarray(trainings[0].rows)
        self._params = jax.tree.map(jnp.asarray, named_layers(trainings[0]))
        self._length = len(trainings)
        self._programs: list[tuple[Any, list[tuple[list[int], Array]]]] = []
        widths = tuple(len(bias) for _, bias in trainings[0].layers)
        for (activation, optimizer), positions in structures(trainings).items():
            train = training_function(activation, optimizer, widths)
            rates = jnp.asarray([trainings[i].learning_rate for i in positions], jnp.float32)
            if vmapped:
                train, calls = jax.vmap(train, in_axes=(0, None, None, None)), [(positions, rates)]
            else:
                calls = [([i], rate) for i, rate in zip(positions, rates, strict=True)]
            lowered = jax.jit(train).lower(calls[0][1], self._params, self._rows, self._data)
            self._programs.append((lowered.compile(), calls))

    def __call__(self) -> list[float]:
        """The validation accuracies of the trainings, in their order."""
        accuracies = np.zeros(self._length)
        for program, calls in self._programs:
            for positions, rates in calls:
                accuracies[positions] = program(rates, self._params, self._rows, self._data)[0]
        return accuracies.tolist()


class Processes:
    """The loop in several processes, each bound to another core where the system allows it.

    The structures are distributed evenly, so that each compiles in one process only.

    Args:
        data: `((x, y), (x_val, y_val), (x_test, y_test))`.
        trainings: what to run.
        processes: how many, from 1 to the number of cores.
        vmapped: as in `Loop`.

    Attributes:
        compile_seconds: from the start of compilation to its end in the slowest process.
    """

    def __init__(self, data: Any, trainings: list[Training], processes: int, vmapped: bool = False) -> None:
        context = multiprocessing.get_context("spawn")
        chosen = cores()[:processes]
        groups = list(structures(trainings).values())
        self._length = len(trainings)
        self._positions = [
            list(itertools.chain(*groups[k :: len(chosen)])) for k in range(min(len(chosen), len(groups)))
        ]
        self._pipes: list[Connection] = []
        self._processes = []
        for core, positions in zip(chosen, self._positions, strict=False):
            pipe, end = context.Pipe()
            work = (end, core, data, [trainings[i] for i in positions], vmapped)
            process = context.Process(target=_serve, args=work, daemon=True)
            process.start()
            end.close()  # otherwise a process that dies would leave `recv` waiting
            self._pipes.append(pipe)
            self._processes.append(process)
        self.compile_seconds = max(pipe.recv().compile_seconds for pipe in self._pipes)

    def __call__(self) -> list[float]:
        """Run all trainings once; their validation accuracies, in their order."""
        for pipe in self._pipes:
            pipe.send("run")
        accuracies = np.zeros(self._length)
        for pipe, positions in zip(self._pipes, self._positions, strict=True):
            accuracies[positions] = pipe.recv()
        return accuracies.tolist()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for pipe in self._pipes:
            pipe.close()
        for process in self._processes:
            process.join()


def _serve(pipe: Connection, core: int | None, data: Any, trainings: list[Training], vmapped: bool) -> None:
    """Compile, then run all trainings at every message of the pipe, until it closes."""
    if core is not None:
        os.sched_setaffinity(0, {core})  # before JAX makes its threads: it makes one per allowed core
    started = time.perf_counter()
    loop = Loop(data, trainings, vmapped)
    pipe.send(_Ready(time.perf_counter() - started))
    try:
        while pipe.recv() == "run":
            pipe.send(loop())
    except EOFError:
        return


def cores() -> list[int | None]:
    """The cores that this process may use; None for each where the system cannot bind a process to one."""
    if hasattr(os, "sched_getaffinity"):
        return [*sorted(os.sched_getaffinity(0))]
    return [None] * (os.cpu_count() or 1)
