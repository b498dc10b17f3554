"""The programs of a sweep lower for GPUs and TPUs."""

from typing import Any, NamedTuple

import jax
import pytest
from jax import export

from jaxopt_lite import optimizers, sweeps, training
from jaxopt_lite.sweeps.programs import _recording, _trace
from tests.sweeps import small
from tests.sweeps.test_convolutions import BUILDS, images

PLATFORMS = ("cuda", "tpu")
EVERY = {"optimizer": sweeps.choice([row.function(0.1) for row in optimizers.CATALOGUE.values()])}
ONE = {"optimizer": optimizers.adamw(0.1)}
PARTS = small.data()[0], *small.data()  # with test data, so that the final score is part of the program


class Case(NamedTuple):
    """A task, its space, whether optimizers are merged, and text that its training program contains."""

    task: Any
    space: Any
    merge: bool
    text: str


def build(trial: Any, rngs: Any) -> Any:
    return small.Net(small.space()["activation"], rngs)


def perceptron(**options: Any) -> Any:
    return training.supervised(build, PARTS, batch_size=8, **options)


CASES = {
    "merged": Case(perceptron(), EVERY, True, "stablehlo.case"),
    "one optimizer": Case(perceptron(), ONE, False, "stablehlo.while"),
    "recorded": Case(perceptron(diagnose=True), ONE, False, "stablehlo.while"),
    "streamed": Case(training.streamed(build, PARTS[0], batch_size=8, test=PARTS[1]), ONE, False, "stablehlo.while"),
    "convolutions": Case(
        training.supervised(BUILDS["nnx"], images(), batch_size=8), ONE, False, "stablehlo.select_and_scatter"
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_programs_lower_for_gpus_and_tpus(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    exported = []

    def lowered(function: Any, device: Any, arguments: Any, **options: Any) -> Any:
        exported.append(export.export(jax.jit(function), platforms=PLATFORMS)(*arguments))
        return lower(function, device, arguments, **options)

    lower = _trace.lowered
    monkeypatch.setattr(_trace, "lowered", lowered)
    monkeypatch.setattr(_recording, "lowered", lowered)
    layout = sweeps.Layout(backend="accelerator", width=8, merge=case.merge)
    planned = sweeps.plan(case.task, case.space, steps=3, layout=layout)
    (nth,) = set(planned.used)
    _trace.trace(planned.task, planned.groups[nth], planned.widths[nth], planned.devices[0], planned.layout)
    assert len(exported) == 2 + case.task.diagnose  # start; advance and score; record
    assert {one.platforms for one in exported} == {PLATFORMS}
    assert case.text in exported[1].mlir_module()
