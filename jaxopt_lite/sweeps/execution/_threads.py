"""The executor of this process: a thread for each core or device."""

import importlib
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax

from jaxopt_lite.sweeps.execution._work import Answer, Work, perform
from jaxopt_lite.sweeps.programs._program import Programs

# jax.enable_x64 exists since jax 0.8
_enable_x64: Any = (
    jax.enable_x64 if hasattr(jax, "enable_x64") else importlib.import_module("jax.experimental").enable_x64
)


class Threads:
    """Does works in threads. On a CPU all threads share the device, whose programs run side by side.

    Attributes:
        slots: how many works should be submitted at a time.
    """

    def __init__(self, programs: Mapping[int, Sequence[Programs]], data: Sequence[Any], workers: int) -> None:
        """Start the threads.

        Args:
            programs: by number of the group, the programs on each device.
            data: the data on each device.
            workers: number of threads.
        """
        self.slots = 2 * workers  # one runs and one waits
        self._programs, self._data = programs, data
        self._devices = deque(range(len(data)))
        self._claim = threading.Lock()
        self._local = threading.local()
        self._x64 = jax.config.jax_enable_x64  # type: ignore[attr-defined]
        self._pool = ThreadPoolExecutor(workers, initializer=self._claim_device)

    def submit(self, work: Work) -> Future[Answer]:
        """Do a work when a thread is free."""
        return self._pool.submit(self._perform, work)

    def close(self) -> None:
        """Wait for the works that are running; the threads end."""
        self._pool.shutdown()

    def _claim_device(self) -> None:
        with self._claim:
            self._local.device = self._devices[0]
            self._devices.rotate(-1)

    def _perform(self, work: Work) -> Answer:
        nth = self._local.device
        with _enable_x64(self._x64):  # the caller's setting, which may hold in the caller's thread alone
            return perform(self._programs[work.group][nth], self._data[nth], work)
