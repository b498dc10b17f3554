"""Workers on a Ray cluster: an actor for each core or accelerator."""

import math
import socket
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from threading import Event
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from jaxopt_lite._names import count
from jaxopt_lite.sweeps._task_error import TaskError
from jaxopt_lite.sweeps.execution._pool import Lost, Pool, Unfit, check_patience
from jaxopt_lite.sweeps.execution._portable import Recipe, Setup, Shipped, Station, setup
from jaxopt_lite.sweeps.execution._work import Answer, Failed, Work, one_line
from jaxopt_lite.training import StreamError

_LOOK_SECONDS = 0.5


class RayCluster(NamedTuple):
    """What `ray` returns: run a sweep on a Ray cluster."""

    address: str
    number: int | None
    resources: tuple[tuple[str, float], ...]
    patience: float

    def setup(self, plan: Shipped) -> Setup:
        """What workers need of a plan.

        Raises:
            TaskError: the task cannot be sent.
        """
        return setup(plan.task, plan.groups, plan.layout, by_value=True)

    def open(self, ready: Setup, recipes: Callable[[int], Recipe]) -> Pool:
        """Start the workers.

        Args:
            ready: what `setup` returned.
            recipes: how the programs of a group are built.

        Raises:
            TaskError: there is no cluster.
        """
        library = _connected(self.address)
        sent = library.put(ready)
        amounts = dict(self.resources)
        actor = library.remote(_Station).options(
            num_cpus=amounts.pop("CPU", 0),
            num_gpus=amounts.pop("GPU", 0),
            resources=amounts,
            max_concurrency=2,  # one call trains, one answers whether the worker is alive
        )
        return Pool([partial(_Actor, library, actor, sent, recipes, self.patience)] * self.workers())

    def workers(self) -> int:
        """The number of workers: as given, or as many as the cluster has room for.

        Warns if the number is given and there is no room yet, since nodes may join later.

        Raises:
            TaskError: no number is given, and the cluster has no room for a worker.
        """
        there = _connected(self.address).cluster_resources()
        room = min(math.floor(there.get(name, 0) / amount) for name, amount in self.resources if amount)
        if room < 1:
            wanted = ", ".join(f"{amount:g} {name}" for name, amount in self.resources)
            missing = f"the Ray cluster at {self.address!r} has no room for a worker of {wanted}: it has {there}"
            if self.number is None:
                raise TaskError(missing)
            warnings.warn(f"{missing}. The sweep waits until a node with room joins it", stacklevel=2)
        return self.number or room

    def __str__(self) -> str:
        number = "all workers" if self.number is None else count(self.number, "worker")
        return f"{number} of the Ray cluster at {self.address!r}"


def ray(
    address: str = "auto",
    *,
    workers: int | None = None,
    resources: Mapping[str, float] | None = None,
    patience: float = 60.0,
) -> RayCluster:
    """Run a sweep on a Ray cluster, as `sweeps.run(..., on=sweeps.ray("auto"))`.

    Needs `pip install 'jaxopt-lite[ray]'`, on all nodes. Nodes need the same versions of Python and JAX as this
    process, devices of the kind that this process has, and the packages that the task uses; your own modules are sent.
    Each worker builds the programs of the sweep. This process alone writes the ledger. A worker or node that is lost
    costs the segments it was training; another worker does them again. Runs are bitwise the same on the same type of
    CPU.

    Args:
        address: `"auto"` for the cluster that this process is connected to, or that runs on this machine; `"local"` for
            a new one in this machine; or an address such as `"10.0.0.1:6379"` or `"ray://10.0.0.1:10001"`. Default:
            `"auto"`.
        workers: number of workers, at least 1; more than the cluster has room for wait for nodes that join. Default: as
            many as the cluster has room for at the start.
        resources: what each worker takes, by Ray's names, as `{"GPU": 1}`. Default: one CPU.
        patience: seconds without a sign of life after which a worker is replaced. Default: 60.

    Returns:
        The argument `on` of `sweeps.run`, `plan` and `execute`.

    Raises:
        ValueError: an argument is out of range.
        ModuleNotFoundError: Ray is not installed.

    Example:
        >>> from jaxopt_lite import sweeps
        >>> print(sweeps.ray("auto", workers=4))  # doctest: +SKIP
        4 workers of the Ray cluster at 'auto'
    """
    _ray()
    if workers is not None and (isinstance(workers, bool) or not isinstance(workers, int) or workers < 1):
        raise ValueError(f"ray takes a number of workers, at least 1; got {workers!r}")
    wanted = {"CPU": 1.0} if resources is None else {name: float(x) for name, x in resources.items()}
    if not wanted or any(not x >= 0 for x in wanted.values()) or not any(wanted.values()):
        raise ValueError(f'resources takes amounts above 0 by name, as {{"GPU": 1}}; got {resources!r}')
    check_patience(patience)
    return RayCluster(address, workers, tuple(wanted.items()), float(patience))


