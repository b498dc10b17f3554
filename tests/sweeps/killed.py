"""A sweep in a process of its own, to be killed: segments of a few milliseconds, so that a kill falls among many."""

import os
import sys

os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=2")

import jax

jax.config.update("jax_compilation_cache_dir", sys.argv[2])
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)

from jaxopt_lite import sweeps
from jaxopt_lite.sweeps import _schedule
from tests.sweeps import small

_schedule.SECONDS_A_SEGMENT = 0.002
STEPS = 3000


def told(progress: sweeps.Progress) -> None:
    if progress.phase == "run" and progress.share < 1:
        print(f"{progress.share:.3f}", flush=True)
        sys.stdin.readline()  # continues when the test has decided whether to kill


if __name__ == "__main__":
    store, resume = sys.argv[1], len(sys.argv) > 3
    sweeps.run(small.task(), small.space(), seeds=2, steps=STEPS, store=store, resume=resume, progress=told)
    print("finished", flush=True)
