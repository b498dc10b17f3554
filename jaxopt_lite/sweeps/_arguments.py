"""The arguments of a sweep, checked."""

from collections.abc import Iterable, Sequence
from typing import Any, Literal

import numpy as np

from jaxopt_lite._names import count
from jaxopt_lite.sweeps._task_error import TaskError
from jaxopt_lite.sweeps.execution._processes import Processes
from jaxopt_lite.sweeps.execution._ray import RayCluster
from jaxopt_lite.sweeps.programs._layout import Layout
from jaxopt_lite.sweeps.strategies import Never, Population, Stop

On = Processes | RayCluster


def placed(layout: Layout, on: On | None) -> Layout:
    """The layout for what trains: each worker elsewhere has one device.

    Raises:
        TypeError: `on` is of another type.
        TaskError: processes of this machine would share an accelerator.
    """
    if on is None:
        return layout
    if not isinstance(on, Processes | RayCluster):
        raise TypeError(f"on takes sweeps.processes(...) or sweeps.ray(...), got {on!r}")
    devices = layout.devices or ()
    if isinstance(on, Processes) and devices[0].platform != "cpu":
        raise TaskError(
            f"processes of this machine would share its {devices[0].device_kind}: leave on= out, this process uses all "
            "devices; or use sweeps.ray(...) with a device for each worker"
        )
    return layout._replace(devices=devices[:1])


def members(
    search: Population, trials: int | None, seeds: tuple[int, ...], stop: Any, confirm: Any, layout: Layout | None
) -> int:
    """The number of trials of a population.

    Raises:
        TaskError: another argument does not go with a population.
    """
    if trials not in (None, search.size):
        raise TaskError(f"trials={trials} does not go with {search!r}, which has {search.size}: leave trials out")
    if len(seeds) > 1:
        raise TaskError(
            f"a population has one seed, got {len(seeds)}: each member's settings change during training, so seeds of "
            "one setting do not exist; run the sweep again with seeds=[1] for another population"
        )
    for name, value in (("stop", stop), ("confirm", confirm)):
        if value is not None:
            raise TaskError(f"{name}={value!r} does not go with a population, whose settings change during training")
    if layout is not None and layout.merge:
        raise TaskError("a layout with merge=True does not go with a population: leave merge out")
    return search.size


def stop(stop: Stop | None, steps: int) -> Stop:
    """The rule that stops trials.

    Raises:
        TypeError: it is none.
        ValueError: it would compare trials before their first step.
    """
    if stop is None:
        return Never()
    if not isinstance(stop, Stop):
        raise TypeError(f"stop takes sweeps.halving(...), sweeps.hyperband(...) or sweeps.median(...), got {stop!r}")
    stop.rungs(steps)  # the first must not be below one step
    return stop


def confirm(confirm: Any, settings: int) -> tuple[int, int] | None:
    """How many of the best settings run with how many further seeds.

    Raises:
        ValueError: it is no pair of whole numbers of at least 1.
        TaskError: the sweep has fewer settings.
    """
    if confirm is None:
        return None
    pair = tuple(confirm) if isinstance(confirm, Iterable) else ()
    if len(pair) != 2 or any(isinstance(x, bool) or not isinstance(x, int | np.integer) or x < 1 for x in pair):
        raise ValueError(f"confirm takes (k, n), the number of settings and of further seeds for each; got {confirm!r}")
    if pair[0] > settings:
        raise TaskError(f"confirm={pair} needs {pair[0]} settings, but the sweep has {count(settings, 'setting')}")
    return int(pair[0]), int(pair[1])


def keep(keep: Any) -> int | Literal["all"]:
    """Of how many of the best settings the final states are kept.

    Raises:
        ValueError: it is neither a number nor `"all"`.
    """
    if keep == "all":
        return "all"
    if isinstance(keep, bool) or not isinstance(keep, int | np.integer) or keep < 0:
        raise ValueError(f'keep takes a number of settings, at least 0, or "all"; got {keep!r}')
    return int(keep)


def seed(seed: Any) -> int:
    """What decides which points are drawn.

    Raises:
        ValueError: it is no whole number of at least 0.
    """
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
        raise ValueError(f"seed must be a whole number of at least 0, got {seed!r}")
    return int(seed)


def seeds(seeds: int | Sequence[int]) -> tuple[int, ...]:
    """The seeds.

    Raises:
        ValueError: they are not different whole numbers from 0 to 2³² − 1.
    """
    given = range(seeds) if isinstance(seeds, int | np.integer) and not isinstance(seeds, bool) else seeds
    if not isinstance(given, Iterable) or isinstance(given, str):
        raise ValueError(f"seeds must be a number of seeds or a list of them, got {seeds!r}")
    given = list(given)
    if any(isinstance(s, bool) or not isinstance(s, int | np.integer) for s in given):
        raise ValueError(f"seeds must be whole numbers, got {seeds!r}")
    out = tuple(int(s) for s in given)
    if not out or len(set(out)) < len(out) or min(out) < 0 or max(out) >= 1 << 32:
        raise ValueError(f"seeds must be at least 1, or a list of different numbers from 0 to 2³² − 1; got {seeds!r}")
    return out
