"""A sweep in a process of its own that kills itself before a given SQL statement.

Segments are 100 steps long whatever the machine's speed, so that the number of statements is the same in every run.
"""

import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")

import jax

jax.config.update("jax_compilation_cache_dir", sys.argv[2])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)

from jaxopt_lite import sweeps
from jaxopt_lite.sweeps.execution import _schedule
from jaxopt_lite.sweeps.store import _ledger
from tests.sweeps import small

STEPS = 3000
connected = _ledger.connected
statements = 0


def counted(*arguments, **options):
    """A connection that kills this process before statement number `KILL_AT` of all connections."""
    connection = connected(*arguments, **options)

    def count(_):
        global statements
        statements += 1
        if statements == KILL_AT:
            os.kill(os.getpid(), signal.SIGKILL)

    connection.set_trace_callback(count)
    return connection


if __name__ == "__main__":
    store, KILL_AT = sys.argv[1], int(sys.argv[3])
    _schedule.segment_end = lambda step, end, length, stride: min(end, step + 100)
    _ledger.connected = counted
    resume = (Path(store) / "ledger.sqlite").exists()
    sweeps.run(small.plain(), small.space(), seeds=2, steps=STEPS, store=store, resume=resume, progress=False)
    print("finished", flush=True)
