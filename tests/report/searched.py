"""A search whose scores are known: real runs of a task without a model."""

from typing import Any

import jax
import jax.numpy as jnp

from jaxopt_lite import sweeps, training

STEPS = 27


def loss(rate: Any, momentum: Any, step: Any) -> Any:
    """The smallest is at a rate of 0.01; momentum has no effect; it falls with the steps."""
    return (jnp.log10(rate) + 2) ** 2 + 1 / step + 0 * momentum


def task(mode: str = "min") -> training.Task:
    """The validation score is `loss` plus noise of the seed, or minus that if large is good; rates above 1 diverge."""

    def start(trial: Any, key: Any) -> Any:
        return {"steps": jnp.int32(0), "noise": jax.random.normal(key)}

    def step(trial: Any, carry: Any, data: Any, key: Any) -> Any:
        return {**carry, "steps": carry["steps"] + 1}, {"loss": jnp.where(trial["rate"] > 1, jnp.inf, 1.0)}

    def evaluate(trial: Any, carry: Any, data: Any) -> Any:
        score = loss(trial["rate"], trial["kind"].get("momentum", 0.0), carry["steps"]) + 0.001 * carry["noise"]
        score = score if mode == "min" else -score
        return {"validation_score": score, "test_score": score + 0.5, "speed": score * 2, "size": score * 3}

    return training.Task(start, step, evaluate, None, "rates", "validation_score", mode)


def space() -> Any:
    return {
        "rate": sweeps.log_uniform(1e-5, 10),
        "kind": sweeps.choice({"plain": {"zero": 0.0}, "heavy": {"momentum": sweeps.uniform(0, 1)}}),
    }


def swept(mode: str = "min", **options: Any) -> sweeps.Results:
    """Halving of 27 settings with one seed at steps 3, 9 and 27; one of the last three runs with two more seeds."""
    given = {"trials": 27, "seeds": 3, "stop": sweeps.halving(eta=3, first=1 / 9, race=True), "keep": 0}
    given |= {"steps": STEPS, "progress": False, **options}
    return sweeps.run(task(mode), space(), **given)  # type: ignore[arg-type]
