"""The page of `bench sweep`: what was predicted, the table, and a verdict computed from the figures."""

from typing import Any

NAMES = {
    "engine": "this engine",
    "rebuilt": "Flax + optax, jitted for each training",
    "cached": "Flax + optax, jitted once per structure",
    "torch": "PyTorch loop",
    "scan, 1 process": "scan on one core",
    "scan": "scan, one process per core",
    "vmapped scan": "vmapped scan, one process per core",
}
WAYS = {
    "rebuilt": "one jitted step, compiled again for each training, with its learning rate as a constant",
    "cached": "one jitted step per structure, with the learning rate in the state by `optax.inject_hyperparams`",
    "torch": "fused optimizers where PyTorch has them, with the number of threads that is faster",
    "scan": "a jitted `lax.scan` over the steps, compiled once per structure, with the learning rate as an argument",
    "vmapped scan": "one call per structure, under `vmap` over the learning rates",
}
# Bounds on the engine's trials per second over a way's, chosen before the measurement, with the reason.
PREDICTED = {
    "rebuilt": (20.0, None, "compilation takes longer than the training"),
    "cached": (3.0, None, "a call from Python per step costs more than the step"),
    "torch": (5.0, None, "several calls per layer and step cost more than the arithmetic"),
    "scan": (0.9, 1.3, "it is the same arithmetic on the same cores, so the engine saves the writing, not the time"),
    "vmapped scan": (0.9, 2.0, "batches of small matrix products gain little on a CPU"),
}


def render_sweep(figures: dict[str, Any]) -> str:
    """The figures of `sweep` as a page of Markdown.

    Args:
        figures: what `sweep` returns.

    Returns:
        The page: prediction, table, verdict and notes. Every sentence that depends on the figures is computed.

    Example:
        >>> page = render_sweep(sweep(small=True))  # doctest: +SKIP
    """
    sizes = figures["sizes"]
    versions = ", ".join(f"{name} {number}" for name, number in figures["versions"].items())
    lines = [
        "# The default sweep against hand-written loops",
        "",
        f"Digits, MLP 64-64-64-10, float32, batch {sizes['batch']}, {sizes['steps']} steps; "
        f"{len(sizes['rates'])} learning rates. {figures['device']}. {versions}. "
        f"Load average before the first measurement: {figures['load']:.1f}.",
        "",
        "## Prediction",
        "",
        *(f"- {_prediction(name)}" for name in PREDICTED if name in figures["ways"]),
        "",
        "## Result",
        "",
        "| way | trainings | cores | trials/s | compile, s | engine ÷ this | per core | accuracy differs by |",
        "|---|---|---|---|---|---|---|---|",
        *(_row(figures, name) for name in NAMES if name in figures["ways"]),
        "",
        "## Verdict",
        "",
        " ".join(verdict(figures)),
        "",
        "## Time until the best setting is known",
        "",
        *_answer(figures),
        "",
        "## How it was measured",
        "",
        *_notes(figures),
        "",
        "Command: `jaxopt-lite bench sweep`.",
    ]
    return "\n".join(lines) + "\n"


def _answer(figures: dict[str, Any]) -> list[str]:
    """Time until the best of the settings is known: with halving, and by training every setting with every seed."""
    answer, sizes = figures["answer"], figures["sizes"]
    seconds = sorted(answer["seconds"])
    lost = ", ".join(f"{value:+.4f} in {name.replace('_', ' ')}" for name, value in answer["lost"].items())
    return [
        f"With `{answer['rule']}` the engine makes {answer['share']:.1%} of the steps and has the best setting, with "
        f"{sizes['seeds']} seeds, after {seconds[len(seconds) // 2]:.2f} s ({seconds[0]:.2f} to {seconds[-1]:.2f}), "
        f"compilation apart. {answer['slots']:.0%} of the slots of its chunks train a run. The setting it picks loses "
        f"{lost} (mean over seeds) to the best of the full grid in this sweep.",
        "",
        "| training the full grid | s | time ÷ that with halving |",
        "|---|---|---|",
        *(
            f"| {NAMES[name]} | {answer['grid_seconds'][name]:.1f} | {ratio:.1f} |"
            for name, ratio in answer["ratios"].items()
        ),
        "",
        "The loops ran one seed; their time for all seeds follows from their trainings per second. A loop that prunes "
        "would save time too.",
    ]


