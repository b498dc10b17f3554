"""03: does the sigmoid suit outputs that are probabilities?"""

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from experiment import Experiment, Interval, Outcome, Prediction, Result, Table, exact, interval, main, shown
from pictures import bare
from plain_networks import seeds_of

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt

PENALTIES = (0.01, 0.1, 1.0, 10.0, 100.0)  # C: a large one is a weak penalty
UNPENALISED = 1e6
FOLDS, BINS, TINY = 5, 10, 1e-12


def clipped(z: jax.Array) -> jax.Array:
    return jnp.clip(z, 1e-3, 1 - 1e-3)


def cross_entropy(log_p: jax.Array, log_q: jax.Array, y: jax.Array) -> jax.Array:
    return -(y * log_p + (1 - y) * log_q)


class Link(NamedTuple):
    """What turns a linear output z into a probability, and the loss of (z, y) with which it is fitted."""

    probability: Callable[[jax.Array], jax.Array]
    loss: Callable[[jax.Array, jax.Array], jax.Array]


LINKS = {
    "sigmoid": Link(act.sigmoid, lambda z, y: cross_entropy(act.log_sigmoid(z), act.log_sigmoid(-z), y)),
    "normal distribution": Link(
        jax.scipy.stats.norm.cdf,
        lambda z, y: cross_entropy(jax.scipy.stats.norm.logcdf(z), jax.scipy.stats.norm.logcdf(-z), y),
    ),
    "linear, clipped": Link(clipped, lambda z, y: (z - y) ** 2),
}


class Size(NamedTuple):
    repeats: int = 10
    steps: int = 3000


def objective(link: Link) -> Callable[..., jax.Array]:
    """Mean loss with the penalty of scikit-learn's `C`; the last coefficient is the intercept, which is free."""

    def value(w: jax.Array, x: jax.Array, y: jax.Array, c: jax.Array) -> jax.Array:
        return jnp.mean(link.loss(x @ w[:-1] + w[-1], y)) + jnp.sum(w[:-1] ** 2) / (2 * c * len(y))

    return value


def fitted(link: Link, x: jax.Array, y: jax.Array, given: jax.Array, c: jax.Array) -> jax.Array:
    """The coefficients that minimise the objective over the rows where `given` is 1: 60 Newton steps.

    Each step is halved until the objective falls.
    """
    x = jnp.concatenate([x, jnp.ones((len(x), 1))], axis=1)
    penalty = jnp.append(jnp.ones(x.shape[1] - 1), 0.0) / c
    slope = jax.vmap(jax.grad(link.loss))
    curvature = jax.vmap(jax.grad(jax.grad(link.loss)))

    def value(w: jax.Array) -> jax.Array:
        return jnp.sum(given * link.loss(x @ w, y)) + jnp.sum(penalty * w**2) / 2

    def step(_: int, w: jax.Array) -> jax.Array:
        gradient = x.T @ (given * slope(x @ w, y)) + penalty * w
        hessian = (x.T * (given * curvature(x @ w, y))) @ x + jnp.diag(penalty + 1e-12)
        tried = w - jnp.linalg.solve(hessian, gradient) * jnp.append(0.5 ** jnp.arange(12.0), 0.0)[:, None]
        values = jax.vmap(value)(tried)
        return tried[jnp.argmin(jnp.where(jnp.isnan(values), jnp.inf, values))]

    return jax.lax.fori_loop(0, 60, step, jnp.zeros(x.shape[1]))


def log_loss(p: np.ndarray, y: np.ndarray) -> float:
    return float(-np.log(np.clip(np.where(y == 1, p, 1 - p), TINY, 1)).mean())


def calibration_error(p: np.ndarray, y: np.ndarray) -> float:
    """Expected calibration error: mean over the examples of |share of class 1 − mean probability| of their bin."""
    bins = np.minimum((p * BINS).astype(int), BINS - 1)
    return sum(abs(float((y - p)[bins == b].sum())) for b in range(BINS)) / len(p)


