"""An optimizer's card: its facts as text, and a picture of its path beside plain gradient descent."""

import textwrap
import tomllib
from pathlib import Path
from typing import Any

from jaxopt_lite import _names

WIDTH = 80
_DATA = Path(__file__).parent.parent / "optimizers" / "catalogue.toml"


def optimizer_card(name: str, row: dict[str, Any] | None = None) -> str:
    """The facts of one optimizer as plain text of at most 80 columns.

    Args:
        name: a name of `optimizers.CATALOGUE`, for example `"adam"`.
        row: the facts of an optimizer that `register` added: the fields of its record. Default: those of the package's
            catalogue, read without importing JAX.

    Returns:
        The name and the title, then labelled lines: call, formula, settings, learning rates to try, memory, use,
        weakness, reference.

    Raises:
        ValueError: an unknown name; the message has the nearest valid one.

    Example:
        >>> from jaxopt_lite import report
        >>> print(report.optimizer_card("sgd").splitlines()[0])
        sgd: Stochastic gradient descent
    """
    package = "optimizers." if row is None else ""
    facts = {"function": name, **_row(name)} if row is None else {**row, "function": name}
    return f"{name}: {facts['title']}\n{_lines(facts, package)}"


def _lines(row: dict[str, Any], package: str) -> str:
    """The labelled lines of a card.

    Args:
        row: the facts of the catalogue; `function` is the name to call.
        package: what is written before that name.
    """
    low, high = row["learning_rate"]
    copies = {0: "nothing but the settings", 1: "one copy of the parameters"}
    settings = (
        ", ".join(f"{key}={value:g}" for key, value in row["settings"].items()) or "none besides the learning rate"
    )
    fixed = "".join(f", {key}={value!r}" for key, value in row.get("fixed", {}).items())
    rows = {
        "call": f"{package}{row['function']}(learning_rate{fixed})",
        "formula": row["formula"],
        "settings": settings,
        "try": f"learning_rate from {low:g} to {high:g}, a factor of 2 or 3 apart",
        "keeps": copies.get(row["memory"], f"{row['memory']} copies of the parameters"),
        "use": row["use"],
        "weakness": row["weakness"],
        "reference": row["reference"],
    }
    return "\n".join(_line(label, text) for label, text in rows.items())


def optimizer_picture(name: str, path: str | Path) -> Path:
    """Draw the path of an optimizer in a narrow valley and near a saddle, beside plain gradient descent.

    Both run for 80 steps at the learning rate with the smallest mean log loss in the valley, out of 40 in the range of
    the catalogue. A third panel shows the loss.

    Args:
        name: a name of `optimizers.CATALOGUE`.
        path: the file to write; its suffix is the format: `.png`, `.svg` or `.pdf`. An existing file is replaced.

    Returns:
        The path of the picture.

    Raises:
        ValueError: an unknown name; the message has the nearest valid one.
        ModuleNotFoundError: matplotlib is not installed.

    Example:
        >>> import pathlib, tempfile
        >>> from jaxopt_lite import report
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     print(report.optimizer_picture("adam", pathlib.Path(folder, "adam.svg")).name)
        adam.svg
    """
    _row(name)
    from jaxopt_lite import _style

    runs = {label: _runs(label) for label in dict.fromkeys(("sgd", name))}
    with _style.look():
        figure, axes = _style.figure(1, 3, width=11.0, height=3.5)
        for i, scene in enumerate(SCENES):
            paths = {label: (points[i], rate) for label, (points, _, rate) in runs.items()}
            _draw_scene(axes[i], scene, paths, name)
            for label, (_, losses, _) in runs.items():
                style = _styled(label, name) | {"linestyle": "-" if i == 0 else "--"}
                axes[2].plot(losses[i], label=f"{label}, {scene['name']}", **style)
        legend = {"fontsize": 8, "frameon": True, "framealpha": 0.85, "edgecolor": _style.GRID}
        axes[0].legend(loc="upper left", title="best learning rate", title_fontsize=8, **legend)
        axes[2].set(title="loss above the minimum", xlabel="step", ylabel="f(x, y) − min f")
        axes[2].set(yscale="log", ylim=(1e-8, 1e5))
        axes[2].legend(loc="upper right", **legend)
    return _style.save(figure, Path(path))


