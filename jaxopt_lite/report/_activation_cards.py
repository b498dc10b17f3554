"""An activation's card: its facts as text, a picture of it and its slope, and the gallery of them all."""

import math
import textwrap
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxopt_lite import _names
from jaxopt_lite.report._document import document, write

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH, LABEL = 80, 11
FLAT = 0.01  # shaded where the absolute derivative is below; the default slope of leaky_relu is not below
_DATA = Path(__file__).parent.parent / "activations" / "catalogue.toml"
_KEPT = {
    "nothing": "nothing for the backward pass",
    "mask": "a boolean an element for the backward pass",
    "input": "its input for the backward pass; with act_dense nothing besides the layer's",
    "output": "its output for the backward pass (in half precision its input)",
}
_PROBES = {
    "elementwise": "x",
    "gated": "the gate b, beside a = 1",
    "axis": "the first of two entries, the other 0",
}
_CHAPTERS = (
    ("Straight lines with kinks", lambda r: r["kind"] == "elementwise" and r["keeps"] in ("nothing", "mask")),
    ("Squashing, within bounds", lambda r: r["kind"] == "elementwise" and all(abs(end) < 1e9 for end in r["range"])),
    ("With numbers to learn", lambda r: bool(r.get("initial"))),
    ("Smooth and unbounded", lambda r: r["kind"] == "elementwise"),
    ("Gates: one half decides about the other", lambda r: r["kind"] == "gated"),
    ("Along an axis: entries compete", lambda r: True),
)


def activation_card(name: str, row: dict[str, Any] | None = None) -> str:
    """The facts of one activation as plain text of at most 80 columns.

    Args:
        name: a name of `activations.CATALOGUE`, for example `"tanh"`.
        row: the facts of an activation that `register` added: the fields of its record. Default: those of the package's
            catalogue, read without importing JAX.

    Returns:
        The name, then labelled lines: formula, range, centre, shape, where it saturates, gain, what it keeps for the
        backward pass, use, weakness, reference.

    Raises:
        ValueError: an unknown name; the message has the nearest valid one.

    Example:
        >>> from jaxopt_lite import report
        >>> print(report.activation_card("tanh").splitlines()[0])
        tanh
    """
    return f"{name}\n{_lines(name, row or _row(name))}"


def _lines(name: str, row: dict[str, Any]) -> str:
    """The labelled lines of a card."""
    return "\n".join(_line(label, text) for label, text in _facts(name, row))


def activation_picture(name: str, path: str | Path) -> Path:
    """Draw an activation and its derivative, with a shade where the absolute derivative is below 0.01.

    Args:
        name: a name of `activations.CATALOGUE`.
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
        ...     print(report.activation_picture("tanh", pathlib.Path(folder, "tanh.svg")).name)
        tanh.svg
    """
    from jaxopt_lite import _style

    return _style.save(_drawn(name, _row(name), width=6.4, height=3.9), Path(path))


def activation_gallery(directory: str | Path) -> Path:
    """Write one self-contained HTML page with the picture and the facts of every activation.

    The page makes no network requests and follows the reader's light or dark mode. The curves are computed by the
    functions themselves.

    Args:
        directory: a folder, which is created if it does not exist. The page in it is `index.html`; an existing one is
            replaced atomically.

    Returns:
        The path of the page.

    Raises:
        ModuleNotFoundError: matplotlib or jinja2 is not installed.
        OSError: the folder is not writable.

    Example:
        ::

            report.activation_gallery("activations")  # writes activations/index.html
    """
    directory = Path(directory)
    rows = _rows()
    remaining, chapters = dict(rows), {}
    for title, belongs in _CHAPTERS:
        chapters[title] = [name for name, row in remaining.items() if belongs(row)]
        remaining = {name: row for name, row in remaining.items() if name not in chapters[title]}
    cards = {name: _card(name, row) for name, row in rows.items()}
    text = document("gallery.html", styles=("page.css", "gallery.css"), cards=cards, chapters=chapters, threshold=FLAT)
    directory.mkdir(parents=True, exist_ok=True)
    return write(directory / "index.html", text)


def _rows() -> dict[str, dict[str, Any]]:
    return tomllib.loads(_DATA.read_text(encoding="utf-8"))


def _row(name: str) -> dict[str, Any]:
    rows = _rows()
    if name not in rows:
        raise ValueError(_names.unknown("activation", name, rows))
    return rows[name]


