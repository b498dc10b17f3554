"""Every test runs with strict rank promotion, warnings as errors, and several simulated CPU devices."""

import ctypes
import functools
import gc
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# Most of the time of the tests is the compilation of programs that run once: the compiler leaves out most optimisations
# unless XLA_FLAGS and JAX_DISABLE_MOST_OPTIMIZATIONS are set. TEST_LAYOUT=accelerator is explained in tests/sweeps.
os.environ.setdefault(
    "XLA_FLAGS",
    f"--xla_force_host_platform_device_count={8 if os.environ.get('TEST_LAYOUT') == 'accelerator' else 2} "
    "--xla_cpu_multi_thread_eigen=false "
    "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1",
)
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
# Each worker has a core: threads of LAPACK that wait for one another made a small QR decomposition 100 times slower.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")

import jax
import numpy as np
import pytest

from tests import executables

jax.config.update("jax_numpy_rank_promotion", "raise")
executables.share()

# Compiled programs are most of a worker's memory (about 0.4 MB each): above the first size they are dropped; a peak
# above the second fails the tests.
DROP_MB, LIMIT_MB = 900, 2000
drop_at = DROP_MB
PEAKS = pytest.StashKey[dict[str, int]]()


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture
def optimised() -> Iterator[None]:
    """Optimisation for tests of the last bits, also of programs that the sweeps have compiled without."""
    from jaxopt_lite.sweeps.programs import _executables

    quick = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", False)
    _executables.clear()
    yield
    jax.config.update("jax_disable_most_optimizations", quick)
    _executables.clear()


@pytest.fixture
def small_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure the machine with small products of matrices: estimates of a sweep's time take seconds otherwise."""
    from jaxopt_lite import sweeps
    from jaxopt_lite.sweeps import _estimate

    quick = functools.partial(sweeps.matmul_rate, size=64, repeats=1)
    for module in (sweeps, _estimate):
        monkeypatch.setattr(module, "matmul_rate", quick)


@pytest.fixture(autouse=True)
def compiled_programs_are_dropped() -> Iterator[None]:
    """After a test, free what JAX and the sweeps have compiled if the process has grown much."""
    yield
    global drop_at
    if memory_mb("VmRSS") < drop_at:
        return
    for name in ("sweeps.programs._executables", "training._run"):
        module = sys.modules.get(f"jaxopt_lite.{name}")
        if module is not None:
            module.clear()
    executables.clear()
    jax.clear_caches()
    gc.collect()
    if sys.platform == "linux":
        ctypes.CDLL(None).malloc_trim(0)  # glibc keeps freed memory otherwise
    drop_at = max(DROP_MB, memory_mb("VmRSS") + DROP_MB // 3)


def memory_mb(field: str) -> int:
    """This process's memory by Linux's own account: `VmRSS` now, `VmHWM` at its peak; 0 on other systems."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith(f"{field}:")) // 1024


def pytest_configure(config: pytest.Config) -> None:
    config.stash[PEAKS] = {}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: Any) -> None:
    """Keep the peak memory of an xdist worker that has finished."""
    peak = getattr(node, "workeroutput", {}).get("peak_memory_mb")
    if peak is not None:
        node.config.stash[PEAKS][node.gateway.id] = peak


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail if a worker's peak memory exceeds the limit."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["peak_memory_mb"] = memory_mb("VmHWM")
        return
    peaks = session.config.stash[PEAKS]
    peaks["this process"] = memory_mb("VmHWM")
    if max(peaks.values()) > LIMIT_MB:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    peaks = config.stash[PEAKS]
    text = ", ".join(f"{name} {peak} MB" for name, peak in peaks.items())
    failed = f" (limit {LIMIT_MB} MB exceeded)" if max(peaks.values(), default=0) > LIMIT_MB else ""
    terminalreporter.write_line(f"peak memory: {text}{failed}")
