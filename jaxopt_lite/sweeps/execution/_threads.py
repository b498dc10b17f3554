"""Workers in this process: a thread for each core or device."""

import importlib
from collections.abc import Mapping, Sequence
from functools import partial
from threading import Event
from typing import Any

import jax

from jaxopt_lite.sweeps.execution._pool import Pool
from jaxopt_lite.sweeps.execution._work import Answer, Failed, Work, attempted
from jaxopt_lite.sweeps.programs._program import Programs

# jax.enable_x64 exists since jax 0.8
_enable_x64: Any = (
    jax.enable_x64 if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental").enable_x64
)


class Threads(Pool):
    """Does works in threads. On a CPU all threads share the device, whose programs run side by side."""

    def __init__(self, programs: Mapping[int, Sequence[Programs]], data: Sequence[Any], workers: int) -> None:
        """Start the threads.

        Args:
            programs: by number of the group, the programs on each device.
            data: the data on each device.
            workers: number of threads.
        """
        x64 = bool(jax.config.jax_enable_x64)  # type: ignore[attr-defined]
        super().__init__([partial(_Thread, programs, data, nth % len(data), x64) for nth in range(workers)])


class _Thread:
    """A worker of this process, on one device."""

    def __init__(
        self, programs: Mapping[int, Sequence[Programs]], data: Sequence[Any], device: int, x64: bool, _: Event
    ) -> None:
        self._programs, self._data, self._device, self._x64 = programs, data, device, x64

    def perform(self, work: Work) -> Answer | Failed:
        with _enable_x64(self._x64):  # the caller's setting, which may hold in the caller's thread alone
            return attempted(self._programs[work.group][self._device], self._data[self._device], work)

    def close(self) -> None:
        pass
