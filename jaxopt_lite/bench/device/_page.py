"""The page of `bench device`."""

from typing import Any

from jaxopt_lite.bench._activation_accuracy import DTYPES
from jaxopt_lite.bench._optimizer_times import WORDS
from jaxopt_lite.optimizers import CATALOGUE as OPTIMIZERS

WAYS = {
    "engine": "the sweep",
    "scan": "jitted `lax.scan` over the steps, one training at a time",
    "vmapped scan": "jitted `lax.scan` under `vmap` over the learning rates of a structure",
}


def render_device(figures: dict[str, Any]) -> str:
    """The figures of `device` as a page of Markdown.

    Args:
        figures: what `device` returns; sections that were not measured are left out.

    Returns:
        The page. Every sentence that depends on the figures is computed.

    Example:
        >>> page = render_device(device(small=True))  # doctest: +SKIP
    """
    versions = ", ".join(f"{name} {number}" for name, number in figures["versions"].items())
    memory = f", {figures['memory'] / 1e9:.0f} GB for JAX" if figures["memory"] else ""
    lines = [
        f"# On an accelerator: {figures['device']}",
        "",
        f"{figures['device']}{memory}. {versions}. Command: `jaxopt-lite bench device`. No time includes compilation, "
        "which is named apart.",
        "",
        *(f"Not measured: {name}, which failed with {text}.\n" for name, text in figures["failed"].items()),
    ]
    for name, render in RENDER.items():
        if name in figures:
            lines += [*render(figures), ""]
    return "\n".join(lines)


