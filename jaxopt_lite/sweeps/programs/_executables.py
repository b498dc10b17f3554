"""Compiled programs, shared between programs whose text and constants are equal."""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.extend
import numpy as np

# One thread per program: the other cores run other chunks, and the order of a sum must not depend on their number.
CPU_OPTIONS: dict[str, str | bool] = {"xla_cpu_multi_thread_eigen": False}
_CACHED: OrderedDict[tuple[str, Any], Any] = OrderedDict()
_LOCKS: dict[tuple[str, Any], threading.Lock] = {}
_GUARD = threading.Lock()
_MOST = 128


class Lowered(NamedTuple):
    """A program that is traced and lowered, not yet compiled; its digest is the same in every process.

    Attributes:
        program: JAX's lowered program.
        device: where it will run.
        digest: of its text and constants.
        calls_back: whether it calls Python functions, which its text does not distinguish.
        used: for each array among its arguments, whether an operation or a result uses it.
        lower: lowers it for a device.
    """

    program: Any
    device: Any
    digest: str
    calls_back: bool
    used: list[bool]
    lower: Callable[[Any], Any]

    def on(self, device: Any) -> "Lowered":
        """The same for another device of the same kind; it is not traced again."""
        return self if device == self.device else self._replace(program=self.lower(device), device=device)

    def compiled(self) -> tuple[Any, int]:
        """The executable, and whether it had to be compiled (1) or an equal program was compiled before (0)."""
        options = CPU_OPTIONS if self.device.platform == "cpu" else None
        if self.calls_back:
            return self.program.compile(compiler_options=options), 1
        key = (self.digest, self.device)
        with _GUARD:
            lock = _LOCKS.setdefault(key, threading.Lock())
        with lock:
            with _GUARD:
                if key in _CACHED:
                    _CACHED.move_to_end(key)
                    return _CACHED[key], 0
            executable = self.program.compile(compiler_options=options)
            with _GUARD:
                _CACHED[key] = executable
                while len(_CACHED) > _MOST:
                    _LOCKS.pop(_CACHED.popitem(last=False)[0], None)
            return executable, 1


def lowered(function: Any, device: Any, arguments: Sequence[Any], donated: tuple[int, ...] = ()) -> Lowered:
    """Trace and lower a function for some shapes.

    The digest covers the text, the trees of arguments and results, and the arrays that the function captures: with
    `JAX_USE_SIMPLIFIED_JAXPR_CONSTANTS` the text does not contain those.

    Args:
        function: the function.
        device: where it will run.
        arguments: shapes of its arguments.
        donated: numbers of the arguments that it may overwrite.
    """

    def traced_for(device: Any) -> Any:
        placed = jax.sharding.SingleDeviceSharding(device)
        # unused arguments are kept: programs of equal text then take equal arguments, so that they can be shared
        options: dict[str, Any] = {"in_shardings": placed, "out_shardings": placed, "keep_unused": True}
        return jax.jit(function, donate_argnums=donated, **options).trace(*arguments)

    traced = traced_for(device)
    program = traced.lower()
    text = program.as_text()
    digest = hashlib.sha256("\n".join([text, str(program.in_tree), str(program.out_tree)]).encode())
    for constant in _constants(traced.jaxpr):
        update(digest, constant)
    used = _used_inputs(traced.jaxpr.jaxpr)
    return Lowered(
        program, device, digest.hexdigest(), "callback" in text, used, lambda other: traced_for(other).lower()
    )


def clear() -> None:
    """Forget all executables, to free their memory."""
    with _GUARD:
        _CACHED.clear()
        _LOCKS.clear()


def update(digest: Any, leaf: Any) -> None:
    """Add dtype, shape and bytes of an array to a digest, without a copy of an array that is contiguous in memory."""
    if isinstance(leaf, jax.Array) and jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        digest.update(str(jax.random.key_impl(leaf)).encode())
        leaf = jax.random.key_data(leaf)
    array = np.asarray(leaf)
    digest.update(f"{array.dtype}{array.shape}".encode())
    digest.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)


def _constants(jaxpr: Any) -> Iterator[Any]:
    """The arrays in a closed jaxpr, those of its inner jaxprs included."""
    core = jax.extend.core
    yield from jaxpr.consts
    for equation in jaxpr.jaxpr.eqns:
        yield from (v.val for v in equation.invars if isinstance(v, core.Literal) and np.ndim(v.val))
        for inner in jax.tree.leaves(
            list(equation.params.values()), is_leaf=lambda x: isinstance(x, core.ClosedJaxpr | core.Jaxpr)
        ):
            if isinstance(inner, core.ClosedJaxpr):
                yield from _constants(inner)
            elif isinstance(inner, core.Jaxpr):
                yield from _constants(core.ClosedJaxpr(inner, []))


def _used_inputs(jaxpr: Any) -> list[bool]:
    """Whether each input of a jaxpr is an input of one of its operations, or one of its results.

    Loops over stacked inputs and calls of jitted functions are looked into; other operations count as using all of
    their inputs.
    """
    core = jax.extend.core
    used = {v for v in jaxpr.outvars if not isinstance(v, core.Literal)}
    for equation in jaxpr.eqns:
        inner = equation.params.get("jaxpr")
        flags = [True] * len(equation.invars)
        if equation.primitive.name in ("scan", "pjit", "jit") and isinstance(inner, core.ClosedJaxpr):
            flags = _used_inputs(inner.jaxpr)
        used |= {v for v, flag in zip(equation.invars, flags, strict=True) if flag and not isinstance(v, core.Literal)}
    return [v in used for v in jaxpr.invars]
