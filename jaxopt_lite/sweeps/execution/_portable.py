"""A sweep's task and structures in a form that another process can load, which builds the same programs from them."""

import inspect
import os
import platform
import site
import sys
import sysconfig
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from types import ModuleType
from typing import Any, NamedTuple, Protocol

import jax
import jaxlib.version

from jaxopt_lite.sweeps._task_error import TaskError
from jaxopt_lite.sweeps.execution._work import Answer, Failed, Work, attempted, one_line
from jaxopt_lite.sweeps.programs._group import Group
from jaxopt_lite.sweeps.programs._layout import Layout
from jaxopt_lite.sweeps.programs._program import Programs
from jaxopt_lite.sweeps.programs._trace import trace
from jaxopt_lite.training import Task

# What of JAX's configuration changes programs or where they are cached.
_CONFIGURATION = (
    "jax_enable_x64",
    "jax_default_matmul_precision",
    "jax_default_prng_impl",
    "jax_threefry_partitionable",
    "jax_numpy_dtype_promotion",
    "jax_disable_most_optimizations",
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


class Shipped(Protocol):
    """What workers need of a plan."""

    @property
    def task(self) -> Task:
        """The training problem."""
        ...

    @property
    def groups(self) -> Sequence[Group]:
        """The groups of trials of one structure."""
        ...

    @property
    def layout(self) -> Layout:
        """Devices, merging and how chunks start."""
        ...


class Setup(NamedTuple):
    """What a worker needs to build the programs of a sweep.

    Attributes:
        versions: of Python, JAX and jaxlib.
        device: platform and kind of the device.
        configuration: of JAX, by name.
        sent: the task and the groups, pickled.
        layout: how runs are packed, without the devices.
    """

    versions: dict[str, str]
    device: tuple[str, str]
    configuration: dict[str, Any]
    sent: bytes
    layout: Layout


class Recipe(NamedTuple):
    """How a worker builds the programs of a group.

    Attributes:
        group: number of the group.
        width: number of trials in a chunk.
        digests: those that its programs must have.
    """

    group: int
    width: int
    digests: tuple[str, ...]


def setup(task: Task, groups: Sequence[Group], layout: Layout, by_value: bool) -> Setup:
    """What workers of a sweep need.

    Args:
        task: the training problem.
        groups: the groups of the sweep.
        layout: how runs are packed; workers have a device like its first one.
        by_value: whether functions of the user's own modules are sent themselves, for machines without these modules.

    Raises:
        TaskError: the task or a structure cannot be sent.
    """
    device = (layout.devices or ())[0]
    configuration = {name: getattr(jax.config, name) for name in _CONFIGURATION if hasattr(jax.config, name)}
    sent = _pickled(task, groups, by_value)
    return Setup(_versions(), (device.platform, device.device_kind), configuration, sent, layout._replace(devices=None))


class Station:
    """What a worker process holds: the task, its data on a device, and the programs it has built so far."""

    def __init__(self, setup: Setup) -> None:
        """Get ready to build programs.

        Raises:
            RuntimeError: this process has other versions, no device of the kind, or cannot load the task.
        """
        here = f"the worker on {platform.node()}"
        if setup.versions != _versions():
            raise RuntimeError(
                f"{here} has {_listed(_versions())}, and the sweep was started with {_listed(setup.versions)}: install "
                "the same versions"
            )
        for name, value in setup.configuration.items():
            jax.config.update(name, value)
        if setup.device[0] == "cpu":
            jax.config.update("jax_platforms", "cpu")
        self._device = jax.local_devices()[0]
        found = self._device.platform, self._device.device_kind
        if found != setup.device:
            raise RuntimeError(
                f"{here} has the device {': '.join(found)}, and the sweep was started on {': '.join(setup.device)}"
            )
        try:
            import cloudpickle

            self._task, self._groups = cloudpickle.loads(setup.sent)
        except Exception as error:
            raise RuntimeError(f"{here} cannot load the task: {one_line(error)}") from error
        self._data = jax.device_put(self._task.data, self._device)
        self._layout = setup.layout._replace(devices=(self._device,))
        self._programs: dict[int, Programs] = {}

    def load(self, recipe: Recipe) -> Failed | None:
        """Build the programs of a group.

        Returns:
            None, or the error that the task raises.

        Raises:
            RuntimeError: they are not those of the sweep.
        """
        try:
            traced = trace(self._task, self._groups[recipe.group], recipe.width, self._device, self._layout)
            programs, _ = traced.compiled()
        except Exception as error:
            return Failed(f"the worker on {platform.node()} cannot build the programs: {one_line(error)}")
        if traced.digests != recipe.digests:
            raise RuntimeError(
                f"the worker on {platform.node()} builds another program from the task than the process that started "
                "the sweep: are its packages of the same versions, and is what the task reads from files and the "
                "environment the same?"
            )
        self._programs[recipe.group] = programs
        return None

    def perform(self, work: Work) -> Answer | Failed:
        """Do a work of a group whose programs are built."""
        found = attempted(self._programs[work.group], self._data, work)
        return Failed(found.text) if isinstance(found, Failed) else found


def _pickled(task: Task, groups: Sequence[Group], by_value: bool) -> bytes:
    """The task and the groups as bytes.

    Raises:
        TaskError: something in them cannot be pickled.
    """
    import cloudpickle

    from jaxopt_lite.sweeps.execution._pickle import dumps

    registered = cloudpickle.list_registry_pickle_by_value()  # by the user, and stay so
    with ExitStack() as undo:
        for module in _own_modules() if by_value else []:
            if module.__name__ in registered:
                continue
            cloudpickle.register_pickle_by_value(module)
            undo.callback(cloudpickle.unregister_pickle_by_value, module)
        try:
            return dumps((task, list(groups)))
        except Exception as error:
            raise TaskError(
                f"task {task.name!r} cannot be sent to another process because of {_culprit(task, groups)}: "
                f"{one_line(error)}. Make it inside the function that uses it, or run the sweep in this process, "
                "without on="
            ) from error


def _own_modules() -> list[ModuleType]:
    """The modules that are neither installed packages nor part of Python, which other machines may not have."""
    folders = {*map(sysconfig.get_path, ("stdlib", "platstdlib", "purelib", "platlib")), site.getusersitepackages()}
    installed = tuple(f"{folder}{os.sep}" for folder in folders)
    return [
        module
        for name, module in list(sys.modules.items())
        if (file := getattr(module, "__file__", None))
        and not file.startswith(installed)
        and getattr(module, "__name__", None) == name  # not a second name of a module
        and name.partition(".")[0] not in ("__main__", "__mp_main__", "jaxopt_lite")
    ]


def _culprit(task: Task, groups: Sequence[Group]) -> str:
    """In words, what cannot be pickled: a field of the task, a variable that a function captures, or a setting."""
    from jaxopt_lite.sweeps.execution._pickle import dumps

    def fails(value: Any) -> bool:
        try:
            dumps(value)
        except Exception:
            return True
        return False

    seen: set[int] = set()
    name, value, found = "the task", task, True
    parts: dict[str, Any] = {f"its {field}": value for field, value in task._asdict().items()}
    parts |= {f"the setting {leaf!r}": leaf for group in groups for leaf in group.pattern}
    while found:
        found = False
        for name_of_part, part in parts.items():
            if id(part) not in seen and fails(part):
                seen.add(id(part))
                name, value, found = name_of_part, part, True
                break
        parts = {repr(key): x for key, x in _captured(value).items()} if found else {}
    kind = "" if inspect.isfunction(value) else f", a {type(value).__name__}"
    return f"{name}{kind}"


def _captured(value: Any) -> dict[str, Any]:
    """The variables that a function captures, by name."""
    try:
        found = inspect.getclosurevars(value)
    except (TypeError, ValueError):  # no function of Python, or a variable that has no value yet
        return {}
    return {**found.globals, **found.nonlocals}


def _versions() -> dict[str, str]:
    return {
        "python": ".".join(platform.python_version_tuple()[:2]),
        "jax": jax.__version__,
        "jaxlib": jaxlib.version.__version__,
    }


def _listed(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version}" for name, version in versions.items())
