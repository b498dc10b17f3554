"""The catalogue: what its rows say is so, and it can be read without jax."""

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest

from jaxopt_lite import optimizers as opt

ROWS: dict[str, dict[str, Any]] = tomllib.loads((Path(opt.__file__).parent / "catalogue.toml").read_text("utf-8"))


@pytest.mark.parametrize("name", ROWS)
def test_row_is_true(name: str) -> None:
    row, record = ROWS[name], opt.CATALOGUE[name]
    tx = record.function(0.5)
    leaves = {path[-1].name: leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tx)[0]}
    assert leaves.pop("learning_rate") == 0.5
    assert leaves == row["settings"]
    moments = tx.init(jnp.ones(1000)).moments
    assert sum(x.nbytes for x in jax.tree.leaves(moments)) / 4000 == record.memory == row["memory"]
    low, high = record.learning_rate
    assert 0 < low < high
    assert all(row[key].strip() for key in ("title", "formula", "use", "weakness", "reference"))


@pytest.mark.parametrize("name", ROWS)
def test_a_rate_of_the_range_descends(name: str) -> None:
    low, high = opt.CATALOGUE[name].learning_rate
    tx = opt.CATALOGUE[name].function((low * high) ** 0.5)

    def step(carry: Any, _: Any) -> Any:
        p, state = carry
        updates, state = tx.update(p * jnp.array([1.0, 3.0]), state, p)
        return (p + updates, state), None

    start = jnp.ones(2)
    end, _ = jax.lax.scan(step, (start, tx.init(start)), None, length=300)[0]
    assert jnp.abs(end).sum() < 0.96 * jnp.abs(start).sum()


def test_every_rule_has_a_row() -> None:
    functions = {getattr(row.function, "func", row.function) for row in opt.CATALOGUE.values()}
    assert {f.__name__ for f in functions} >= {
        "sgd",
        "adagrad",
        "adadelta",
        "rmsprop",
        "adam",
        "adamw",
        "lion",
        "nadamw",
    }
    assert opt.CATALOGUE["momentum"].function(0.1) == opt.sgd(0.1, momentum=0.9)


def test_import_loads_neither_flax_nor_matplotlib() -> None:
    code = "import sys, jaxopt_lite.optimizers; assert not {'flax', 'matplotlib'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
