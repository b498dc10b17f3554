"""Starts of chunks take turns on a CPU, where two batched QR decompositions at once never end."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import jax.numpy as jnp

from jaxopt_lite.sweeps.programs._program import Programs


def test_one_chunk_starts_at_a_time_on_a_cpu():
    running, most, guard = 0, 0, threading.Lock()

    def start(branches, numbers, seeds):
        nonlocal running, most
        with guard:
            running += 1
            most = max(most, running)
        time.sleep(0.02)
        with guard:
            running -= 1
        return [jnp.zeros(1)], {}

    programs = Programs(start, None, 1, [False])
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda seed: programs.started([], [], seed), range(8)))
    assert most == 1


def test_chunks_start_side_by_side_on_an_accelerator():
    together = threading.Barrier(4, timeout=10)

    def start(branches, numbers, seeds):
        together.wait()
        return [jnp.zeros(1)], {}

    programs = Programs(start, None, 1, [False], cpu=False)
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(lambda seed: programs.started([], [], seed), range(4)))) == 4