def _table(header: list[str], rows: list[list[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (header, ["---"] * len(header), *rows)]


def _rates(figures: dict[str, Any]) -> list[str]:
    rates = figures["rates"]
    products = ", ".join(f"{rates[name] / 1e12:.0f} ({name})" for name in rates if name != "bytes")
    return [
        "## The device's own limits",
        "",
        f"Memory: {rates['bytes'] / 1e12:.2f} TB/s, read and written, by y ← y + x/2. Matrix products: {products} "
        "TFLOP/s.",
    ]


def _sweep(figures: dict[str, Any]) -> list[str]:
    sweep = figures["sweep"]
    sizes, engine = sweep["sizes"], sweep["ways"]["engine"]
    rows = [
        [
            WAYS[name],
            f"{way['trainings']:,}",
            f"{way['trials_per_second']:,.1f}",
            f"{way['compile_seconds']:.0f}",
            "" if name == "engine" else f"{sweep['ratios'][name]:.1f}",
            "" if way["median_difference"] is None or name == "engine" else f"{way['median_difference']:.4f}",
        ]
        for name, way in sweep["ways"].items()
    ]
    slower = [WAYS[name] for name, ratio in sweep["ratios"].items() if ratio < 1]
    verdict = f"The sweep is slower than: {', '.join(slower)}." if slower else "The sweep is faster than both loops."
    return [
        "## A sweep against loops",
        "",
        f"Digits, MLP 64-64-64-10, batch {sizes['batch']}, {sizes['steps']} steps; {sweep['structures']} structures × "
        f"{len(sizes['rates'])} learning rates × {sizes['seeds']} seeds = {sweep['runs']:,} runs in chunks of "
        f"{sweep['width']}. {verdict}",
        "",
        *_table(
            ["way", "trainings", "trainings/s", "compile, s", "sweep ÷ this", "median difference of accuracy"], rows
        ),
        "",
        f"The sweep took {sweep['runs'] / engine['trials_per_second']:.1f} s.",
    ]


def _widths(figures: dict[str, Any]) -> list[str]:
    found = figures["widths"]
    one = found[min(found, key=int)]
    rows = [[f"{int(width):,}", f"{rate:,.0f}", f"{rate / one:.1f}"] for width, rate in found.items()]
    return [
        "## Runs side by side",
        "",
        "The same network with tanh and Adam: steps per second of all runs together, by the width of a chunk.",
        "",
        *_table(["runs side by side", "steps/s", "times one run"], rows),
    ]


def _networks(figures: dict[str, Any]) -> list[str]:
    rows = []
    for one in figures["networks"].values():
        engine, loop = one["milliseconds"]["engine"], one["milliseconds"]["jitted"]
        rows.append([one["title"], f"{one['width']}", f"{engine:.3f}", f"{loop:.3f}", f"{loop / engine:.1f}"])
    return [
        "## Other networks",
        "",
        "Milliseconds of a step of one training with Adam: a sweep over learning rates, and a loop that calls a jitted "
        "step, compiled once.",
        "",
        *_table(["network", "runs side by side", "sweep, ms", "loop, ms", "loop ÷ sweep"], rows),
    ]


def _identity(figures: dict[str, Any]) -> list[str]:
    rows = [
        [flags, way, f"{found['equal']:.0%}", f"{found['loss']:.1e}", f"{found['accuracy']:.4f}"]
        for flags, ways in figures["identity"].items()
        for way, found in ways.items()
    ]
    steps, rates = figures["sizes"]["identity"]
    return [
        "## Is a run the same, however it is run?",
        "",
        f"{rates} trainings of the digits classifier with tanh and Adam, {steps} steps, compared with the same "
        "trainings run another way. Training amplifies a difference in the last bit, so losses differ by more than one "
        "rounding.",
        "",
        *_table(
            [
                "flags of XLA",
                "run",
                "bitwise equal",
                "largest relative difference of validation loss",
                "largest difference of validation accuracy",
            ],
            rows,
        ),
    ]


def _optimizers(figures: dict[str, Any]) -> list[str]:
    rows, entries, speed = [], figures["sizes"]["entries"], figures.get("rates", {}).get("bytes")
    for name, found in figures["optimizers"].items():
        ours = found["ours"]
        ratios = [f"{ours / found[key]:.2f}" if found.get(key) else "" for key in ("optax", "torch")]
        share = (
            f"{4 * entries * WORDS[OPTIMIZERS[name].memory] / speed / ours:.0%}" if name in OPTIMIZERS and speed else ""
        )
        rows.append([name, f"{1e3 * ours:.2f}", *ratios, share])
    return [
        "## Optimizer steps",
        "",
        f"A donated step of one float32 array of {entries / 1e6:.0f} million entries, with its call and the wait for "
        "its end. PyTorch's optimizers are its fused ones, and `foreach` where it has none for the GPU (adagrad). "
        "The last column is the time in which memory moves the numbers that the step must read and write, divided by "
        "the step's time.",
        "",
        *_table(["optimizer", "ms", "÷ optax", "÷ torch", "share of the memory's speed"], rows),
    ]


def _times(figures: dict[str, Any]) -> list[str]:
    rows, slower = [], []
    for name, found in figures["times"].items():
        cells = [name]
        for part in ("value", "vjp"):
            for dtype in found:
                rival, copy = found[dtype][part]["rival"], found[dtype][part]["copy"]
                cells.append(f"{copy:.2f}" + (f" ({rival:.2f})" if rival else ""))
                if rival and rival > 1.1:
                    slower.append(f"{name} {part} {dtype} {rival:.2f}")
        rows.append(cells)
    shape = " × ".join(f"{n:,}" for n in figures["sizes"]["shape"])
    verdict = (
        f"More than 1.1 times the rival's time: {', '.join(slower)}."
        if slower
        else "None takes more than 1.1 times as long."
    )
    return [
        "## Activations: time",
        "",
        f"Arrays of {shape}, alone in a program, in units of a copy of the array; in brackets the ratio to `jax.nn`'s "
        f"function, or to the formula in `jax.numpy` where it has none. {verdict}",
        "",
        *_table(
            ["activation", "value, float32", "value, bfloat16", "vjp, float32", "vjp, bfloat16"],
            rows,
        ),
    ]


def _errors(figures: dict[str, Any]) -> list[str]:
    rows = []
    for name, libraries in figures["errors"].items():
        cells = [name]
        for dtype in DTYPES:
            for order in (0, 1):
                parts = [
                    f"{libraries[x][dtype]['ulp'][order]:.3g}" for x in ("jaxopt_lite", "jax.nn") if x in libraries
                ]
                cells.append(parts[0] + (f" ({parts[1]})" if len(parts) > 1 else ""))
        broken = [str(sum(of[d]["broken"] for d in DTYPES)) for of in libraries.values()]
        rows.append([*cells, broken[0] + (f" ({broken[1]})" if len(broken) > 1 else "")])
    ours = [of["jaxopt_lite"] for of in figures["errors"].values()]
    worst = {dtype: max(max(of[dtype]["ulp"][:2]) for of in ours) for dtype in DTYPES}
    total = sum(of[dtype]["broken"] for of in ours for dtype in DTYPES)
    text = ", ".join(f"{error:.3g} in {dtype}" for dtype, error in worst.items())
    return [
        "## Activations: accuracy",
        "",
        "Largest error of value and slope in units in the last place, on this device; in brackets that of `jax.nn`. "
        f"Ours: at most {text}; {total} results that should be finite are not.",
        "",
        *_table(
            ["activation", *(f"{part}, {dtype}" for dtype in DTYPES for part in ("value", "slope")), "not finite"], rows
        ),
    ]


RENDER = {
    "rates": _rates,
    "sweep": _sweep,
    "widths": _widths,
    "networks": _networks,
    "identity": _identity,
    "optimizers": _optimizers,
    "times": _times,
    "errors": _errors,
}
