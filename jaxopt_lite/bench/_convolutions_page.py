"""The page of `bench convolutions`: predictions, a table per network, and a verdict computed from the figures."""

from typing import Any

NAMES = {
    "engine": "this engine",
    "jitted": "jitted step, all cores in each operation",
    "jitted processes": "jitted step, one process per core",
    "torch": "PyTorch loop",
    "torch processes": "PyTorch loop, one process per core",
}
# Bounds on a way's time over the engine's, chosen before the measurement.
PREDICTED = {"jitted": 1.5, "torch": 1.0}


def render_convolutions(figures: dict[str, Any]) -> str:
    """The figures of `convolutions` as a page of Markdown.

    Args:
        figures: what `convolutions` returns.

    Returns:
        The page: prediction, a table per network, verdict and notes. Every sentence that depends on the figures is
        computed.

    Example:
        >>> page = render_convolutions(convolutions(small=True))  # doctest: +SKIP
    """
    versions = ", ".join(f"{name} {number}" for name, number in figures["versions"].items())
    sizes = figures["sizes"]
    lines = [
        "# Sweeps of CNNs, a GRU and a transformer against loops with a jitted step",
        "",
        f"float32, Adam, {len(sizes['rates'])} trainings. {figures['device']}. {versions}. "
        f"Load average before the first measurement: {figures['load']:.1f}.",
        "",
        "## Prediction",
        "",
        *(f"- {NAMES[way]}: takes at least {bound:g} × the engine's time" for way, bound in PREDICTED.items()),
        "",
        "## Result",
        "",
    ]
    for one in figures["networks"].values():
        lines += [
            f"### {one['title']}",
            "",
            f"{one['steps']} steps a training; {one['width']} {'training' if one['width'] == 1 else 'trainings'} a "
            "program of the engine.",
            "",
            "| way | cores | ms a step of a training | compile, s | this ÷ engine | test loss differs by |",
            "|---|---|---|---|---|---|",
            *(_row(one, way, len(sizes["rates"])) for way in NAMES if way in one["ways"]),
            "",
        ]
    lines += [
        "## Verdict",
        "",
        " ".join(verdict(figures)),
        "",
        "## How it was measured",
        "",
        f"- Medians of {sizes['repeats']} rounds (lowest and highest in brackets); in a round the ways take turns. "
        "Compilation is not included.",
        "- All ways start from the same weights, visit the same rows in the same order, and end with the loss on all "
        "training and test rows. The loops copy each batch from NumPy; the engine's data are in its program.",
        "- The jitted step has the learning rate in its state, by `optax.inject_hyperparams`, and compiles once. "
        "The CNNs are NNX modules under `nnx.jit`; the others are Linen modules under `jax.jit`.",
        "- PyTorch uses fused Adam, and the number of threads and the memory format that are faster.",
        "- Test loss differs by: largest relative difference from the engine's.",
        "",
        "Command: `jaxopt-lite bench convolutions`.",
    ]
    return "\n".join(lines) + "\n"


def verdict(figures: dict[str, Any]) -> list[str]:
    """Sentences: which predictions failed, and every way that is faster than the engine."""
    tested, failed, faster = 0, [], []
    for name, one in figures["networks"].items():
        for way, ratio in one["ratios"].items():
            tested += way in PREDICTED
            if way in PREDICTED and ratio < PREDICTED[way]:
                failed.append(f"{name}: {NAMES[way]} ({ratio:.2f} ×)")
            if ratio < 1:
                faster.append(f"{name}: {NAMES[way]} ({ratio:.2f} ×)")
    out = [f"{tested - len(failed)} of {tested} predictions hold."]
    out += [f"Contradicted: {', '.join(failed)}."] if failed else []
    out += [f"The engine is slower than: {', '.join(faster)}."] if faster else ["No way is faster than the engine."]
    return out


def _row(one: dict[str, Any], name: str, trainings: int) -> str:
    way = one["ways"][name]
    times = sorted(1e3 * seconds / (one["steps"] * trainings) for seconds in way["seconds"])
    cells = [
        NAMES[name],
        way["cores"],
        f"{way['milliseconds']:.2f} ({times[0]:.2f} to {times[-1]:.2f})",
        f"{way['compile_seconds']:.1f}",
        "" if name == "engine" else f"{one['ratios'][name]:.2f}",
        "" if name == "engine" else f"{way['largest_difference']:.1%}",
    ]
    return f"| {' | '.join(map(str, cells))} |"
