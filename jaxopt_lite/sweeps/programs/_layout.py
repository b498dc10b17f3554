"""How trials are packed into programs: devices, width of a chunk, merging of optimizers."""

from typing import Any, NamedTuple

import jax


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

    def resolved(self, mergeable: bool) -> "Layout":
        """The layout with the backend's values for `devices`, `merge` and `vmap_start`.

        Raises:
            ValueError: `merge` is True for a task that does not allow it, the width is not a whole number of at least
                1, or there are no devices or devices of several platforms.
        """
        devices = self.devices
        if devices is None:
            local = jax.local_devices()
            devices = tuple(local[:1] if local[0].platform == "cpu" else local)
        if len({device.platform for device in devices}) != 1:
            raise ValueError(f"layout needs one or more devices of one platform, got {list(devices)}")
        if self.width is not None and (isinstance(self.width, bool) or int(self.width) != self.width or self.width < 1):
            raise ValueError(f"the width of a layout must be a whole number of at least 1, got {self.width!r}")
        if self.merge and not mergeable:
            raise ValueError(
                "layout has merge=True, but the task has merge=False: its functions may use more of an optimizer than "
                "init and update. If they do not, set merge=True in the Task"
            )
        cpu = devices[0].platform == "cpu"
        merge = mergeable and (cpu if self.merge is None else self.merge)
        return Layout(tuple(devices), self.width, merge, not cpu if self.vmap_start is None else self.vmap_start)
