"""The types of a user's program: what optimizers accept passes a type checker, other things do not."""

import os

import pytest

PROGRAM = """
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxopt_lite import optimizers as opt, sweeps

def falling(count: jax.Array) -> jax.Array:
    return 0.1 / (1 + count)

opt.adam(1)
opt.adam(0.1, b1=np.float32(0.9))
opt.adam(jnp.float32(0.1))
opt.adam(falling)
opt.adam(lambda count: 0.1)
opt.adam(optax.cosine_decay_schedule(0.1, 10))
opt.adam(sweeps.log_uniform(1e-4, 0.1))
opt.adam(opt.exponential_decay(sweeps.values([0.1]), 100, 0.5), b1=opt.linear_schedule(0.9, 0.8, 100))
opt.rows.adam(opt.join_schedules([falling, opt.constant_schedule(0.1)], [10]))
opt.adam("0.1")  # error
opt.adam([0.1])  # error
opt.linear_schedule(falling, 0.1, 10)  # error
"""


def test_a_users_program(tmp_path):
    api = pytest.importorskip("mypy.api")
    program = tmp_path / "program.py"
    program.write_text(PROGRAM)
    options = ["--ignore-missing-imports", "--follow-imports=silent", f"--cache-dir={os.devnull}"]
    output, problems, _ = api.run([*options, str(program)])
    assert not problems
    wrong = {int(line.split(":")[1]) for line in output.splitlines() if ": error: " in line}
    expected = {n for n, line in enumerate(PROGRAM.splitlines(), start=1) if line.endswith("# error")}
    assert wrong == expected, output
