"""`bench device` on tiny sizes: every section runs, and the page follows from the figures."""

import json
import re

import jax.numpy as jnp
import pytest

from jaxopt_lite import bench
from jaxopt_lite.bench.device import _elementwise, _identity
from jaxopt_lite.cli import main


@pytest.fixture(scope="module")
def figures():
    found = bench.device(small=True)
    assert not found["failed"]
    return json.loads(json.dumps(found))  # as --json prints them


def test_every_section_is_on_the_page(figures):
    page = bench.render_device(figures)
    assert set(bench.DEVICE_SECTIONS) <= set(figures)
    assert re.findall("^## (.*)$", page, re.MULTILINE) == [
        "The device's own limits",
        "A sweep against loops",
        "Runs side by side",
        "Other networks",
        "Is a run the same, however it is run?",
        "Optimizer steps",
        "Activations: time",
        "Activations: accuracy",
    ]


def test_equal_runs_are_equal_on_cpu(figures):
    ways = figures["identity"]["default"]
    assert set(ways) == {"again", "alone", "continued from half", "chunks of another width"}
    for way in ("again", "alone", "continued from half"):
        assert ways[way] == {"equal": 1.0, "loss": 0.0, "accuracy": 0.0}


def test_differences_are_relative_to_the_expected_loss():
    found = _identity._differences([(2.0, 0.5), (4.0, 0.5)], [(2.0, 0.5), (5.0, 0.25)])
    assert found == {"equal": 0.5, "loss": 0.25, "accuracy": 0.25}


def test_queued_calls_are_divided_by_their_number(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(_elementwise.time, "perf_counter", lambda: float(next(clock)))
    calls = []

    def run():
        calls.append(1)
        return jnp.zeros(())

    assert _elementwise.queued({"a": run}, rounds=2, calls=4) == {"a": 0.25}
    assert len(calls) == 12


def test_a_failed_section_does_not_stop_the_others(monkeypatch):
    def fail(*_):
        raise RuntimeError("no memory\nmore")

    monkeypatch.setattr(_identity, "measured", fail)
    found = bench.device(only=["identity", "rates"], small=True)
    assert found["failed"] == {"identity": "RuntimeError: no memory"}
    assert found["rates"]["bytes"] > 0
    assert "Not measured: identity, which failed with RuntimeError: no memory." in bench.render_device(found)


def test_slower_rows_are_named(figures):
    pair = {"copy": 2.0, "rival": 1.5}
    found = {**figures, "times": {"gelu": {"float32": {"value": pair, "vjp": {"copy": 1.0, "rival": None}}}}}
    assert "More than 1.1 times the rival's time: gelu value float32 1.50." in bench.render_device(found)


def test_an_unknown_section(capsys):
    assert main(["bench", "device", "--only", "wdths"]) == 2
    assert "did you mean 'widths'" in capsys.readouterr().err
    with pytest.raises(ValueError, match="no section 'wdths'"):
        bench.device(only=["wdths"])
