"""03: which activations let a plain deep network learn, and does `activations.shaped` make the others do so?

The predictions, the command and the result are in `experiments/03-depth.md`, which this script writes:

    python experiments/03_depth.py
"""

import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pages
from flax import nnx

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite import sweeps, training
from jaxopt_lite.activations import initializers

DEPTH, DEEPER, DRAWN_DEPTH = 50, 200, 100
Function = Callable[[jax.Array], jax.Array]
Initializer = Callable[..., jax.Array]


class Size(NamedTuple):
    """How much is run: of the networks at their start, and of the trained ones."""

    width: int = 256
    examples: int = 64
    seeds: int = 3
    functions: int | None = None
    trained: tuple[tuple[str, int], ...] = (("digits", 400), ("mnist1d", 600))  # task and steps
    trained_functions: tuple[str, ...] = ("tanh", "gelu", "silu")
    trained_width: int = 64
    trained_depth: int = DEPTH
    trained_seeds: int = 2
    rates: tuple[float, ...] = (1e-4, 3e-4, 1e-3, 3e-3)


class Start(NamedTuple):
    """What a network does before training, each the mean over seeds.

    Attributes:
        ratio: rms of the gradient at the pre-activations of the first layer divided by that of the last.
        signal: rms of the pre-activations of the last layer; the inputs have 1.
        similarity: mean |cos| between the pre-activations of different inputs in the last layer.
        gradients: rms of the gradient at the pre-activations of every layer; that of the last is 1.
    """

    ratio: float
    signal: float
    similarity: float
    gradients: np.ndarray


def x_sin_x(x: jax.Array) -> jax.Array:
    return x * jnp.sin(x)


def log_of_square(x: jax.Array) -> jax.Array:
    return jnp.log1p(x * x)


def arctan_and_square(x: jax.Array) -> jax.Array:
    return jnp.arctan(x) + 0.1 * x * x


SMOOTH = {
    name: row.probe
    for name, row in act.CATALOGUE.items()
    if row.kind == "elementwise" and row.smooth and name != "identity"
}
WRITTEN_HERE = {f.__name__: f for f in (x_sin_x, log_of_square, arctan_and_square)}
SHAPED: dict[str, Function] = {"leaky_relu": act.leaky_relu, **SMOOTH, **WRITTEN_HERE}
DRAWN = ("relu", "leaky_relu", "elu", "tanh", "sigmoid", "gelu", "silu", "softplus")


