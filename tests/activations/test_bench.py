"""The bench command's figures and page, on rows that are cheap."""

import json

import pytest

from jaxopt_lite.bench import _activations as bench


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "ELEMENTS", 1 << 12)
    monkeypatch.setattr(bench, "REPEATS", 2)


@pytest.mark.usefixtures("small")
def test_figures_and_page_hold_accuracy_memory_and_time() -> None:
    said: list[str] = []
    figures = bench.activations(only=["tanh", "glu"], stride=1 << 20, progress=said.append)
    assert said == ["1/2  tanh", "2/2  glu"]
    json.dumps(figures)
    tanh = figures["rows"]["tanh"]
    assert max(tanh["accuracy"]["jaxopt_lite"]["bfloat16"]["ulp"]) <= 0.51
    assert tanh["accuracy"]["jax.nn"]["bfloat16"]["ulp"][1] > 100  # 1 - y² in the tail
    assert tanh["accuracy"]["jaxopt_lite"]["wrong limits"] == 0
    assert tanh["memory"]["act_dense"] == pytest.approx((1.0, 1.0), abs=1e-3)
    assert set(tanh["time"]) == {"jaxopt_lite", "jax.nn"}
    assert figures["blocks"]["SwiGLU"]["gated_dense"] == pytest.approx((2.25, 2.25), abs=1e-3)
    page = bench.render_activations(figures)
    for word in (
        "| tanh | jaxopt_lite |",
        "| tanh | jax.nn |",
        "| SwiGLU | 2.25 / 2.25 |",
        "float32",
        "jax ",
        "--only tanh,glu --stride 1048576`",
    ):
        assert word in page
    assert max(map(len, (line for line in page.splitlines() if not line.startswith("|")))) <= 120


def test_an_unknown_row_is_refused() -> None:
    with pytest.raises(KeyError, match="did you mean 'tanh'"):
        bench.activations(only=["tanhh"])
