"""How trials are packed into programs: devices, width of a chunk, merging of optimizers."""

from typing import Any, Literal, NamedTuple, get_args

import jax

Backend = Literal["cpu", "accelerator"]


class Layout(NamedTuple):
    """How the trials of a sweep are packed into programs. A field that is None follows the backend.

    Attributes:
        devices: the JAX devices that run chunks. Default: the first device on CPU, whose cores run one chunk each; all
            local devices of an accelerator.
        width: number of trials in a chunk, at least 1. Default: as many as fit in a core's cache on CPU, as many as fit
            in memory on an accelerator.
        merge: whether trials that differ only in their optimizer share a program. This saves compilations, and each
            program then selects the optimizer by an index. Default: True on CPU if the task allows it (`Task.merge`).
        vmap_start: whether the trials of a chunk are initialised side by side, by `vmap`, or one after the other.
            Default: False on CPU, where the vmapped initialisation takes several times longer to compile.
        backend: `"cpu"` or `"accelerator"`, the kind of backend that fields which are None follow, and for which
            convolutions are written. `"accelerator"` on CPU devices makes the programs and chunks of a GPU or TPU,
            to test there what a sweep would do; it is slower than `"cpu"`. Default: that of the devices.

    A trial's numbers on CPU are bitwise identical for one width, whatever the rest of the layout.

    Example:
        >>> import jax
        >>> from jaxopt_lite import sweeps
        >>> layout = sweeps.Layout(devices=tuple(jax.devices()), width=64, merge=False, vmap_start=True)
    """

    devices: tuple[Any, ...] | None = None
    width: int | None = None
    merge: bool | None = None
    vmap_start: bool | None = None
    backend: Backend | None = None

    def resolved(self, mergeable: bool) -> "Layout":
        """The layout with the backend's values for all fields but `width`.

        Raises:
            ValueError: `merge` is True for a task that does not allow it, the width is not a whole number of at least
                1, there are no devices or devices of several platforms, or the backend is of another name.
        """
        if self.backend not in (None, *get_args(Backend)):
            raise ValueError(f'the backend of a layout must be "cpu" or "accelerator", got {self.backend!r}')
        devices = self.devices
        if devices is None:
            local = jax.local_devices()
            devices = tuple(local[:1] if (self.backend or _backend(local[0])) == "cpu" else local)
        if len({device.platform for device in devices}) != 1:
            raise ValueError(f"layout needs one or more devices of one platform, got {list(devices)}")
        if self.width is not None and (isinstance(self.width, bool) or int(self.width) != self.width or self.width < 1):
            raise ValueError(f"the width of a layout must be a whole number of at least 1, got {self.width!r}")
        if self.merge and not mergeable:
            raise ValueError(
                "layout has merge=True, but the task has merge=False: its functions may use more of an optimizer than "
                "init and update. If they do not, set merge=True in the Task"
            )
        backend = self.backend or _backend(devices[0])
        cpu = backend == "cpu"
        merge = mergeable and (cpu if self.merge is None else self.merge)
        return Layout(
            tuple(devices), self.width, merge, not cpu if self.vmap_start is None else self.vmap_start, backend
        )

    def rotated(self, nth: int) -> "Layout":
        """The same with the devices in the order in which group `nth` prefers them: each group begins with another."""
        devices = self.devices or ()
        first = nth % len(devices)
        return self._replace(devices=devices[first:] + devices[:first])


def _backend(device: Any) -> Backend:
    return "cpu" if device.platform == "cpu" else "accelerator"