class _Station:
    """The part of a worker that runs on the cluster."""

    def __init__(self) -> None:
        self._station: Station | None = None

    def setup(self, ready: Setup) -> str | None:
        try:
            self._station = Station(ready)
        except RuntimeError as error:
            return str(error)
        return None

    def load(self, recipe: Recipe) -> Failed | str | None:
        assert self._station is not None
        try:
            return self._station.load(recipe)
        except RuntimeError as error:
            return str(error)

    def perform(self, work: Work) -> Answer | Failed:
        assert self._station is not None
        return self._station.perform(work)

    def alive(self) -> bool:
        return True


class _Actor:
    """The part of a worker that runs here."""

    def __init__(
        self, library: Any, actor: Any, ready: Any, recipes: Callable[[int], Recipe], patience: float, closed: Event
    ) -> None:
        """Start it, when the cluster has room.

        Raises:
            Lost: it ended at once, or is not needed any more.
            Unfit: it cannot do the works of this sweep.
        """
        self._ray, self._recipes, self._patience = library, recipes, patience
        self._loaded: set[int] = set()
        self._actor = actor.remote()
        self._check(self._answer(self._actor.setup.remote(ready), closed))

    def perform(self, work: Work) -> Answer | Failed:
        if work.group not in self._loaded:
            found = self._answer(self._actor.load.remote(self._recipes(work.group)))
            if isinstance(found, Failed):
                return found
            self._check(found)
            self._loaded.add(work.group)
        return self._answer(self._actor.perform.remote(work))

    def close(self) -> None:
        self._ray.kill(self._actor)

    def _check(self, refused: str | None) -> None:
        if refused is not None:
            self.close()
            raise Unfit(refused)

    def _answer(self, reference: Any, closed: Event | None = None) -> Any:
        """The answer of a call; while there is none, the worker must say that it is alive.

        Args:
            reference: the answer to come.
            closed: given while the worker may wait for room on the cluster; when it is set, nobody waits any more.

        Raises:
            Lost: the worker is gone.
            StreamError: the data cannot be read.
        """
        errors = self._ray.exceptions
        try:
            while not self._ray.wait([reference], timeout=_LOOK_SECONDS)[0]:
                if closed is None:
                    self._ray.get(self._actor.alive.remote(), timeout=self._patience)
                elif closed.is_set():
                    self._ray.kill(self._actor)
                    raise Lost("the sweep has ended")
            return self._ray.get(reference)
        except errors.GetTimeoutError:
            self._ray.kill(self._actor)
            raise Lost(f"it gave no sign of life for {self._patience:g} s") from None
        except errors.RayTaskError as error:  # of this package: errors of the task are answers
            if isinstance(error.cause, StreamError):  # whose text Ray begins with a traceback
                raise error.cause from None
            raise
        except errors.RayError as error:  # the worker, its node, its memory
            self._ray.kill(self._actor)
            raise Lost(one_line(error)) from None


def _ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "on=sweeps.ray(...) needs Ray: pip install 'jaxopt-lite[ray]', on all nodes of the cluster", name="ray"
        ) from error
    return ray


def _numeric(ray: Any, address: str) -> str:
    """An address with its host as the number that other machines use, if the host is known."""
    host, _, port = address.rpartition(":")
    try:
        number = socket.gethostbyname(host)
    except OSError:
        return address
    return f"{ray.util.get_node_ip_address() if number.startswith('127.') else number}:{port}"


def _connected(address: str) -> Any:
    """Ray, connected to a cluster until this process ends.

    Raises:
        TaskError: there is no cluster at the address.
    """
    ray = _ray()
    if ray.is_initialized():
        there = ray.get_runtime_context().gcs_address
        other = address not in ("auto", "local") and "//" not in address
        if other and _numeric(ray, address) != _numeric(ray, there):
            raise TaskError(
                f"this process is connected to the Ray cluster at {there!r}, so it cannot use that at {address!r}: "
                'call ray.shutdown() first, or give "auto" for the cluster that it is connected to'
            )
        return ray
    try:
        place = urlsplit(address if "//" in address else f"//{address}")
        if place.port is not None:  # Ray itself tries for many minutes
            socket.create_connection((place.hostname, place.port), timeout=10).close()
        ray.init(address=address, log_to_driver=False, logging_level="error", configure_logging=False)
    except (OSError, ValueError, RuntimeError) as error:
        raise TaskError(
            f"no Ray cluster answers at {address!r} ({str(error).strip().splitlines()[0]}): start one with "
            '`ray start --head`, or give its address, or "local" for one in this machine'
        ) from error
    return ray
