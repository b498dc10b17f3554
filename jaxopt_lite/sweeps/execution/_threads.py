"""Workers in this process: a thread for each core or device."""

import importlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from functools import partial
from threading import Event, Lock
from typing import Any

import jax

from jaxopt_lite.sweeps.execution._pool import Pool
from jaxopt_lite.sweeps.execution._work import Answer, Failed, Work, attempted
from jaxopt_lite.sweeps.programs._program import Programs

# jax.enable_x64 exists since jax 0.8
_enable_x64: Any = (
    jax.enable_x64 if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental").enable_x64
)


class Threads:
    """Does works in threads. On a CPU all threads share the device, whose programs run side by side.

    Attributes:
        slots: how many works should be submitted at a time.
        lost: number of workers that were lost, of which there are none in this process.
    """

    lost = 0

    def __init__(self, programs: Mapping[int, Mapping[int, Programs]], data: Sequence[Any], workers: int) -> None:
        """Start the threads.

        Args:
            programs: by number of the group, its programs by number of the device.
            data: the data on each device.
            workers: number of threads, shared out to the devices.
        """
        x64, each = bool(jax.config.jax_enable_x64), max(1, workers // len(data))  # type: ignore[attr-defined]
        self._pools = [Pool([partial(_Thread, programs, data, device, x64)] * each) for device in range(len(data))]
        self.slots = sum(pool.slots for pool in self._pools)
        self._programs = programs
        self._works = [0] * len(data)  # of each device, those that run or wait
        self._guard = Lock()

    def submit(self, work: Work) -> Future[Answer | Failed]:
        """Do a work when a thread of the least busy device is free, among those that have its programs."""
        with self._guard:
            device = min(self._programs[work.group], key=self._works.__getitem__)
            self._works[device] += 1
        future = self._pools[device].submit(work)
        future.add_done_callback(lambda _: self._finished(device))
        return future

    def close(self) -> None:
        """Wait for the works that are running; the threads end."""
        for pool in self._pools:
            pool.close()

    def _finished(self, device: int) -> None:
        with self._guard:
            self._works[device] -= 1


class _Thread:
    """A worker of this process, on one device."""

    def __init__(
        self, programs: Mapping[int, Mapping[int, Programs]], data: Sequence[Any], device: int, x64: bool, _: Event
    ) -> None:
        self._programs, self._data, self._device, self._x64 = programs, data, device, x64

    def perform(self, work: Work) -> Answer | Failed:
        with _enable_x64(self._x64):  # the caller's setting, which may hold in the caller's thread alone
            return attempted(self._programs[work.group][self._device], self._data[self._device], work)

    def close(self) -> None:
        pass
