"""04: does `diagnose` name the trouble of a network, and do the changes that it prints cure it?

The predictions, the command and the result are in `experiments/04-diagnosis.md`, which this script writes:

    python experiments/04_diagnosis.py
"""

import functools
import itertools
import sys
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import pages
from flax import linen as nn
from flax import nnx

from jaxopt_lite import activations as act
from jaxopt_lite import optimizers as opt
from jaxopt_lite.diagnostics import Diagnosis, diagnose

ONCE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}
LECUN, ZEROS = jax.nn.initializers.lecun_normal(), jax.nn.initializers.zeros
Array = jax.Array
LIST = getattr(nnx, "List", list)  # Flax 0.11 takes plain lists


def variance(scale: float) -> Any:
    """Weights of variance scale / fan_in."""
    return jax.nn.initializers.variance_scaling(scale, "fan_in", "normal")


class Network(NamedTuple):
    """A network of equal layers.

    Attributes:
        api: "nnx" or "linen".
        activation: after each layer but the last.
        depth: number of hidden layers, or of blocks.
        kernel_init: initial weights.
        bias_init: initial biases.
        conv: whether the layers are 3 × 3 convolutions, with a mean over the positions before the last layer.
        norm: name of the normalisation before each activation; "" for none.
        residual: whether each layer is a block h + layer(activation(h)).
        width: units or channels of a hidden layer.
    """

    api: str
    activation: Callable[[Array], Array]
    depth: int
    kernel_init: Any = LECUN
    bias_init: Any = ZEROS
    conv: bool = False
    norm: str = ""
    residual: bool = False
    width: int = 64

    def build(self, x: Array, key: Array) -> Any:
        """The model as `diagnose` takes it."""
        if self.api == "nnx":
            return NNX(self, x.shape[-1], nnx.Rngs(key))
        module = Linen(self)
        return module, module.init(key, x)


class NNX(nnx.Module):
    def __init__(self, net: Network, inputs: int, rngs: nnx.Rngs) -> None:
        layer = functools.partial(nnx.Conv, kernel_size=(3, 3)) if net.conv else nnx.Linear
        sizes = [inputs] + [net.width] * net.depth
        make = functools.partial(layer, kernel_init=net.kernel_init, bias_init=net.bias_init, rngs=rngs)
        self.hidden = LIST([make(n, m) for n, m in itertools.pairwise(sizes)])
        self.norms = LIST([getattr(nnx, net.norm)(net.width, rngs=rngs) if net.norm else None for _ in self.hidden])
        self.out, self.net = nnx.Linear(net.width, 10, rngs=rngs), net._replace(kernel_init=None, bias_init=None)

    def __call__(self, x: Array) -> Array:
        return _forward(self.net, x, self.hidden, self.norms, self.out)


class Linen(nn.Module):
    net: Network

    @nn.compact
    def __call__(self, x: Array) -> Array:
        net = self.net
        layer = functools.partial(nn.Conv, kernel_size=(3, 3)) if net.conv else nn.Dense
        hidden = [layer(net.width, kernel_init=net.kernel_init, bias_init=net.bias_init) for _ in range(net.depth)]
        options = {"use_running_average": False} if net.norm == "BatchNorm" else {}
        norms = [getattr(nn, net.norm)(**options) if net.norm else None for _ in hidden]
        return _forward(net, x, hidden, norms, nn.Dense(10))


def _forward(net: Network, x: Array, hidden: Any, norms: Any, out: Any) -> Array:
    for i, (layer, norm) in enumerate(zip(hidden, norms, strict=True)):
        z = layer(net.activation(x) if net.residual and i else x)
        z = norm(z) if norm else z
        x = (x + z if i else z) if net.residual else net.activation(z)
    return out(x.mean((1, 2)) if net.conv else x)