def network(f: Function, x: jax.Array, kernels: jax.Array, shifts: jax.Array) -> jax.Array:
    """Pre-activations of the last layer of a plain network, dense or of convolutions with zero padding."""

    def layer(h: jax.Array, of_layer: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        kernel, shift = of_layer
        if kernel.ndim == 2:
            z = h @ kernel
        else:
            z = jax.lax.conv_general_dilated(h, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        return f(z + shift), z + shift

    return jax.lax.scan(layer, x, (kernels, shifts))[1][-1]


@partial(jax.jit, static_argnums=0)
def gradients(f: Function, kernels: jax.Array, x: jax.Array, weights: jax.Array) -> tuple[jax.Array, ...]:
    """Rms of the gradient of a random linear function of the last pre-activations at those of every layer, and these."""

    def loss(shifts: jax.Array) -> tuple[jax.Array, jax.Array]:
        last = network(f, x, kernels, shifts)
        return jnp.vdot(weights, last), last

    gradient, last = jax.grad(loss, has_aux=True)(jnp.zeros((len(kernels), *x.shape)))
    largest = jnp.maximum(jnp.max(jnp.abs(gradient), axis=tuple(range(1, gradient.ndim))), 1e-37)
    scaled = gradient / largest.reshape(-1, *[1] * x.ndim)  # squares of small numbers would vanish
    rms = largest * jnp.sqrt(jnp.mean(scaled**2, axis=tuple(range(1, gradient.ndim))))
    rows = last.reshape(len(x), -1)
    rows = rows / jnp.maximum(jnp.max(jnp.abs(rows)), 1e-37)
    rows = rows / jnp.maximum(jnp.linalg.norm(rows, axis=1, keepdims=True), 1e-18)
    cosines = jnp.abs(rows @ rows.T)
    different = (jnp.sum(cosines) - jnp.trace(cosines)) / (len(x) * (len(x) - 1))
    return rms, jnp.sqrt(jnp.mean(last**2)), different


class Weights:
    """Kernels of one initializer, drawn once for all activations."""

    def __init__(self, init: Initializer, depth: int, size: Size, window: tuple[int, ...] = ()) -> None:
        width = size.width if not window else size.width // 4
        self.shape = (size.examples, width) if not window else (size.examples // 8, 16, 16, width)
        draw = jax.jit(lambda keys: jax.lax.map(lambda key: init(key, (*window, width, width), jnp.float32), keys))
        drawn = [draw(jax.random.split(jax.random.key(seed), depth)) for seed in range(size.seeds)]
        self.kernels = jax.block_until_ready(drawn)

    def start(self, f: Function, gain: float = 1.0, depth: int = DEPTH) -> Start:
        """What a network of the first `depth` kernels, times gain, does before training."""
        results = []
        for seed, kernels in enumerate(self.kernels):
            of_inputs, of_loss = jax.random.split(jax.random.key(1000 + seed))
            x, weights = jax.random.normal(of_inputs, self.shape), jax.random.normal(of_loss, self.shape)
            results.append([np.asarray(y, float) for y in gradients(f, gain * kernels[:depth], x, weights)])
        rms, signal, similarity = (np.array(y) for y in zip(*results, strict=True))
        relative = np.exp(np.mean(np.log(np.maximum(rms, 1e-37) / rms[:, -1:]), axis=0))
        return Start(float(relative[0]), float(signal.mean()), float(similarity.mean()), relative)


class Starts(NamedTuple):
    """Every network that is looked at before training, by the name of its activation."""

    orthogonal: dict[str, Start]
    normal: dict[str, Start]
    deeper: dict[str, Start]
    dks: dict[str, Start]
    convolution: dict[str, Start]
    curves: dict[str, dict[str, Start]]
    seconds: dict[str, float]


def starts(size: Size) -> Starts:
    """All networks before training."""
    names = list(SHAPED)[: size.functions]
    few = [name for name in ("tanh", "gelu", "leaky_relu") if name in names] or names[:1]
    drawn = [name for name in DRAWN if size.functions is None or name in names]
    orthogonal = Weights(initializers.orthogonal(), DEEPER, size)
    seconds, shaped = {}, {}
    for name in names:
        began = time.process_time()
        shaped[name] = act.shaped(SHAPED[name], DEPTH)
        seconds[name] = time.process_time() - began
    plain = {name: getattr(act, name) for name in drawn}
    of_drawn = {name: act.shaped(plain[name], DRAWN_DEPTH) for name in drawn if name != "relu"}
    found: dict[str, Any] = {
        "orthogonal": {name: orthogonal.start(f) for name, f in shaped.items()},
        "deeper": {name: orthogonal.start(act.shaped(SHAPED[name], DEEPER), depth=DEEPER) for name in few},
        "dks": {name: orthogonal.start(act.shaped(SHAPED[name], DEPTH, "dks")) for name in few if name != "leaky_relu"},
    }
    curves = {"shaped": {name: orthogonal.start(f, depth=DRAWN_DEPTH) for name, f in of_drawn.items()}}
    normal = Weights(initializers.normal(), DRAWN_DEPTH, size)
    found["normal"] = {name: normal.start(f) for name, f in shaped.items()}
    curves["textbook gain"] = {name: normal.start(f, act.gain(f), DRAWN_DEPTH) for name, f in plain.items()}
    flax = Weights(jax.nn.initializers.lecun_normal(), DRAWN_DEPTH, size)
    curves["Flax's defaults"] = {name: flax.start(f, depth=DRAWN_DEPTH) for name, f in plain.items()}
    images = Weights(initializers.orthogonal(), DEPTH, size, (3, 3))
    found["convolution"] = {name: images.start(shaped[name]) for name in few}
    return Starts(**found, curves=curves, seconds=seconds)


class Plain(nnx.Module):
    """Dense layers of one width with one activation, and a linear layer at the end."""

    def __init__(
        self, inputs: int, width: int, depth: int, activation: Function, init: Initializer, rngs: nnx.Rngs
    ) -> None:
        self.first = nnx.Linear(inputs, width, kernel_init=init, rngs=rngs)
        keys = jax.random.split(rngs.params(), depth - 1)
        self.kernels = nnx.Param(jax.lax.map(lambda key: init(key, (width, width), jnp.float32), keys))
        self.biases = nnx.Param(jnp.zeros((depth - 1, width)))
        self.last = nnx.Linear(width, 10, kernel_init=init, rngs=rngs)
        self.activation = activation

    def __call__(self, x: jax.Array) -> jax.Array:
        def layer(h: jax.Array, of_layer: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            kernel, bias = of_layer
            return self.activation(h @ kernel + bias), None

        h = self.activation(self.first(x))
        return self.last(jax.lax.scan(layer, h, (self.kernels[...], self.biases[...]))[0])


def networks(size: Size) -> Iterator[tuple[str, dict[str, Any]]]:
    """The trained networks: name, and activation, initializer and depth."""
    flax = jax.nn.initializers.lecun_normal()
    deep = size.trained_depth
    for name in size.trained_functions:
        f = getattr(act, name)
        yield f"{name}, 3 layers", {"activation": f, "init": flax, "depth": 3}
        shaped = act.shaped(f, deep)
        yield f"{name}, shaped", {"activation": shaped, "init": initializers.orthogonal(), "depth": deep}
        yield f"{name}, Flax's defaults", {"activation": f, "init": flax, "depth": deep}
        yield f"{name}, textbook gain", {"activation": f, "init": initializers.normal(act.gain(f)), "depth": deep}


class Trained(NamedTuple):
    """The best learning rate of a network by validation accuracy, and its mean test accuracy over seeds."""

    rate: float
    validation: float
    test: float


def trainings(task_name: str, steps: int, size: Size) -> dict[str, Trained]:
    """Each network at its best learning rate."""
    parts = training.builtin(task_name).data
    x = np.asarray(parts[0][0])
    scaled = tuple(((np.asarray(x_part) - x.mean()) / x.std(), np.asarray(y)) for x_part, y in parts)

    def build(trial: Any, rngs: nnx.Rngs) -> Plain:
        chosen = trial["network"]
        return Plain(x.shape[1], size.trained_width, chosen["depth"], chosen["activation"], chosen["init"], rngs)

    task = training.supervised(build, scaled, batch_size=64, name=task_name)
    space = {
        "network": sweeps.choice(dict(networks(size))),
        "optimizer": opt.adam(sweeps.values(size.rates)),
    }
    results = sweeps.run(task, space, seeds=size.trained_seeds, steps=steps, keep=0, progress=False)
    best = results.best("network")
    return {
        one.columns["network"]: Trained(
            one.columns["learning_rate"], one.scores["validation_accuracy"].mean, one.scores["test_accuracy"].mean
        )
        for one in best
        if one.scores
    }


def predictions(found: Starts, trained: dict[str, dict[str, Trained]], size: Size) -> list[tuple[str, str, bool]]:
    """Each prediction, what was found, and whether it held."""
    smooth = {name: start for name, start in found.orthogonal.items() if name != "leaky_relu"}

    def within(many: dict[str, Start], field: str, low: float, high: float) -> tuple[str, bool]:
        values = [getattr(start, field) for start in many.values()]
        return f"{min(values):.2f} to {max(values):.2f}", all(low <= value <= high for value in values)

    out = [
        (
            "Shaped (TAT), orthogonal: the gradient at the first layer is that at the last, for C'(1) = 1. Ratio 1, within "
            "0.8 to 1.25.",
            *within(found.orthogonal, "ratio", 0.8, 1.25),
        ),
        ("The same with normal weights: 1, within 0.7 to 1.5.", *within(found.normal, "ratio", 0.7, 1.5)),
        (
            "Signals keep their size, for Q(1) = 1: rms 1, within 0.8 to 1.25.",
            *within(found.orthogonal, "signal", 0.8, 1.25),
        ),
        (
            "Smooth: 1 - c falls by C''(1) (1 - c)² / 2 in a layer, so that orthogonal inputs have similarity "
            f"1 - 1 / 1.15 = {1 - 1 / 1.15:.2f} at the end. At most 0.35.",
            *within(smooth, "similarity", 0, 0.35),
        ),
        ("Shaped for depth 200: the same ratio.", *within(found.deeper, "ratio", 0.8, 1.25)),
        (
            "50 convolutions: the same ratio. Delta-orthogonal kernels do not mix places.",
            *within(found.convolution, "ratio", 0.8, 1.25),
        ),
        (f"DKS: ratio √1.5 = {math.sqrt(1.5):.2f}, within 10 %.", *within(found.dks, "ratio", 1.10, 1.35)),
    ]
    if "leaky_relu" in found.orthogonal:
        leaky = {"leaky_relu": found.orthogonal["leaky_relu"]}
        out.insert(4, ("leaky_relu: similarity 0.9 by its slope, at most 0.92.", *within(leaky, "similarity", 0, 0.92)))
    if "relu" in found.curves["Flax's defaults"]:
        ratio, theory = found.curves["Flax's defaults"]["relu"].ratio, 2 ** (-(DRAWN_DEPTH - 1) / 2)
        text = f"relu, Flax's defaults, depth {DRAWN_DEPTH}: E f'² = 1/2 in each layer, ratio {theory:.0e}, within a factor 10."
        out.append((text, f"{ratio:.0e}", theory / 10 < ratio < 10 * theory))
    for name, networks_of in trained.items():
        for f in size.trained_functions:
            deep, shallow = (networks_of[f"{f}, {kind}"].test for kind in ("shaped", "3 layers"))
            text = f"{name}, {f}: 50 layers, shaped, within 0.01 of 3 layers in test accuracy."
            out.append((text, f"{deep:.3f} against {shallow:.3f}", deep >= shallow - 0.01))
        plain = [t.test for n, t in networks_of.items() if n.endswith(("Flax's defaults", "textbook gain"))]
        text = (
            f"{name}: 50 layers with Flax's defaults or the textbook gain stay 0.1 or more below the worst shaped one."
        )
        worst = min(t.test for n, t in networks_of.items() if n.endswith("shaped"))
        out.append((text, f"{max(plain):.3f} at best, against {worst:.3f}", max(plain) <= worst - 0.1))
    return out


def page(found: Starts, trained: dict[str, dict[str, Trained]], size: Size) -> str:
    """The page, as Markdown."""
    lines = [
        "# 03: Plain deep networks",
        "",
        "Which activations let a plain deep network (no normalisation, no skip connections) learn, and does "
        "`activations.shaped` make the others do so?",
        "",
        f"Before training: {size.width} units, {size.examples} normal inputs, means over {size.seeds} draws of the weights, biases 0. "
        f"The ratio is rms(dL/dz) in the first layer divided by that in the last, for pre-activations z and L a random linear "
        f"function of the last z. The convolutional network has 3 × 3 windows, {size.width // 4} channels and images of 16 × 16.",
        "",
        *pages.table(predictions(found, trained, size)),
        f"![Gradients by layer, depth {DRAWN_DEPTH}](03-depth.png)",
        "",
        f"## Every activation, shaped for depth {DEPTH}",
        "",
        "| activation | method | ratio, orthogonal | ratio, normal | rms, orthogonal | similarity, orthogonal | similarity, normal | CPU seconds to shape |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, start in found.orthogonal.items():
        other, method = found.normal[name], act.shaped(SHAPED[name], DEPTH).method
        lines.append(
            f"| {name} | {method} | {start.ratio:.2f} | {other.ratio:.2f} | {start.signal:.2f} | {start.similarity:.2f} | "
            f"{other.similarity:.2f} | {found.seconds[name]:.2f} |"
        )
    lines += [
        "",
        "The last three are functions written in the script: x sin x, log(1 + x²), arctan x + x²/10. Times include compilation.",
        "",
        "| shaped, orthogonal | ratio | rms | similarity |",
        "|---|---|---|---|",
    ]
    others = {
        f"depth {DEEPER}": found.deeper,
        f"DKS, depth {DEPTH}": found.dks,
        f"{DEPTH} convolutions": found.convolution,
    }
    for label, many in others.items():
        lines += [f"| {n}, {label} | {s.ratio:.2f} | {s.signal:.2f} | {s.similarity:.2f} |" for n, s in many.items()]
    lines += [
        "",
        f"Without shaping, depth {DRAWN_DEPTH}:",
        "",
        "| activation | ratio, Flax's defaults | ratio, textbook gain | similarity, Flax's defaults | similarity, textbook gain |",
        "|---|---|---|---|---|",
    ]
    for name, start in found.curves["Flax's defaults"].items():
        other = found.curves["textbook gain"][name]
        lines.append(
            f"| {name} | {start.ratio:.1e} | {other.ratio:.1e} | {start.similarity:.2f} | {other.similarity:.2f} |"
        )
    for task, steps in size.trained:
        lines += [
            "",
            f"## Training: {task}",
            "",
            f"{size.trained_depth} layers of {size.trained_width} units, Adam, {steps} steps of 64 examples, {len(size.rates)} learning rates "
            f"from {size.rates[0]:g} to {size.rates[-1]:g}, {size.trained_seeds} seeds. The rate is selected by validation accuracy. Inputs have "
            "mean 0 and variance 1 over the training data. The test part has "
            f"{ {'digits': 360, 'mnist1d': 1000}.get(task) } examples.",
            "",
            "| network | best learning rate | validation accuracy | test accuracy |",
            "|---|---|---|---|",
            *[f"| {n} | {t.rate:g} | {t.validation:.3f} | {t.test:.3f} |" for n, t in trained[task].items()],
        ]
    return "\n".join([*lines, "", pages.conditions(__file__, "jax", "flax", "optax"), ""])


def picture(found: Starts) -> Any:
    """Size of the gradient by layer, a panel for each way to start."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.6), layout="constrained")
    axes = figure.subplots(1, 3, sharey=True)
    for axis, (title, curves) in zip(axes, reversed(found.curves.items()), strict=True):
        for name, start in curves.items():
            colour = f"C{DRAWN.index(name)}"
            layers = np.arange(1, len(start.gradients) + 1)
            axis.plot(layers, np.maximum(start.gradients, 1e-30), color=colour, label=name, linewidth=1.5)
        axis.set(title=title, xlabel="layer", yscale="log", ylim=(1e-16, 1e8), xlim=(1, DRAWN_DEPTH))
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(axis="y", color="#eeeeee")
    axes[0].set_ylabel("rms of dL/dz, that of the last layer = 1")
    axes[0].legend(fontsize=7, frameon=False, ncols=2, loc="upper left")
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Look at the networks before training, train them, and write page and picture.

    Args:
        arguments: the words after the script's name; default those of this process.

    Returns:
        The exit status, 0.
    """
    parser = pages.parser(__doc__, small=True)
    options = parser.parse_args(arguments)
    small = {
        "width": 64,
        "examples": 16,
        "seeds": 1,
        "functions": 2,
        "trained": (("digits", 10),),
        "trained_functions": ("tanh",),
    }
    size = Size(**small, trained_depth=4, trained_width=16, trained_seeds=1, rates=(1e-3,)) if options.small else Size()
    print("before training", file=sys.stderr, flush=True)
    found = starts(size)
    trained = {}
    for name, steps in size.trained:
        print(f"training, {name}", file=sys.stderr, flush=True)
        trained[name] = trainings(name, steps, size)
    (options.out / "03-depth.md").write_text(page(found, trained, size), encoding="utf-8")
    picture(found).savefig(options.out / "03-depth.png", dpi=130)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