def verdict(figures: dict[str, Any]) -> list[str]:
    """Sentences: how many cores the ratios include, which predictions failed, and every way that is faster."""
    ratios, ways, cores = figures["ratios"], figures["ways"], figures["cores"]
    failed = [name for name in PREDICTED if name in ratios and not _holds(name, ratios[name])]
    tested = sum(name in ratios for name in PREDICTED)
    faster = [name for name, ratio in ratios.items() if ratio < 1]
    quick = [
        name
        for name, way in ways.items()
        if way["compile_seconds"] is not None and way["compile_seconds"] < ways["engine"]["compile_seconds"]
    ]
    per_core = {name: _per_core(figures, name) for name in ratios if name not in faster}
    slower = {name: ratio for name, ratio in per_core.items() if ratio < 1}
    out = [f"The engine uses {cores} cores; its ratio to a way on one core includes the others."]
    out += [f"{tested - len(failed)} of {tested} predictions hold."]
    out += [f"Contradicted: {_named({name: ratios[name] for name in failed})}."] if failed else []
    out += ["No way trains more per second than the engine."] if not faster else []
    out += [f"The engine is slower than: {_named({name: ratios[name] for name in faster})}."] if faster else []
    out += [f"Per core the engine is slower than: {_named(slower)}."] if slower else []
    compiled = {name: f"{ways[name]['compile_seconds']:.1f} s" for name in quick}
    text = ", ".join(f"{NAMES[name]} ({seconds})" for name, seconds in compiled.items())
    out += [f"It compiles in {ways['engine']['compile_seconds']:.1f} s; faster: {text}."] if quick else []
    return out


def _named(ratios: dict[str, float]) -> str:
    return ", ".join(f"{NAMES[name]} ({ratio:.2f} ×)" for name, ratio in ratios.items())


def _prediction(name: str) -> str:
    low, high, reason = PREDICTED[name]
    bounds = f"at least {low:g}" if high is None else f"{low:g} to {high:g}"
    return f"{NAMES[name]}: the engine reaches {bounds} × its trials/s, because {reason}"


def _holds(name: str, ratio: float) -> bool:
    low, high, _ = PREDICTED[name]
    return low <= ratio and (high is None or ratio <= high)


def _per_core(figures: dict[str, Any], name: str) -> float:
    return figures["ratios"][name] * figures["ways"][name]["cores"] / figures["cores"]


def _row(figures: dict[str, Any], name: str) -> str:
    way = figures["ways"][name]
    speeds = sorted(way["trainings"] / seconds for seconds in way["seconds"])
    compiled = way["compile_seconds"]
    compared = way["median_difference"] is not None and name != "engine"
    cells = [
        NAMES[name],
        way["trainings"],
        way["cores"],
        f"{way['trials_per_second']:.2f} ({speeds[0]:.2f} to {speeds[-1]:.2f})",
        "in every training" if compiled is None else f"{compiled:.1f}",
        "" if name == "engine" else f"{figures['ratios'][name]:.2f}",
        "" if name == "engine" else f"{_per_core(figures, name):.2f}",
        f"{way['median_difference']:.4f}, at most {way['largest_difference']:.4f}" if compared else "",
    ]
    return f"| {' | '.join(map(str, cells))} |"


def _notes(figures: dict[str, Any]) -> list[str]:
    sizes, repeats = figures["sizes"], figures["sizes"]["repeats"]
    return [
        *(f"- {NAMES[name]}: {text}." for name, text in WAYS.items() if name in figures["ways"]),
        f"- Medians of {repeats} rounds (lowest and highest in brackets); in a round the ways take turns.",
        f"- Seeds of the engine: {sizes['seeds']}, of the loops: the first of them, from the same weights over the "
        f"same rows in the same order. The loop that jits for each training runs one in {sizes['every']} of them.",
        "- Accuracy differs by: median and largest absolute difference in validation accuracy from the engine, over "
        "the trainings that are finite in both.",
        "- Cores: processes times threads. Loops in one JAX process count as one, although XLA may use more for large "
        "operations. The processes of the scans are bound to a core each.",
        f"- The engine compiles {figures['programs']} programs. For the loop that is jitted once per "
        "structure, compile time includes one training per structure.",
        f"- The engine does {figures['gflop_per_trial']:.3g} GFLOP per training, "
        f"{figures['share_of_matmul_peak']:.0%} of the matrix-multiply rate measured on all cores in this run "
        f"({figures['matmul_gflop_per_second']:.0f} GFLOP/s, products of 1024² matrices).",
    ]