def _facts(name: str, row: dict[str, Any]) -> list[tuple[str, str]]:
    """The labels and texts of a card, in its order."""
    flat = {(): "nowhere", ("left",): "for large negative x", ("right",): "for large positive x"}
    vanishes = flat.get(tuple(row["saturates"]), "on both sides")
    kinks = ", ".join(f"{k:g}" for k in row["kinks"])
    shape = [
        "never falls" if row["monotone"] else "rises and falls",
        "smooth" if row["smooth"] else f"kinks at {kinks}" if kinks else "no kinks, but its curvature jumps",
    ]
    facts = [
        ("formula", row["formula"]),
        ("range", _interval(*row["range"])),
        ("centre", "zero-centred" if row["zero_centred"] else "not zero-centred"),
        ("shape", "; ".join(shape)),
        ("saturates", vanishes),
        ("gain", f"{row['gain']:.4g} (weights of variance gain²/fan_in keep its second moment at 1)"),
        ("keeps", _KEPT[row["keeps"]]),
    ]
    if row.get("initial"):
        facts.append(("learns", ", ".join(f"{k} (starts at {_number(v)})" for k, v in row["initial"].items())))
    if row.get("settings"):
        facts.append(("drawn with", ", ".join(f"{k}={v:g}" for k, v in row["settings"].items())))
    return [*facts, ("use", row["use"]), ("weakness", row["weakness"]), ("reference", row["reference"])]


def _interval(low: float, high: float) -> str:
    return f"{'(' if math.isinf(low) else '['}{low:.4g}, {high:.4g}{')' if math.isinf(high) else ']'}"


def _number(value: Any) -> str:
    return ", ".join(f"{v:g}" for v in value) if isinstance(value, list | tuple) else f"{value:g}"


def _line(label: str, text: str) -> str:
    indent = " " * LABEL
    wrapped = textwrap.wrap(
        text, WIDTH, initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )
    return "\n".join([label.ljust(LABEL) + wrapped[0][LABEL:], *wrapped[1:]])


def _curves(name: str, half: float) -> tuple[Any, Any, Any]:
    """Points, values and slopes of the row along its probe."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    from jaxopt_lite.activations import CATALOGUE

    @jax.jit
    def value_and_slope(x: jax.Array) -> tuple[jax.Array, jax.Array]:
        y, back = jax.vjp(CATALOGUE[name].probe, x)
        return y, back(jnp.ones_like(y))[0]

    x = np.linspace(-half, half, 801)[1:-1] + 1e-4  # off the kinks, where a slope has no meaning
    y, slope = value_and_slope(jnp.asarray(x, jnp.float32))
    return x, np.asarray(y), np.asarray(slope)


def _drawn(name: str, row: dict[str, Any], width: float, height: float, alone: bool = True) -> "Figure":
    """The function, its derivative, and a shade where that is nearly 0; alone, with a title and a legend."""
    import numpy as np

    from jaxopt_lite import _style

    reach = 8.0 if name in ("sine", "snake") else max(5.0, *(abs(k) + 2.0 for k in (*row["kinks"], 0.0)))
    x, y, slope = _curves(name, reach)
    with _style.look():
        figure, axes = _style.figure(width=width, height=height)
        for values, colour, dashes, label in (
            (y, _style.PALETTE[0], "-", "f(x)"),
            (slope, _style.PALETTE[1], _style.DASHES[1], "f′(x)"),
        ):
            broken = np.flatnonzero(np.abs(np.diff(values)) > 0.15)  # a jump is no steep line
            shown = np.insert(values.astype(float), broken + 1, np.nan)
            axes.plot(np.insert(x, broken + 1, x[broken]), shown, color=colour, linestyle=dashes, label=label)
        flat, across = np.abs(slope) < FLAT, axes.get_xaxis_transform()
        if flat.any():
            shade = {"color": _style.DIVERGED, "linewidth": 0, "zorder": 0, "label": f"|f′| < {FLAT}"}
            axes.fill_between(x, 0, 1, where=flat, transform=across, **shade)
        both = np.concatenate([y, slope])
        ends = [end for end in row["range"] if math.isfinite(end)]
        low, high = max(float(both.min()), min(-4.2, *ends, 0)), min(float(both.max()), max(4.2, *ends, 0))
        margin = 0.08 * (high - low)
        axes.set(xlabel=_PROBES[row["kind"]], ylim=(low - margin, high + margin), xlim=(-reach, reach))
        axes.axhline(0, color=_style.FRAME, linewidth=0.8, zorder=1)
        axes.axvline(0, color=_style.FRAME, linewidth=0.8, zorder=1)
        if alone:
            axes.set(title=f"{name} and its derivative", ylabel="value")
            figure.legend(loc="outside lower center", ncols=3, fontsize=8.5)
    return figure


def _card(name: str, row: dict[str, Any]) -> dict[str, Any]:
    """The values that the template of the gallery shows of one activation."""
    from jaxopt_lite.report._pictures._inline import inline

    facts = dict(_facts(name, row))
    facts["gain"] = f"{row['gain']:.4g}"
    shown = ("range", "centre", "shape", "saturates", "gain", "keeps", "learns", "drawn with")
    return {
        "svg": inline(_drawn(name, row, width=5.2, height=2.9, alone=False), name, f"{name} and its derivative"),
        "facts": {label: facts[label] for label in shown if label in facts},
        **{key: row[key] for key in ("formula", "use", "weakness", "reference")},
    }