def calibration_of_truth(p: np.ndarray, rng: np.random.Generator) -> float:
    """The calibration error that is expected if the probabilities are true: that of labels drawn with them."""
    return float(np.mean([calibration_error(p, (rng.uniform(size=len(p)) < p).astype(float)) for _ in range(200)]))


class Scores(NamedTuple):
    """Of predictions for every example by cross-validation."""

    loss: float
    error: float
    error_if_true: float
    p: np.ndarray


def cross_validated(link: Link, x: np.ndarray, y: np.ndarray, seeds: Sequence[int]) -> list[dict[str, Scores]]:
    """For each division into folds, the scores with the penalty selected on a fifth of each training part, and without."""

    @jax.jit
    def probabilities(given: jax.Array, z: jax.Array) -> jax.Array:
        def one(c: jax.Array) -> jax.Array:
            w = fitted(link, z, jnp.asarray(y), given, c)
            return link.probability(z @ w[:-1] + w[-1])

        return jax.vmap(one)(jnp.array([*PENALTIES, UNPENALISED]))

    out = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        p = {"selected penalty": np.zeros(len(y)), "no penalty": np.zeros(len(y))}
        for test, train, validation in folds(len(y), rng):
            rest = np.concatenate([train, validation])
            z = (x - x[rest].mean(axis=0)) / x[rest].std(axis=0)
            tried, final = (np.asarray(probabilities(jnp.zeros(len(y)).at[rows].set(1.0), z)) for rows in (train, rest))
            best = int(np.argmin([log_loss(one[validation], y[validation]) for one in tried[:-1]]))
            p["selected penalty"][test], p["no penalty"][test] = final[best][test], final[-1][test]
        pairs = p.items()
        out.append(
            {n: Scores(log_loss(q, y), calibration_error(q, y), calibration_of_truth(q, rng), q) for n, q in pairs}
        )
    return out