def _row(name: str) -> dict[str, Any]:
    with _DATA.open("rb") as file:
        rows = tomllib.load(file)
    if name not in rows:
        raise ValueError(_names.unknown("optimizer", name, rows))
    return rows[name]


def _line(label: str, text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=f"  {label:<11}", subsequent_indent=" " * 13)


def _valley(x: Any, y: Any) -> Any:
    """A quadratic with a condition number of 40, rotated off the axes."""
    along, across = 0.92 * x + 0.39 * y, 0.92 * y - 0.39 * x
    return 0.5 * along**2 + 20.0 * across**2


def _saddle(x: Any, y: Any) -> Any:
    """A saddle at the origin, minima at (0, ±1)."""
    return 1.5 * x**2 - 0.5 * y**2 + 0.25 * y**4


SCENES: tuple[dict[str, Any], ...] = (
    {
        "name": "valley",
        "title": "a narrow valley",
        "f": _valley,
        "start": (-4.0, -0.6),
        "least": 0.0,
        "box": (-4.6, 2.0, -2.6, 2.2),
    },
    {
        "name": "saddle",
        "title": "near a saddle, same rate",
        "f": _saddle,
        "start": (1.2, 0.01),
        "least": -0.25,
        "box": (-1.0, 1.5, -1.6, 1.6),
    },
)
STEPS, RATES = 80, 40


def _runs(name: str) -> Any:
    """Points and losses in both scenes, at the rate with the smallest mean log loss in the valley (one vmap)."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jaxopt_lite.optimizers import CATALOGUE

    row = CATALOGUE[name]
    rates = jnp.geomspace(row.learning_rate[0], 3 * row.learning_rate[1], RATES)

    def run(rate: Any, scene: dict[str, Any]) -> Any:
        tx = row.function(rate)
        value = jax.value_and_grad(lambda p: scene["f"](p[0], p[1]))

        def step(carry: Any, _: Any) -> Any:
            p, state = carry
            loss, grads = value(p)
            updates, state = tx.update(grads, state, p)
            return (p + updates, state), (p, loss - scene["least"])

        start = jnp.array(scene["start"])
        return jax.lax.scan(step, (start, tx.init(start)), None, length=STEPS + 1)[1]

    both = jax.jit(jax.vmap(lambda rate: [run(rate, scene) for scene in SCENES]))(rates)
    losses = np.maximum([np.asarray(loss) for _, loss in both], 1e-9)
    total = np.where(np.isfinite(losses[0]), np.log(losses[0]), np.inf).mean(axis=1)
    best = int(np.argmin(total))
    return [np.asarray(points[best]) for points, _ in both], losses[:, best], float(rates[best])


def _draw_scene(axis: Any, scene: dict[str, Any], paths: dict[str, Any], name: str) -> None:
    import numpy as np

    from jaxopt_lite import _style

    left, right, low, high = scene["box"]
    x, y = np.meshgrid(np.linspace(left, right, 200), np.linspace(low, high, 200))
    heights = scene["f"](x, y) - scene["least"]
    axis.contour(x, y, heights, levels=np.geomspace(0.01, heights.max(), 12), colors=_style.FAINT, linewidths=0.8)
    for label, (points, rate) in paths.items():
        style = _styled(label, name)
        axis.plot(points[:, 0], points[:, 1], marker="o", markersize=2, label=f"{label}, {rate:.2g}", **style)
    axis.plot(*scene["start"], marker="s", color=_style.INK, markersize=5)
    axis.set(title=scene["title"], xlabel="x", ylabel="y", xlim=(left, right), ylim=(low, high))
    axis.grid(False)


def _styled(label: str, name: str) -> dict[str, Any]:
    from jaxopt_lite import _style

    main = label == name
    return {
        "color": _style.PALETTE[0] if main else _style.PALETTE[1],
        "linewidth": 1.5 if main else 1.1,
        "zorder": 3 if main else 2,
    }
