"""How many trials a program trains side by side: few on a CPU, as many as fit on an accelerator."""

import math
import os
from collections.abc import Callable
from typing import Any

import jax

from jaxopt_lite.sweeps.programs._layout import Layout

# Half a megabyte to two of second-level cache are common; the width must not depend on this machine, or the
# bits of a trial would. Three copies: parameters, their gradients, and what the optimizer keeps.
CACHE_BYTES = 1 << 20
COPIES = 3
# Bytes of the parameters of a chunk of small trials.
SMALL_BYTES = 96 << 10
WIDEST_ON_CPU = 16
WIDEST_ON_ACCELERATOR = 4096


def cpu_width(bytes_a_trial: int) -> int:
    """How many trials a CPU core trains side by side: a power of two from 1 to 16.

    Side by side, small trials share the fixed cost of a step. Larger ones gain nothing from it, and narrow chunks are
    easier to fill when a search stops some of their runs. So the width is that of which the parameters of all trials
    take up to `SMALL_BYTES`, but 2 where three copies of two trials stay in a core's second-level cache.
    """
    size = max(1, bytes_a_trial)
    least = 2 if 2 * COPIES * size <= CACHE_BYTES else 1
    return min(WIDEST_ON_CPU, max(least, 1 << max(0, (SMALL_BYTES // size).bit_length() - 1)))


def accelerator_width(needed_bytes: Callable[[int], float], memory_bytes: int, trials: int) -> int:
    """The number of trials there are, or as many as memory holds, by the compiler's memory analysis.

    The analysis is linear in the width and some 15 % and 25 MB too low (measured on CPU), so that much is left free.
    The width is a multiple of 8, and never far above the number of trials there are.

    Args:
        needed_bytes: what a program of a given width needs, infinity if it does not compile for lack of memory. The
            program of all trials is analysed first, since that is the one to run if it fits; only if it does not, two
            small ones, or the widest that compiles if the second of these does not.
        memory_bytes: memory of the device.
        trials: how many there may be at a time.
    """
    wanted, usable = min(-(-trials // 8) * 8, WIDEST_ON_ACCELERATOR), memory_bytes / 1.15 - 25e6
    if needed_bytes(wanted) <= usable:
        return wanted
    at_8, at_16 = needed_bytes(8), needed_bytes(16)
    if math.isinf(at_16):
        return next((width for width in (8, 4, 2) if needed_bytes(width) <= usable), 1)
    each = max(1, (at_16 - at_8) // 8)
    fixed = max(0, 2 * at_8 - at_16)  # the data, above all
    fitting = int((usable - fixed) // each)
    return max(1, min(fitting // 8 * 8 or fitting, wanted))


def bytes_of(tree: Any) -> int:
    """Bytes in the arrays (or shapes) of a tree."""
    return sum(x.size * jax.dtypes.canonicalize_dtype(x.dtype).itemsize for x in jax.tree.leaves(tree))


def workers(layout: Layout) -> int:
    """How many chunks run at a time: one per core on one CPU device, one per device otherwise."""
    devices = layout.devices or ()
    if layout.backend != "cpu" or len(devices) > 1:
        return len(devices)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
