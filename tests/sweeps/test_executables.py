"""Which programs share an executable."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import sweeps, training


def task(captured):
    """w grows in each step by the sum of an array that the step captures."""

    def step(trial, carry, data, key):
        return carry + jnp.sum(captured), {"loss": carry}

    return training.Task(lambda t, k: jnp.float32(0), step, lambda t, c, d: {"test_loss": c}, None)


@pytest.mark.parametrize("simplified", [False, True])
def test_captured_arrays_are_part_of_the_program(simplified, tmp_path):
    arrays = [np.ones(300, np.float32), np.full(300, 5, np.float32), np.arange(300, dtype=np.float32)]
    before = jax.config.jax_use_simplified_jaxpr_constants
    jax.config.update("jax_use_simplified_jaxpr_constants", simplified)
    try:
        found = [sweeps.run(task(a), {"rate": 1.0}, steps=1).columns["test_loss"][0] for a in arrays]
        assert found == [300, 1500, 44850]
        again = sweeps.run(task(np.ones(300, np.float32)), {"rate": 1.0}, steps=1, store=tmp_path / "s")
        assert again.facts["last"]["compiled"] == 0
        with pytest.raises(sweeps.StoreError, match="compiled program"):
            sweeps.run(task(arrays[1]), {"rate": 1.0}, steps=1, store=tmp_path / "s", resume=True)
    finally:
        jax.config.update("jax_use_simplified_jaxpr_constants", before)


def test_the_digest_of_an_array_does_not_copy_it():
    import hashlib
    import tracemalloc

    from jaxopt_lite.sweeps.programs._executables import update

    array = np.ones((1000, 1000), np.float32)
    tracemalloc.start()
    update(hashlib.sha256(), array)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < array.nbytes / 10
    digests = {}
    for name, x in {
        "f": array,
        "t": np.ones((1000, 500, 2)),
        "b": jnp.ones(3, jnp.bfloat16),
        "s": np.float32(1),
    }.items():
        digest = hashlib.sha256()
        update(digest, x)
        digests[name] = digest.hexdigest()
    assert len(set(digests.values())) == 4
