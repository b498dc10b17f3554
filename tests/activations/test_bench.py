"""The bench command's figures, verdict and page, on rows that are cheap."""

import json
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from jaxopt_lite import bench
from jaxopt_lite.activations import CATALOGUE
from jaxopt_lite.bench._activation_accuracy import audit, orders, reference
from jaxopt_lite.bench._activation_page import verdict
from jaxopt_lite.bench._activation_rivals import in_jax_nn, plain


@pytest.fixture(scope="module")
def figures() -> dict[str, Any]:
    said: list[str] = []
    found = bench.activations(only=["tanh", "glu"], small=True, progress=said.append)
    assert {"audit  tanh", "audit  glu", "time  1/2  tanh", "time  blocks"} <= set(said)
    return found


def test_figures_hold_accuracy_memory_and_time(figures: dict[str, Any]) -> None:
    json.dumps(figures)
    tanh = figures["rows"]["tanh"]
    assert max(tanh["accuracy"]["jaxopt_lite"]["bfloat16"]["ulp"]) <= 0.51
    assert tanh["accuracy"]["jax.nn"]["bfloat16"]["ulp"][1] > 100  # 1 - y² in the tail
    assert tanh["accuracy"]["jaxopt_lite"]["wrong limits"] == 0
    assert tanh["memory"]["act_dense"].scan == pytest.approx(1.0, abs=1e-3)
    assert tanh["memory"]["checkpointed block"].scan == pytest.approx(1.0, abs=1e-3)
    assert set(tanh["memory"]) == {"jaxopt_lite", "act_dense", "jax.nn", "checkpointed", "checkpointed block"}
    for row in figures["rows"].values():
        for size in ("in cache", "33 M"):
            for dtype in ("float32", "bfloat16"):
                assert set(row["time"][size][dtype]) == {"jaxopt_lite", "rival"}
                assert min(map(min, row["time"][size][dtype].values())) > 0
    assert figures["blocks"]["memory"]["SwiGLU"]["jaxopt_lite"].scan == pytest.approx(2.25, abs=1e-3)
    assert set(figures["blocks"]["time"]["act_dense, gelu"]["bfloat16"]) == {"jax.nn", "checkpointed", "jaxopt_lite"}


def test_the_audit_near_roots_is_given_with_and_without_its_rule() -> None:
    x = np.linspace(-1.2785, -1.2784, 200, dtype=np.float32)  # where the slope of silu changes sign
    error = audit(reference("silu", "float32", x), orders(CATALOGUE["silu"].probe))[1]
    assert error.ulp <= 6 < 20 < error.strict


def test_page(figures: dict[str, Any]) -> None:
    page = bench.render_activations(figures)
    for word in (
        "| tanh | jaxopt_lite |",
        "| tanh | jax.nn |",
        "| SwiGLU | 2.25 / ",
        "| act_dense, gelu |",
        "float32, in cache",
        "### What accuracy costs",
        "Subnormal inputs are left out",
        "the unit is that of 2⁻⁴",
        "**Verdict**\n\n- 16-bit results beyond 0.51 ulp: none.",
        "jax ",
        "`jaxopt-lite bench activations --only tanh,glu --small`",
    ):
        assert word in page
    assert max(map(len, (line for line in page.splitlines() if not line.startswith("|")))) <= 120


def test_the_verdict_names_every_miss(figures: dict[str, Any]) -> None:
    spoiled = json.loads(json.dumps(figures))  # also: a verdict needs only what JSON keeps
    rows = spoiled["rows"]
    rows["tanh"]["accuracy"]["jaxopt_lite"]["float16"]["ulp"][1] = 0.75
    for row in rows.values():
        row["accuracy"]["jaxopt_lite"]["float32"]["ulp"] = [1.0, 1.0, 1.0]
    rows["glu"]["accuracy"]["jaxopt_lite"]["float32"]["ulp"][2] = 8.5
    rows["glu"]["accuracy"]["jaxopt_lite"]["bfloat16"]["broken"][0] = 1200
    rows["tanh"]["accuracy"]["jaxopt_lite"]["wrong limits"] = 1
    rows["tanh"]["memory"]["jaxopt_lite"][0] = 2.5
    rows["tanh"]["memory"]["jaxopt_lite"][1], rows["tanh"]["memory"]["jax.nn"][1] = 2.0, 1.0
    for row in rows.values():
        for dtypes in row["time"].values():
            for times in dtypes.values():
                times["jaxopt_lite"] = times["rival"] = [1.0, 1.0]
    rows["glu"]["time"]["33 M"]["bfloat16"] = {"jaxopt_lite": [1.0, 1.5], "rival": [1.0, 1.0]}
    for dtypes in spoiled["blocks"]["time"].values():
        for times in dtypes.values():
            times.update({form: [1.0, 1.0] for form in times})
    spoiled["blocks"]["time"]["act_dense, gelu"]["float32"]["jaxopt_lite"] = [2.0, 1.0]
    found = verdict(spoiled)
    for sentence in (
        "16-bit results beyond 0.51 ulp: tanh slope 0.75 in float16.",
        "Float32 results beyond 4 / 6 / 8 ulp: glu curvature 8.50.",
        "NaN or infinity for a finite result: glu 1,200 in bfloat16.",
        "Wrong limits: tanh.",
        "More than two arrays in a scan: tanh 2.50.",
        "More unrolled than `jax.nn` (in brackets) with jaxopt_lite: tanh 2.00 (1.00).",
        "Slower than 1.4 times the rival, float32, 33 M (value / vjp): none.",
        "Slower than 1.4 times the rival, bfloat16, 33 M (value / vjp): glu 1.00 / 1.50.",
        "Blocks slower than 1.4 times the faster rival: act_dense, gelu in float32 2.00 / 1.00.",
    ):
        assert sentence in found


def test_every_row_but_sparsemax_is_timed_against_a_rival_that_computes_the_same(rng: Any) -> None:
    x = jnp.asarray(rng.normal(size=(4, 8)) * 2, jnp.float32)
    for name, row in CATALOGUE.items():
        rival = plain(name)
        assert (rival is None) == (name == "sparsemax")
        if rival and not in_jax_nn(name):
            np.testing.assert_allclose(rival(x), row.function(x, **row.settings), rtol=1e-4, atol=1e-5, err_msg=name)


def test_an_unknown_row_is_refused() -> None:
    with pytest.raises(KeyError, match="did you mean 'tanh'"):
        bench.activations(only=["tanhh"])
