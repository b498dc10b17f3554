"""Programs of equal text are compiled once in a process.

Tests build the same program again and again, as another function each time, which JAX compiles each time. Tracing and
lowering stay as they are, so a test sees the program that its code makes now. Python callbacks are no part of the text:
programs with any are not shared.
"""

import hashlib
import inspect
import re
from collections import OrderedDict
from typing import Any

from jax._src import compiler

MOST = 400
_compile: Any = getattr(compiler, "backend_compile_and_load", lambda: None)
_compiled: OrderedDict[bytes, Any] = OrderedDict()


def share() -> None:
    """Let JAX ask here before it compiles, if this version of JAX compiles by a function with the same arguments."""
    theirs, ours = (list(inspect.signature(f).parameters) for f in (_compile, _compile_once))
    if theirs == ours:
        compiler.backend_compile_and_load = _compile_once


def clear() -> None:
    _compiled.clear()


def _compile_once(backend: Any, module: Any, executable_devices: Any, options: Any, host_callbacks: Any) -> Any:
    if host_callbacks:
        return _compile(backend, module, executable_devices, options, host_callbacks)
    text = re.sub(r"^module @\S+", "module", str(module))
    places = f"{backend.platform} {[device.id for device in executable_devices]}"
    key = hashlib.sha256(f"{places}\n{text}".encode() + options.SerializeAsString()).digest()
    if key not in _compiled:
        _compiled[key] = _compile(backend, module, executable_devices, options, host_callbacks)
        while len(_compiled) > MOST:
            _compiled.popitem(last=False)
    _compiled.move_to_end(key)
    return _compiled[key]