class Case(NamedTuple):
    """A network and a batch of which the trouble is known.

    Attributes:
        what: the network in words.
        truth: its trouble, or "healthy".
        net: the network.
        change: what is done to the inputs, standardised digits. Default None: nothing.
        damage: learning rate of 20 steps of SGD that are made before the diagnosis. Default 0: none.
    """

    what: str
    truth: str
    net: Network
    change: Callable[[Array], Array] | None = None
    damage: float = 0.0


def digits(conv: bool) -> tuple[Array, Array]:
    """Scikit-learn's 1,797 digits, standardised: rows of 64 or images of 8 × 8 × 1, and their classes."""
    from sklearn.datasets import load_digits
    from sklearn.preprocessing import scale

    rows, classes = load_digits(return_X_y=True)
    x = jnp.asarray(scale(rows), jnp.float32)
    return x.reshape(-1, 8, 8, 1) if conv else x, jnp.asarray(classes)


def trained(apply: Any, params: Any, x: Array, y: Array, tx: Any, steps: int) -> tuple[Any, float]:
    """Parameters after some steps on batches of 128, and the mean loss of the last fifth of the steps."""

    @functools.partial(jax.jit, compiler_options=ONCE)
    def step(params: Any, state: Any, key: Array) -> tuple[Any, Any, Array]:
        rows = jax.random.choice(key, len(x), (128,))
        loss = lambda p: optax.softmax_cross_entropy_with_integer_labels(apply(p, x[rows]), y[rows]).mean()  # noqa: E731
        value, grads = jax.value_and_grad(loss)(params)
        updates, state = tx.update(grads, state, params)
        return optax.apply_updates(params, updates), state, value

    state, losses = tx.init(params), []
    for key in jax.random.split(jax.random.key(3), steps):
        params, state, value = step(params, state, key)
        losses.append(value)
    return params, float(jnp.mean(jnp.stack(losses[-max(1, steps // 5) :])))


def split(model: Any) -> tuple[Any, Any, Callable[[Any], Any]]:
    """The function of (params, x), the parameters, and the model with other parameters."""
    if isinstance(model, tuple):
        module, variables = model
        rest = {name: value for name, value in variables.items() if name != "params"}
        apply = lambda p, x: module.apply({"params": p, **rest}, x, mutable=list(rest))[0]  # noqa: E731
        return apply, variables["params"], lambda p: (module, {"params": p, **rest})
    graphdef, params, rest = nnx.split(model, nnx.Param, ...)
    apply = lambda p, x: nnx.merge(graphdef, p, rest, copy=True)(x)  # noqa: E731
    return apply, params, lambda p: nnx.merge(graphdef, p, rest, copy=True)


HE, BIG = variance(2.0), variance(6.0)
CASES = [
    Case("relu, 4 layers, He's weights", "healthy", Network("nnx", act.relu, 4, HE)),
    Case("tanh, 5 layers", "healthy", Network("linen", nn.tanh, 5)),
    Case("gelu of jax.nn, 3 layers", "healthy", Network("nnx", jax.nn.gelu, 3)),
    Case("sigmoid, 1 layer", "healthy", Network("linen", nn.sigmoid, 1)),
    Case("elu, 12 layers, variance 1.55", "healthy", Network("nnx", act.elu, 12, variance(1.55))),
    Case("convolutions, relu, 4 layers, He's weights", "healthy", Network("linen", nn.relu, 4, HE, conv=True)),
    Case(
        "convolutions, relu, batch norm, 6 layers", "healthy", Network("nnx", nnx.relu, 6, conv=True, norm="BatchNorm")
    ),
    Case(
        "relu blocks with layer norm, 12 blocks",
        "healthy",
        Network("nnx", nnx.relu, 12, norm="LayerNorm", residual=True),
    ),
    Case(
        "silu blocks, weights of variance 0.05, 12 blocks",
        "healthy",
        Network("linen", nn.silu, 12, variance(0.05), residual=True),
    ),
    Case("leaky relu, 6 layers, after 20 steps", "healthy", Network("linen", nn.leaky_relu, 6, HE), damage=0.01),
    Case("sigmoid, 10 layers", "vanishing", Network("nnx", act.sigmoid, 10)),
    Case("tanh, 16 layers, variance 0.3", "vanishing", Network("linen", nn.tanh, 16, variance(0.3))),
    Case("relu, 30 layers, Flax's weights", "vanishing", Network("nnx", nnx.relu, 30)),
    Case("gelu, 20 layers, Flax's weights", "vanishing", Network("linen", act.gelu, 20)),
    Case("convolutions, sigmoid, 8 layers", "vanishing", Network("nnx", nnx.sigmoid, 8, conv=True, width=16)),
    Case("convolutions, silu, 16 layers", "vanishing", Network("linen", nn.silu, 16, conv=True, width=16)),
    Case("relu, 12 layers, variance 6", "exploding", Network("nnx", act.relu, 12, BIG)),
    Case("leaky relu, 10 layers, variance 10", "exploding", Network("linen", nn.leaky_relu, 10, variance(10.0))),
    Case("elu, 14 layers, variance 5", "exploding", Network("nnx", nnx.elu, 14, variance(5.0))),
    Case(
        "relu blocks without norm, 20 blocks, variance 4",
        "exploding",
        Network("linen", nn.relu, 20, variance(4.0), residual=True),
    ),
    Case(
        "convolutions, relu, 10 layers, variance 10",
        "exploding",
        Network("nnx", nnx.relu, 10, variance(10.0), conv=True, width=16),
    ),
    Case(
        "convolutions, gelu, 12 layers, variance 8",
        "exploding",
        Network("linen", nn.gelu, 12, variance(8.0), conv=True, width=16),
    ),
    Case("relu, 4 layers, biases -5", "dead", Network("nnx", act.relu, 4, HE, jax.nn.initializers.constant(-5.0))),
    Case("relu, 4 layers, after 20 steps of rate 1.5", "dead", Network("linen", nn.relu, 4, HE), damage=1.5),
    Case(
        "relu, 3 layers, negative weights, inputs from 0 to 1",
        "dead",
        Network("nnx", nnx.relu, 3, lambda *a: -jnp.abs(LECUN(*a))),
        lambda x: x - x.min(),
    ),
    Case("relu, 1 layer, biases -8", "dead", Network("linen", jax.nn.relu, 1, HE, jax.nn.initializers.constant(-8.0))),
    Case(
        "convolutions, relu, biases -4",
        "dead",
        Network("nnx", nnx.relu, 4, HE, jax.nn.initializers.constant(-4.0), conv=True, width=16),
    ),
    Case(
        "convolutions, relu, after 20 steps of rate 3",
        "dead",
        Network("linen", nn.relu, 4, HE, conv=True, width=16),
        damage=3.0,
    ),
    Case("tanh, 3 layers, variance 50", "saturated", Network("nnx", act.tanh, 3, variance(50.0))),
    Case(
        "sigmoid, 2 layers, inputs from 0 to 255",
        "saturated",
        Network("linen", nn.sigmoid, 2),
        lambda x: (x - x.min()) * 255 / (x.max() - x.min()),
    ),
    Case("hard tanh, 3 layers, variance 50", "saturated", Network("nnx", nnx.hard_tanh, 3, variance(50.0))),
    Case(
        "tanh, 4 layers, biases of deviation 8",
        "saturated",
        Network("linen", nn.tanh, 4, LECUN, jax.nn.initializers.normal(8.0)),
    ),
    Case(
        "convolutions, tanh, 4 layers, variance 50",
        "saturated",
        Network("linen", nn.tanh, 4, variance(50.0), conv=True, width=16),
    ),
    Case(
        "convolutions, sigmoid, 2 layers, inputs from 0 to 255",
        "saturated",
        Network("nnx", act.sigmoid, 2, conv=True, width=16),
        lambda x: (x - x.min()) * 255 / (x.max() - x.min()),
    ),
    Case("relu, 50 layers, He's weights", "collapsed", Network("nnx", act.relu, 50, HE)),
    Case("leaky relu, 50 layers, He's weights", "collapsed", Network("linen", nn.leaky_relu, 50, HE)),
    Case("relu, 3 layers, inputs 10 + x", "collapsed", Network("nnx", nnx.relu, 3, HE), lambda x: 10 + x),
    Case(
        "elu, 3 layers, biases of deviation 20",
        "collapsed",
        Network("linen", nn.elu, 3, LECUN, jax.nn.initializers.normal(20.0)),
    ),
    Case(
        "convolutions, relu, 30 layers, He's weights",
        "collapsed",
        Network("nnx", nnx.relu, 30, HE, conv=True, width=16),
    ),
    Case(
        "convolutions, gelu, 3 layers, inputs 1 + x / 20",
        "collapsed",
        Network("linen", nn.gelu, 3, conv=True, width=16),
        lambda x: 1 + x / 20,
    ),
]


STEPS, LEARNED, FAILED = 100, 0.5, 1.0  # steps of Adam; mean losses of a network that has learned and that has not
RATE = 1e-3
CURED = (10, 12, 16, 19, 22, 24, 28, 29, 34, 36)  # two cases of each trouble


class Cure(NamedTuple):
    """The loss after training a case as it is, and after the first remedy of its diagnosis."""

    before: float
    after: float

    @property
    def works(self) -> bool:
        """Whether the network fails to learn without the remedy, and learns with it."""
        return not self.before < FAILED and self.after < LEARNED


def model_of(case: Case, x: Array, y: Array, seed: int) -> Any:
    """The model of a case as it is diagnosed."""
    model = case.net.build(x, jax.random.key(seed))
    if not case.damage:
        return model
    apply, params, whole = split(model)
    return whole(trained(apply, params, x, y, opt.sgd(case.damage), 20)[0])


def diagnosed(case: Case, seed: int = 0) -> Diagnosis:
    """What `diagnose` says of a case, from 128 examples."""
    x, y = digits(case.net.conv)
    x = case.change(x) if case.change else x
    return diagnose(model_of(case, x, y, seed), x[:128], y[:128])


def cured(case: Case, diagnosis: Diagnosis, seed: int = 0) -> Cure:
    """Train a case with and without the code of the first remedy, which is executed as printed."""
    x, y = digits(case.net.conv)
    x = case.change(x) if case.change else x
    names: dict[str, Any] = {"act": act, "opt": opt, "jax": jax, "nn": nn, "nnx": nnx, "x": x, "tx": opt.adam(RATE)}
    names |= {"n": case.net.width, "rngs": nnx.Rngs(seed)}
    losses = []
    for code in ("", diagnosis.remedies[0].code if diagnosis.remedies else ""):
        exec(code, names)
        fields = {name: names[name] for name in ("activation", "kernel_init", "bias_init") if name in names}
        fields |= {"norm": type(names["norm"]).__name__} if "norm" in names else {}
        changed = case._replace(net=case.net._replace(**fields), damage=0.0 if code else case.damage)
        apply, params, _ = split(model_of(changed, names["x"], y, seed))
        losses.append(trained(apply, params, names["x"], y, names["tx"], STEPS)[1])
    return Cure(*losses)


def predictions(found: dict[int, Diagnosis], cures: dict[int, Cure]) -> list[tuple[str, str, bool]]:
    """Each prediction, what was found, and whether it held."""
    right = sum(found[i].verdict == CASES[i].truth for i in found)
    healthy = [i for i in found if CASES[i].truth == "healthy"]
    alarms = sum(found[i].verdict != "healthy" for i in healthy)
    works = sum(cure.works for cure in cures.values())
    return [
        (f"At least 95 % of {len(found)} verdicts are right.", f"{right}", right >= 0.95 * len(found)),
        ("No healthy network gets another verdict.", f"{alarms} of {len(healthy)}", alarms == 0),
        (
            f"With the first remedy applied as printed, at least 90 % of {len(cures)} networks learn, which do not learn without it.",
            f"{works}",
            works >= 0.9 * len(cures),
        ),
    ]


def page(found: dict[int, Diagnosis], cures: dict[int, Cure], seed: int) -> str:
    """The page, as Markdown."""
    lines = [
        "# 04: Diagnosis of networks whose trouble is known",
        "",
        "Does `diagnose` name the trouble of a network, and do the changes that it prints cure it?",
        "",
        f"{len(found)} networks of equal layers, NNX and Linen, dense and convolutional, each made healthy or with one trouble. They are "
        "diagnosed on 128 of scikit-learn's digits, standardised unless the case says otherwise. Weights have variance 1/fan_in, "
        "Flax's default, unless the case says otherwise; He's weights have variance 2/fan_in.",
        "",
        "The limits of the rules were set while a first version of these cases was in sight, and a few cases were then "
        "adjusted until they had their trouble, so the count says that the rules separate the troubles, not how often they are right on networks of all kinds.",
        "",
        *pages.table(predictions(found, cures)),
        "## Verdicts",
        "",
        "| network | API | truth | verdict | first layer |",
        "|---|---|---|---|---|",
    ]
    for i, diagnosis in found.items():
        case, verdict = CASES[i], diagnosis.verdict
        shown = verdict if verdict == case.truth else f"**{verdict}**"
        lines.append(f"| {case.what} | {case.net.api} | {case.truth} | {shown} | {diagnosis.layer} |")
    lines += [
        "",
        "## Remedies",
        "",
        f"Two cases of each trouble are trained by {STEPS} steps of Adam with rate {RATE} on batches of 128, as they are and with the "
        f"first remedy. The loss is the mean of the last fifth of the steps; chance is 2.3. A network has learned below {LEARNED}, "
        f"and has not above {FAILED}.",
        "",
        "| network | trouble | first remedy | loss without | loss with it | cured |",
        "|---|---|---|---|---|---|",
    ]
    for i, cure in cures.items():
        remedy = "<br>".join(f"`{line}`" for line in found[i].remedies[0].code.splitlines())
        losses = f"{cure.before:.2f} | {cure.after:.2f}"
        lines.append(
            f"| {CASES[i].what} | {found[i].verdict} | {remedy} | {losses} | {'yes' if cure.works else '**no**'} |"
        )
    return "\n".join([*lines, "", pages.conditions(__file__, "jax", "flax", "optax", more=f", seed {seed}"), ""])


def main(arguments: Sequence[str] | None = None) -> int:
    """Diagnose all cases, train some of them, and write the page.

    Args:
        arguments: the words after the script's name; default those of this process.

    Returns:
        The exit status, 0.
    """
    parser = pages.parser(__doc__)
    parser.add_argument(
        "--seed", type=int, default=0, metavar="N", help="random seed of the initial weights; default 0"
    )
    parser.add_argument("--only", metavar="NUMBERS", help="numbers of cases, to try the script, as 0,10,22")
    options = parser.parse_args(arguments)
    numbers = [int(n) for n in options.only.split(",")] if options.only else list(range(len(CASES)))
    found, cures = {}, {}
    for i in numbers:
        found[i] = diagnosed(CASES[i], options.seed)
        print(f"{CASES[i].what}: {found[i].verdict} ({CASES[i].truth})", file=sys.stderr, flush=True)
    for i in numbers:
        if i in CURED:
            cures[i] = cured(CASES[i], found[i], options.seed)
            print(f"{CASES[i].what}: {cures[i].before:.3f} -> {cures[i].after:.3f}", file=sys.stderr, flush=True)
    (options.out / "04-diagnosis.md").write_text(page(found, cures, options.seed), encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
