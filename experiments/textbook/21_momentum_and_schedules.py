"""21: by how much do momentum and learning-rate schedules speed up convergence, and when?"""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from experiment import Experiment, Interval, Outcome, Prediction, Result, Table, interval, main, shown
from rivals import Rival, compete, ratio, within

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import training

DIMENSIONS = 64
CONDITIONS = (10, 100, 1000, 10_000)
NOISY_CONDITION, NOISY_STEPS = 100, 1000
RATES = 2.0 ** np.arange(-7, 0.1, 0.5)
NETWORK_RATES = 2.0 ** np.arange(-5, 3.1)
Schedule = Callable[[Any, int], Any]


def cosine(rate: Any, steps: int) -> Any:
    return opt.cosine_decay_schedule(rate, steps)


def one_cycle(rate: Any, steps: int) -> Any:
    return opt.cosine_onecycle_schedule(steps, rate)


def warm_up(rate: Any, steps: int) -> Any:
    return opt.warmup_constant_schedule(0.0, rate, steps // 10)


def constant(rate: Any, steps: int) -> Any:
    return rate


SCHEDULES: dict[str, Schedule] = {"constant": constant, "cosine": cosine, "one-cycle": one_cycle, "warm-up": warm_up}


class Size(NamedTuple):
    starts: int = 8
    draws: int = 200
    selecting: int = 50
    network_steps: int = 1000
    network_selecting: int = 3
    network_scoring: int = 10


def curvatures(condition: float) -> jax.Array:
    """From 1/condition to 1, evenly spread on a logarithmic scale."""
    return jnp.geomspace(1 / condition, 1.0, DIMENSIONS)


def length(w: jax.Array) -> jax.Array:
    """The norm, whose squares would underflow."""
    largest = jnp.maximum(jnp.max(jnp.abs(w)), 1e-37)
    return largest * jnp.linalg.norm(w / largest)


def descend(tx: Any, curvature: jax.Array, start: jax.Array, steps: Any, until: Any) -> tuple[jax.Array, jax.Array]:
    """Distance to the minimum of ½ Σ curvature w², and steps made, after `steps` steps or when it is below `until`."""

    def goes_on(carry: Any) -> jax.Array:
        w, _, step = carry
        return (step < steps) & (length(w) >= until)

    def advance(carry: Any) -> Any:
        w, state, step = carry
        updates, state = tx.update(curvature * w, state, w)
        return w + updates, state, step + 1

    w, _, made = jax.lax.while_loop(goes_on, advance, (start, tx.init(start), 0))
    return length(w), made


def best_settings(condition: float) -> dict[str, tuple[Any, int, float]]:
    """For each method its best settings, the steps to measure, and the factor of a step that theory predicts."""
    root = math.sqrt(condition)
    slow = (root - 1) / (root + 1)
    fastest = 4 / (1 + 1 / root) ** 2
    return {
        "gradient descent": (opt.sgd(2 / (1 + 1 / condition)), int(10 * condition), (condition - 1) / (condition + 1)),
        "momentum": (opt.sgd(fastest, momentum=slow**2), int(35 * root), slow),
        "Nesterov": (opt.sgd(1.0, momentum=slow, nesterov=True), int(70 * root), 1 - 1 / root),
    }


class Speed(NamedTuple):
    """How fast a method converges, by start: log of its factor per step over theory's, and steps to a millionth."""

    share: np.ndarray
    steps: np.ndarray


def quadratic(condition: float, key: jax.Array, starts: int) -> dict[str, Speed]:
    curvature, program = curvatures(condition), jax.jit(jax.vmap(descend, (None, None, 0, None, 0)))
    start = jax.random.normal(key, (starts, DIMENSIONS))
    never, millionth = jnp.zeros(starts), 1e-6 * jax.vmap(length)(start)
    found = {}
    for name, (tx, steps, theory) in best_settings(condition).items():
        half, end = (np.asarray(program(tx, curvature, start, n, never)[0]) for n in (steps // 2, steps))
        made = program(tx, curvature, start, 100 * steps, millionth)[1]
        found[name] = Speed(np.log(end / half) / (steps - steps // 2) / math.log(theory), np.asarray(made))
    return found


def noisy_losses(schedule: Schedule, momentum: float | None, seed: int, size: Size) -> jax.Array:
    """Loss (rates, draws) after descent on a quadratic whose gradients have noise of variance `curvature`."""
    curvature = curvatures(NOISY_CONDITION)

    def one(rate: jax.Array, key: jax.Array) -> jax.Array:
        tx = opt.sgd(schedule(rate, NOISY_STEPS), momentum)
        start_key, noise_key = jax.random.split(key)

        def advance(step: Any, carry: Any) -> Any:
            w, state = carry
            noise = jax.random.normal(jax.random.fold_in(noise_key, step), (DIMENSIONS,))
            updates, state = tx.update(curvature * w + jnp.sqrt(curvature) * noise, state, w)
            return w + updates, state

        w = jax.random.normal(start_key, (DIMENSIONS,))
        w, _ = jax.lax.fori_loop(0, NOISY_STEPS, advance, (w, tx.init(w)))
        return jnp.mean(curvature * w**2) / 2

    keys = jax.random.split(jax.random.key(seed), size.draws)
    rates = jnp.asarray(RATES * (1 - (momentum or 0)), jnp.float32)
    return jax.jit(jax.vmap(jax.vmap(one, (None, 0)), (0, None)))(rates, keys)


class Noisy(NamedTuple):
    """A rival on the noisy quadratic at its best rate, selected with the first draws and scored with the others."""

    rate: float
    losses: np.ndarray


def noisy(seed: int, size: Size) -> dict[str, Noisy]:
    rivals: dict[str, tuple[Schedule, float | None]] = {name: (made, None) for name, made in SCHEDULES.items()}
    rivals["momentum"] = (constant, 0.9)
    found = {}
    for name, (schedule, momentum) in rivals.items():
        losses = np.asarray(noisy_losses(schedule, momentum, seed, size))
        best = int(np.nanargmin(losses[:, : size.selecting].mean(1)))
        found[name] = Noisy(float(RATES[best] * (1 - (momentum or 0))), losses[best, size.selecting :])
    return found


def network(seed: int, size: Size) -> dict[str, Rival]:
    """Test accuracy on mnist1d of each schedule, and of momentum, at its best rate."""

    def made(schedule: Schedule) -> Any:
        return lambda rate: opt.sgd(schedule(rate, size.network_steps))

    optimizers: dict[str, Any] = {name: (made(schedule), NETWORK_RATES) for name, schedule in SCHEDULES.items()}
    optimizers["momentum"] = (partial(opt.sgd, momentum=0.9), NETWORK_RATES / 10)
    return compete(
        training.builtin("mnist1d"),
        optimizers,
        size.network_steps,
        seed,
        size.network_selecting,
        size.network_scoring,
        trial={"activation": act.relu},
    )


def measure(seed: int, small: bool) -> Result:
    size = Size(2, 4, 2, 20, 1, 2) if small else Size()
    key = jax.random.key(seed)
    clean = {condition: quadratic(condition, key, size.starts) for condition in CONDITIONS}
    return report(clean, noisy(seed, size), network(seed, size), size)


def report(clean: dict[int, dict[str, Speed]], loud: dict[str, Noisy], real: dict[str, Rival], size: Size) -> Result:
    shares = {name: [clean[c][name].share.mean() for c in CONDITIONS] for name in clean[10]}
    saved = ratio(clean[1000]["gradient descent"].steps, clean[1000]["momentum"].steps)
    gains = {name: ratio(loud["constant"].losses, rival.losses) for name, rival in loud.items() if name != "constant"}
    better = {
        name: interval(rival.scores["test_accuracy"] - real["constant"].scores["test_accuracy"])
        for name, rival in real.items()
        if name != "constant"
    }
    outcomes = [
        Outcome(
            "; ".join(f"{name} {min(values):.3f} to {max(values):.3f}" for name, values in shares.items()),
            all(0.995 <= x <= 1.005 for x in shares["gradient descent"])
            and all(0.96 <= x <= 1.0 for name in ("momentum", "Nesterov") for x in shares[name]),
        ),
        Outcome(f"{shown(saved)} times", within(saved, 22, 30)),
        Outcome(f"{shown(gains['momentum'])} times", within(gains["momentum"], 0.95, 1.06)),
        Outcome(
            f"cosine {shown(gains['cosine'])}, one-cycle {shown(gains['one-cycle'])}, warm-up {shown(gains['warm-up'])} times",
            within(gains["cosine"], 2.0, 2.55)
            and within(gains["one-cycle"], 1.7, 2.2)
            and within(gains["warm-up"], 0.92, 1.02),
        ),
        Outcome(
            ", ".join(f"{name} {shown(value)}" for name, value in better.items()),
            within(better["cosine"], 0, 0.04)
            and within(better["momentum"], -0.01, 0.03)
            and within(better["warm-up"], -0.015, 0.015),
        ),
    ]
    verdict, sentence = judged(saved, gains, better)
    return Result(
        outcomes=outcomes,
        verdict=verdict,
        sentence=sentence,
        effect=(
            f"at condition number 1000 momentum saves a factor {shown(saved)} of the steps without noise; with noise it changes the loss by a "
            f"factor {shown(gains['momentum'])}, and cosine decay by {shown(gains['cosine'])}"
        ),
        numbers={
            **{
                f"{name}, condition {c}, logarithm of the factor per step / theory": interval(clean[c][name].share)
                for c in CONDITIONS
                for name in clean[c]
            },
            "steps of gradient descent / momentum, condition 1000": saved,
            **{f"noisy quadratic, loss of constant / {name}": value for name, value in gains.items()},
            **{f"mnist1d, test accuracy, {name} - constant": value for name, value in better.items()},
        },
        tables=[*tables(clean, loud, real, size)],
        figure=picture(clean, gains, better),
        caption=(
            "Left: steps until the distance to the minimum of a quadratic is a millionth of the start. Middle: how many times lower "
            "the loss on a noisy quadratic is than with a constant rate. Right: test accuracy on mnist1d above that of a constant rate. "
            "Each at its best rate, 95 % intervals."
        ),
    )


def judged(saved: Interval, gains: Mapping[str, Interval], better: Mapping[str, Interval]) -> tuple[Any, str]:
    """Verdict and sentence by the rule."""
    figures = (
        f"at condition number 1000 and without noise momentum reaches a millionth of the distance in {shown(saved)} times fewer steps; on a "
        f"noisy quadratic the loss is lower by the factor {shown(gains['momentum'])} with momentum, {shown(gains['cosine'])} with cosine "
        f"decay, {shown(gains['one-cycle'])} with one-cycle and {shown(gains['warm-up'])} with warm-up; on mnist1d test accuracy "
        f"changes by {shown(better['momentum'])}, {shown(better['cosine'])}, {shown(better['one-cycle'])} and {shown(better['warm-up'])}"
    )
    rival = gains.keys()
    if saved.low > 5 and all(gains[name].low > 1.05 and better[name].low > 0 for name in rival):
        return "holds", f"Holds: {figures}."
    if saved.low > 5 and gains["cosine"].low > 1.5:
        return (
            "holds if",
            f"Holds if the remedy fits the trouble, momentum for ill-conditioning and a falling rate for noise: {figures}.",
        )
    return "does not hold", f"Does not hold: {figures}."


def tables(
    clean: dict[int, dict[str, Speed]], loud: dict[str, Noisy], real: dict[str, Rival], size: Size
) -> list[Table]:
    def with_theory(condition: int, name: str) -> str:
        theory = best_settings(condition)[name][2]
        return f"{theory ** clean[condition][name].share.mean():.5f} ({theory:.5f})"

    names = list(clean[CONDITIONS[0]])
    first = Table(
        "Quadratic without noise: factor of a step as measured (theory in brackets), and steps to a millionth of the distance.",
        ["condition number", *[f"{name}, factor" for name in names], *[f"{name}, steps" for name in names]],
        [
            [
                f"{c:,}",
                *[with_theory(c, name) for name in names],
                *[f"{clean[c][name].steps.mean():,.0f}" for name in names],
            ]
            for c in CONDITIONS
        ],
    )
    second = Table(
        f"Noisy quadratic (condition number {NOISY_CONDITION}, {NOISY_STEPS} steps, {size.draws - size.selecting} draws) and mnist1d "
        f"({size.network_steps} steps, {size.network_scoring} seeds), means with 95 % intervals.",
        ["", "best rate, quadratic", "loss, quadratic", "best rate, mnist1d", "test accuracy, mnist1d"],
        [
            [
                name,
                f"{loud[name].rate:.2g}",
                shown(interval(loud[name].losses)),
                f"{real[name].rate:.2g}{'' if real[name].inside else ' (end of the list)'}",
                shown(interval(real[name].scores["test_accuracy"])),
            ]
            for name in loud
        ],
    )
    return [first, second]


def picture(clean: dict[int, dict[str, Speed]], gains: Mapping[str, Interval], better: Mapping[str, Interval]) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9.6, 3.4), layout="constrained")
    left, middle, right = figure.subplots(1, 3, width_ratios=(1.3, 1, 1))
    for name, colour in zip(clean[10], ("C0", "C3", "C1"), strict=True):
        left.plot(CONDITIONS, [clean[c][name].steps.mean() for c in CONDITIONS], marker="o", color=colour, label=name)
    left.set(xlabel="condition number κ", ylabel="steps to a millionth", xscale="log", yscale="log")
    left.legend(frameon=False, fontsize=8)
    for axis, found, neutral in ((middle, gains, 1.0), (right, better, 0.0)):
        for nth, value in enumerate(found.values()):
            axis.errorbar(
                nth,
                value.value,
                [[value.value - value.low], [value.high - value.value]],
                fmt="o",
                color="C0",
                capsize=3,
            )
        axis.axhline(neutral, color="grey", linestyle=":", linewidth=1)
        axis.set_xticks(range(len(found)), list(found), rotation=25, fontsize=8)
        axis.set_xlim(-0.5, len(found) - 0.5)
    middle.set_ylabel("noisy quadratic: times lower loss")
    right.set_ylabel("mnist1d: test accuracy gained")
    for axis in (left, middle, right):
        axis.spines[["top", "right"]].set_visible(False)
    return figure


EXPERIMENT = Experiment(
    number=21,
    title="Momentum and schedules",
    claim="Momentum and learning-rate schedules (warm-up and decay) speed up convergence.",
    predictions=[
        Prediction(
            "Quadratics of condition number κ = 10 to 10,000, best settings: the logarithm of the factor per step is 1.00 times that "
            "of (κ − 1)/(κ + 1) for gradient descent (±0.005), 0.98 times (0.96 to 1) that of (√κ − 1)/(√κ + 1) with momentum and "
            "that of 1 − 1/√κ with Nesterov's.",
            "Polyak (1964): with rate 4/(√L + √μ)² and momentum ((√κ − 1)/(√κ + 1))² all modes shrink by (√κ − 1)/(√κ + 1). At both "
            "ends of the spectrum the two roots coincide, so that the error is t ρᵗ: between steps T/2 and T the factor t "
            "adds ln 2, which is 2 % of (T/2) ln(1/ρ) for the T = 35 √κ measured (70 √κ for Nesterov's).",
            True,
        ),
        Prediction(
            "κ = 1000: momentum reaches a millionth of the distance in 26 times fewer steps, within 22 to 30.",
            "Gradient descent: the modes at the ends decide, √(2/64) of the distance, so that ln(0.18 · 10⁶)/(2/κ) = 6050 steps. "
            "Momentum: the mode at the lower end is (1 + 2 t/√κ) ρᵗ times its start, so that ln(0.18 · 16 · 10⁶)/(2/√κ) = 235 "
            "steps. √κ = 32 alone is the ratio for very high accuracy.",
            True,
        ),
        Prediction(
            "κ = 100 with noise: momentum 0.9 lowers the loss after 1000 steps by the factor 1.006, within 0.95 to 1.06: not at all.",
            "With noise the steady loss of a mode is proportional to rate/(1 − momentum), as is its speed: momentum is a larger rate. "
            "The recursion of E w², E w v and E v² for each mode gives 0.002650 and 0.002636 at the best listed rates.",
            True,
        ),
        Prediction(
            "The same with a cosine schedule: 2.27 times (2.0 to 2.55), one-cycle 1.93 times (1.7 to 2.2), warm-up to a constant rate 0.97 "
            "times (0.92 to 1.02).",
            "The same recursion with m ← (1 − r λ)² m + r² λ at the rate r of each step: 0.002650, 0.001166, 0.001376 and 0.002729. "
            "A falling rate first travels, then averages. Warm-up only loses a part of the travel, as the curvature "
            "is the same from the start. The bounds are for 150 draws.",
            True,
        ),
        Prediction(
            "mnist1d, 1000 steps, difference of test accuracy from sgd with a constant rate: cosine 0 to +0.04, momentum −0.01 to +0.03, "
            "warm-up −0.015 to +0.015.",
            "The directions of the quadratic; with two hidden layers the curvature at the start is no larger than later, so that "
            "warm-up has nothing to mend.",
            False,
        ),
    ],
    protocol=(
        f"Quadratics in {DIMENSIONS} dimensions, curvatures from 1/κ to 1 evenly spread on a logarithmic scale, 8 standard normal starts. Noise: "
        "variance equal to the curvature in each mode, as in regression; 15 rates a factor √2 apart, selected with 50 draws, scored with "
        "150 others. Schedules of the package with its defaults: cosine to 0, one-cycle with 30 % of rise from 1/25, warm-up over 10 %. "
        "mnist1d: the built-in task (40-100-100-10, relu, batches of 100), rates a factor 2 apart, selected by validation accuracy "
        "with 3 seeds, scored by test accuracy with 10 others."
    ),
    rule=(
        "holds if momentum saves a factor above 5 at condition number 1000 and momentum, cosine, one-cycle and warm-up all lower the "
        "noisy loss (lower end above 1.05) and raise test accuracy (lower end above 0); holds under conditions if momentum saves that factor and "
        "cosine lowers the noisy loss (lower end above 1.5); else does not hold."
    ),
    measure=measure,
    script=__file__,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
