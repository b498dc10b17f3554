"""Workers that do the works of a sweep, each driven by a thread, and what happens if one is lost."""

import math
import queue
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import NamedTuple, Protocol

from jaxopt_lite.sweeps.execution._work import Answer, Failed, Work

TRIES = 3


def check_patience(seconds: float) -> None:
    """Check how long workers may be silent.

    Raises:
        ValueError: less than 2 seconds: a worker gives a sign of life every second.
    """
    if not isinstance(seconds, int | float) or not 2 <= seconds < math.inf:
        raise ValueError(f"patience must be a number of seconds of at least 2, got {seconds!r}")


class Lost(Exception):
    """A worker no longer answers; the text says what became of it."""


class Unfit(RuntimeError):
    """A worker cannot do the works of this sweep, and one started in its place could not either; the text says why."""


class Worker(Protocol):
    """What does one work at a time."""

    def perform(self, work: Work) -> Answer | Failed:
        """Do a work.

        Raises:
            Lost: the worker is gone.
            Unfit: it cannot do works of this group.
        """
        ...

    def close(self) -> None:
        """Let it end."""
        ...


Start = Callable[[threading.Event], Worker]


class Pool:
    """Gives works to workers. A work whose worker is lost is given to another; after `TRIES` losses it has failed.

    A worker takes works as soon as it has started: one on a machine that joins late helps from then on. One that is
    unfit, or could not be started in `TRIES` attempts, leaves its works to the others, with a warning; if no other is
    left, the works get its error.

    Attributes:
        slots: how many works should be submitted at a time.
        lost: number of workers that were lost.
    """

    def __init__(self, starts: Sequence[Start]) -> None:
        """A pool without works, which starts the workers when there are any.

        Args:
            starts: for each worker what starts it, and starts another in its place if it is lost. It is given an event:
                when that is set, nothing needs the worker any more.
        """
        self.slots = 2 * len(starts)  # for each worker, one runs and one waits
        self.lost = 0
        self._closed = threading.Event()
        self._items: queue.SimpleQueue[_Item | None] = queue.SimpleQueue()
        self._threads = [threading.Thread(target=self._serve, args=(start,), daemon=True) for start in starts]
        self._starting = set(self._threads)
        self._left = len(starts)  # workers that are not out of the pool
        self._guard = threading.Lock()
        self._warnings: queue.SimpleQueue[str] = queue.SimpleQueue()

    def submit(self, work: Work) -> Future[Answer | Failed]:
        """Do a work when a worker is free; the first one starts the workers."""
        self._warn()
        for thread in self._threads:
            if thread.ident is None:
                thread.start()
        future: Future[Answer | Failed] = Future()
        self._items.put(_Item(work, future))
        return future

    def close(self) -> None:
        """Wait for the works that are running, not for workers that are being started; the workers end."""
        self._closed.set()
        for _ in self._threads:
            self._items.put(None)
        for thread in self._threads:
            if thread.ident is None:
                continue
            thread.join(timeout=1.0 if thread in self._starting else None)
        self._warn()

    def _warn(self) -> None:
        """Warn of workers that are out, from the thread of the sweep."""
        while self._left and not self._warnings.empty():
            warnings.warn(self._warnings.get(), RuntimeWarning, stacklevel=2)

    def _serve(self, start: Start) -> None:
        """Drive a worker until the pool is closed, and start another whenever it is lost."""
        me, tries = threading.current_thread(), 0
        while True:
            self._starting.add(me)
            try:
                worker = start(self._closed)
            except Exception as error:
                if self._closed.is_set():
                    return
                if isinstance(error, Lost):
                    tries, self.lost = tries + 1, self.lost + 1
                    if tries < TRIES:
                        continue
                self._starting.discard(me)
                self._leave(RuntimeError(f"a worker cannot be started: {error}") if tries == TRIES else error)
                return
            self._starting.discard(me)
            tries = 0
            try:
                while (item := self._items.get()) is not None:
                    self._do(worker, item)
                worker.close()
                return
            except Lost:
                self.lost += 1
            except Unfit as error:
                worker.close()
                self._leave(error)
                return

    def _do(self, worker: Worker, item: "_Item") -> None:
        """Do one work.

        Raises:
            Lost: the worker is gone; the work waits for another, or has failed.
            Unfit: the work waits for another worker.
        """
        if not item.future.running() and not item.future.set_running_or_notify_cancel():
            return
        try:
            item.future.set_result(worker.perform(item.work))
        except Lost as error:
            if len(item.losses) + 1 < TRIES:
                self._items.put(_Item(item.work, item.future, (*item.losses, str(error))))
            else:
                item.future.set_result(Failed(f"lost {TRIES} workers, the last because {error}"))
            raise
        except Unfit:
            self._items.put(item)
            raise
        except BaseException as error:
            item.future.set_exception(error)

    def _leave(self, error: Exception) -> None:
        """Take a worker out of the pool; of the last one, give the error to all works until the pool is closed."""
        with self._guard:
            self._left -= 1
            others = self._left
        if others:
            self._warnings.put(f"{error}. The sweep goes on without it")
            return
        while (item := self._items.get()) is not None:
            if item.future.running() or item.future.set_running_or_notify_cancel():
                item.future.set_exception(error)


class _Item(NamedTuple):
    work: Work
    future: Future[Answer | Failed]
    losses: tuple[str, ...] = ()