def folds(examples: int, rng: np.random.Generator) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Test, training and validation rows of each fold."""
    parts = np.array_split(rng.permutation(examples), FOLDS)
    for number, test in enumerate(parts):
        rest = rng.permutation(np.concatenate([part for i, part in enumerate(parts) if i != number]))
        yield test, *np.split(rest, [int(len(rest) * 0.8)])


class Descent(NamedTuple):
    """Full-batch descent with momentum on the penalised loss of the sigmoid.

    Attributes:
        distance: largest difference of a coefficient to scikit-learn's at the end.
        steps: steps until all coefficients are within 1e-9.
        predicted: that number by the rate of heavy-ball descent at the condition number.
        condition: the condition number of the Hessian at the optimum.
        mean_gap: mean probability minus share of class 1 over the training data at the end.
        tanh_gap: largest difference of a probability to that of (1 + tanh z)/2 fitted with a penalty 4 times as strong.
    """

    distance: float
    steps: int
    predicted: float
    condition: float
    mean_gap: float
    tanh_gap: float


def descent(x: np.ndarray, y: np.ndarray, seed: int, size: Size) -> Descent:
    from sklearn.linear_model import LogisticRegression

    rows = np.random.default_rng(seed).permutation(len(y))[: 4 * len(y) // 5]
    x, y = (x[rows] - x[rows].mean(axis=0)) / x[rows].std(axis=0), y[rows]
    model = LogisticRegression(C=1.0, solver="newton-cholesky", tol=1e-14).fit(x, y)
    optimum = np.append(model.coef_[0], model.intercept_)
    value = objective(LINKS["sigmoid"])
    curvature = np.linalg.eigvalsh(np.asarray(jax.hessian(value)(jnp.asarray(optimum), x, y, 1.0)))
    root = math.sqrt(curvature[-1] / curvature[0])
    momentum = ((root - 1) / (root + 1)) ** 2
    tx = opt.sgd(4 / (math.sqrt(curvature[-1]) + math.sqrt(curvature[0])) ** 2, momentum=momentum)

    def step(state: Any, _: None) -> Any:
        w, inner = state
        updates, inner = tx.update(jax.grad(value)(w, x, y, 1.0), inner, w)
        return (w + updates, inner), jnp.max(jnp.abs(w + updates - optimum))

    start = jnp.zeros(len(optimum))
    (w, _), distances = jax.jit(lambda w: jax.lax.scan(step, (w, tx.init(w)), length=size.steps))(start)
    far = np.flatnonzero(np.asarray(distances) > 1e-9)
    steps = int(far[-1]) + 2 if len(far) else 1
    predicted = math.log(1e9 * np.abs(optimum).max()) / -math.log(math.sqrt(momentum))
    p = act.sigmoid(x @ w[:-1] + w[-1])
    halves = Link(
        lambda z: (1 + act.tanh(z)) / 2, lambda z, y: cross_entropy(act.log_sigmoid(2 * z), act.log_sigmoid(-2 * z), y)
    )
    v = newton(objective(halves), start, x, y, 0.25)
    tanh_gap = float(jnp.max(jnp.abs(halves.probability(x @ v[:-1] + v[-1]) - p)))
    return Descent(float(distances[-1]), steps, predicted, root**2, float(p.mean() - y.mean()), tanh_gap)


def newton(value: Callable[..., jax.Array], w: jax.Array, x: np.ndarray, y: np.ndarray, c: float) -> jax.Array:
    """The minimum by 20 Newton steps, each halved until the value falls."""

    def step(_: int, w: jax.Array) -> jax.Array:
        direction = jnp.linalg.solve(jax.hessian(value)(w, x, y, c), jax.grad(value)(w, x, y, c))
        tried = w - direction * 0.5 ** jnp.arange(8.0)[:, None]
        return tried[jnp.argmin(jax.vmap(lambda w: value(w, x, y, c))(tried))]

    return jax.jit(lambda w: jax.lax.fori_loop(0, 20, step, w))(w)


PREDICTIONS = (
    Prediction(
        "Full-batch descent of our sgd with momentum ends within 1e-9 of scikit-learn's coefficients in float64 (C = 1).",
        "With the penalty the loss is strictly convex, so there is one optimum, and float64 rounds at 1e-16 times the condition number of about "
        "10³.",
        True,
    ),
    Prediction(
        "It needs between 0.7 and 2 times ln(10⁹ ‖w‖) / −ln((√κ − 1)/(√κ + 1)) steps, with κ from the Hessian at the optimum.",
        "Heavy-ball descent with the best rate and momentum multiplies the error by (√κ − 1)/(√κ + 1) in each step near the optimum, up to a "
        "factor that grows with the number of steps (the roots coincide): a few tens of percent more steps. Farther out the curvature "
        "is larger than at the optimum, since p(1 − p) falls as the fit gets sure, which costs more.",
        True,
    ),
    Prediction(
        "On the training data the mean probability of the sigmoid is the share of class 1 to 1e-9; (1 + tanh z)/2 with a penalty 4 times as "
        "strong gives the same probabilities to 1e-9.",
        "The derivative of the loss by the intercept is the mean of p − y, because the sigmoid is the canonical link of the Bernoulli "
        "distribution; at the optimum it is 0. (1 + tanh z)/2 = sigmoid(2z): the same model with half the coefficients.",
        True,
    ),
    Prediction(
        "Selected penalty: the calibration error of the sigmoid is at most 2 times what true probabilities would give with so many examples.",
        "If the two classes are normal with equal covariances the log odds are linear, and a sigmoid of a linear function is the true "
        "probability; breast cancer features are near enough (assumed: the misfit adds at most as much as chance). The calibration error of true "
        "probabilities is found by drawing labels with them.",
        True,
    ),
    Prediction(
        "Selected penalty: log loss of the linear output, clipped, at least 1.3 times that of the sigmoid; of the normal distribution within "
        "10 %.",
        "Clipped at 0.001 a wrong sure answer costs ln 1000 = 6.9: one among 569 examples adds 0.012 to a log loss near 0.08; and least squares is "
        "pulled by the examples far on the right side. Sigmoid and the normal "
        "distribution differ by at most 0.01 after scaling z by 1.7.",
        True,
    ),
    Prediction(
        "No penalty (C = 10⁶): log loss of the sigmoid at least 3 times that with the selected penalty.",
        "30 features nearly separate 455 examples: then the likelihood grows with |w| without end, and each of the 2 to 5 % of wrong test "
        "answers costs its z, which grows with |w| by an order of magnitude.",
        True,
    ),
)


def measure(seed: int, small: bool) -> Result:
    from sklearn.datasets import load_breast_cancer

    size = Size(repeats=2, steps=100) if small else Size()
    x, y = load_breast_cancer(return_X_y=True)
    y = y.astype(float)
    with jax.enable_x64(True) if hasattr(jax, "enable_x64") else jax.experimental.enable_x64():
        ended = descent(x, y, seed, size)
        found = {name: cross_validated(link, x, y, seeds_of(seed, size.repeats)) for name, link in LINKS.items()}

    def of(name: str, field: str, penalty: str = "selected penalty") -> np.ndarray:
        return np.array([getattr(one[penalty], field) for one in found[name]])

    ratio = {name: interval(of(name, "loss") / of("sigmoid", "loss")) for name in LINKS}
    calibration = interval(of("sigmoid", "error") / of("sigmoid", "error_if_true"))
    unpenalised = interval(of("sigmoid", "loss", "no penalty") / of("sigmoid", "loss"))
    steps = ended.steps / ended.predicted
    outcomes = (
        Outcome(f"{ended.distance:.0e}", ended.distance < 1e-9),
        Outcome(
            f"{ended.steps} steps, {ended.predicted:.0f} by the formula with κ = {ended.condition:.0f}: {steps:.2f} times",
            0.7 <= steps <= 2 and ended.distance < 1e-9,
        ),
        Outcome(
            f"{abs(ended.mean_gap):.0e} and {ended.tanh_gap:.0e}", abs(ended.mean_gap) < 1e-9 and ended.tanh_gap < 1e-9
        ),
        Outcome(f"{shown(calibration)} times", calibration.value <= 2),
        Outcome(
            ", ".join(f"{name} {shown(ratio[name])}" for name in LINKS if name != "sigmoid"),
            ratio["linear, clipped"].value >= 1.3 and abs(ratio["normal distribution"].value - 1) <= 0.1,
        ),
        Outcome(f"{shown(unpenalised)} times", unpenalised.value >= 3),
    )
    beaten = [name for name in LINKS if ratio[name].high < 0.95]
    good = not beaten and calibration.low <= 2
    verdict = "does not hold" if not good else "holds if" if unpenalised.low > 1.5 else "holds"
    others = "; ".join(f"{n}: {ratio[n].value:.2f} times as large" for n in LINKS if n != "sigmoid")
    fit = (
        f"the sigmoid's log loss is {of('sigmoid', 'loss').mean():.3f} ({others}), and its calibration error is "
        f"{calibration.value:.2f} times that of true probabilities"
    )
    begin = {
        "does not hold": f"Does not hold: {', '.join(beaten) or 'true probabilities'} did clearly better than the sigmoid; {fit}",
        "holds": f"Holds: {fit}, with and without a penalty",
        "holds if": f"Holds if the coefficients are penalised: {fit}; without a penalty the log loss is {unpenalised.value:.1f} times as large",
    }
    return Result(
        outcomes,
        verdict,  # type: ignore[arg-type]
        begin[verdict] + ".",
        f"log loss of a clipped linear output ÷ that of the sigmoid, {shown(ratio['linear, clipped'])}",
        {
            "difference to scikit-learn's coefficients": exact(ended.distance),
            "calibration error of the sigmoid ÷ that of true probabilities": calibration,
            "log loss without ÷ with penalty, sigmoid": unpenalised,
            **{f"log loss of {name} ÷ that of the sigmoid": r for name, r in ratio.items() if name != "sigmoid"},
        },
        [
            Table(
                f"Cross-validated on 569 examples, means with 95 % intervals over {size.repeats} divisions into {FOLDS} parts.",
                ["output", "penalty", "log loss", "calibration error", "the same for true probabilities"],
                [
                    [
                        name,
                        penalty,
                        *(shown(interval(of(name, f, penalty))) for f in ("loss", "error", "error_if_true")),
                    ]
                    for name in LINKS
                    for penalty in ("selected penalty", "no penalty")
                ],
            )
        ],
        picture(found, y, unpenalised),
        f"Share of class 1 over the predicted probability, in {BINS} bins, all divisions together; on the grey line the probabilities "
        "are true. Left: penalty selected; right: sigmoid with and without penalty. Bins with fewer than 5 examples a division are left out.",
    )


def picture(found: dict[str, list[dict[str, Scores]]], y: np.ndarray, unpenalised: Interval) -> Any:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.8), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    drawn = [
        (panels[0], {name: (name, "selected penalty") for name in LINKS}),
        (panels[1], {"selected penalty": ("sigmoid", "selected penalty"), "no penalty": ("sigmoid", "no penalty")}),
    ]
    for axis, lines in drawn:
        axis.plot([0, 1], [0, 1], color="lightgrey", linewidth=3)
        for label, (name, penalty) in lines.items():
            p = np.concatenate([one[penalty].p for one in found[name]])
            truth = np.tile(y, len(found[name]))
            bins = np.minimum((p * BINS).astype(int), BINS - 1)
            kept = [b for b in range(BINS) if (bins == b).sum() >= 5 * len(found[name])]
            points = [(p[bins == b].mean(), truth[bins == b].mean()) for b in kept]
            axis.plot(*np.transpose(points), marker="o", markersize=4, label=label)
        axis.set(xlabel="predicted probability of class 1", aspect="equal")
        axis.legend(fontsize=8, frameon=False, loc="upper left")
        bare(axis, grid=False)
    panels[0].set(ylabel="share of class 1", title="three outputs, penalty selected")
    panels[1].set(title=f"sigmoid: log loss × {unpenalised.value:.1f} without penalty")
    return figure


EXPERIMENT = Experiment(
    number=3,
    title="The sigmoid as a probability",
    claim="The sigmoid suits outputs that are probabilities, as in binary classification.",
    predictions=PREDICTIONS,
    protocol="Breast cancer (scikit-learn, 569 examples, 30 features, each standardised over the training part). The output is a linear function z of the "
    "features, made a probability by the sigmoid or by the distribution function of the normal distribution (both fitted by cross "
    "entropy), or by clipping z to [0.001, 0.999] (fitted by squared error). Penalty "
    "|w|²/(2Cn) with C from 0.01 to 100 in decades, selected for each output and division by log loss on a fifth of the training part. "
    "5-fold cross-validation, repeated with 10 random divisions, paired by division; the intervals say what the division changes, not "
    "what other patients would. float64. The comparison with scikit-learn is on four fifths of the examples, C = 1.",
    rule="does not hold if the log loss of another output is clearly lower (ratio with its interval below 0.95) or the calibration error of the sigmoid is "
    "more than 2 times that of true probabilities; else holds if penalised, if the log loss without penalty is more than 1.5 times as large; "
    "else holds.",
    measure=measure,
    script=__file__,
)

if __name__ == "__main__":
    raise SystemExit(main(EXPERIMENT))
