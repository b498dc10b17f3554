"""One self-contained HTML page of a sweep: opens without a network, in light and dark, on a phone and on paper."""

import base64
import hashlib
import os
import tempfile
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from jaxopt_lite.report._curves import curves, metric_of
from jaxopt_lite.report._heatmap import heatmaps
from jaxopt_lite.report._html import leaderboard, lost_runs, settings_table
from jaxopt_lite.report._inline import inline
from jaxopt_lite.report._numbers import count, interval, seconds, usual_decimals
from jaxopt_lite.report._study import Study, has_score, spoken, study_of
from jaxopt_lite.report._verdict import Verdict, named, verdict

if TYPE_CHECKING:
    from jaxopt_lite.sweeps import Results

_HERE = Path(__file__).parent


def page(results: "Results", path: str | Path, *, modes: Mapping[str, Literal["min", "max"]] | None = None) -> Path:
    """Write one self-contained HTML page about a sweep, finished or not.

    The page holds the question and the answer with its uncertainty, the best setting of each combination of names,
    heat maps, learning curves, all settings in a table that sorts and filters, the diverged runs, and how the sweep was
    run. It makes no network requests and follows the reader's light or dark mode. Without matplotlib a sentence stands
    in place of the pictures. The file is replaced atomically.

    Args:
        results: the results of a sweep.
        path: where the page is written; an existing file is replaced. Its folder must exist.
        modes: for scores other than the objective, `"min"` if small values are good, `"max"` if large ones are. A click
            on the head of such a column sorts the best first. Columns without a mode sort ascending first. By default
            the modes stored with the sweep.

    Returns:
        The path of the page.

    Raises:
        ValueError: `modes` names an unknown score or holds anything but `"min"` and `"max"`.
        OSError: the folder does not exist or is not writable.

    Example:
        >>> import pathlib, tempfile
        >>> from jaxopt_lite import report, sweeps
        >>> columns = {"rate": [0.1, 0.1, 0.2, 0.2], "seed": [0, 1, 0, 1], "status": ["done"] * 4,
        ...            "nll": [0.50, 0.41, 0.53, 0.45], "accuracy": [0.91, 0.93, 0.90, 0.92]}
        >>> table = sweeps.Results(columns, ("rate",), "nll", "min", {"seeds": [0, 1], "steps": 10}, [{}] * 4, None)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = report.page(table, pathlib.Path(folder, "report.html"), modes={"accuracy": "max"})
        ...     print(written.name, written.stat().st_size > 10_000)
        report.html True
    """
    path = Path(path)
    text = _text(results, modes)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
        mask = os.umask(0)
        os.umask(mask)
        Path(temporary).chmod(0o666 & ~mask)  # mkstemp's file is for its owner alone, a page is to be shown around
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path


def _text(results: "Results", modes: Mapping[str, str] | None) -> str:
    study = study_of(results, modes)
    found = verdict(study)
    style = (_HERE / "page.css").read_text(encoding="utf-8")
    script = (_HERE / "page.js").read_text(encoding="utf-8")
    # the browser runs this script and no other, and fetches nothing
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = f"default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-{digest}'; img-src data:"
    sections = [
        _answer(study, found),
        leaderboard(study, found),
        _pictures(study, results),
        settings_table(study, found),
        lost_runs(study),
        _made(study),
    ]
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,">
<title>{escape(found.answer)} {escape(str(study.facts.get("task", "")))}</title>
<style>
{style}</style>
</head>
<body>
<main>
{"".join(sections)}
</main>
<script>{script}</script>
</body>
</html>
"""


def _answer(study: Study, found: Verdict) -> str:
    best = found.best
    if best is None:
        answer = f'<div class="answer open"><strong>{escape(found.answer)}</strong></div>'
    else:
        scored = [s.scores[study.objective] for s in study.settings if has_score(s, study.objective)]
        score = interval(best.scores[study.objective], usual_decimals(scored))
        over = f"mean and 95 % interval over {count(best.seeds, 'seed')}" if best.seeds > 1 else "one seed, no interval"
        answer = (
            f'<div class="answer"><strong>{escape(named(best, study.structure.varying or study.swept))}</strong>'
            f'<span class="score">{escape(spoken(study.objective))} {score} <small>{over}</small></span></div>'
        )
    cautions = "".join(f"<li>{escape(caution)}</li>" for caution in found.cautions)
    listed = f'<ul class="cautions">{cautions}</ul>' if cautions else ""
    return f"<h1>{escape(found.question)}</h1>{answer}{_progress(study, found)}{listed}"


def _progress(study: Study, found: Verdict) -> str:
    status = study.columns["status"]
    ended = sum(s in ("done", "diverged") for s in status)
    if ended == len(status):
        return ""
    text = escape(found.progress, quote=True)
    return f'<progress value="{ended}" max="{len(status)}" aria-label="{text}"></progress>'


def _pictures(study: Study, results: "Results") -> str:
    try:
        maps = heatmaps(results)
        drawn = curves(results) if metric_of(study) else None
    except ModuleNotFoundError as missing:
        return f'<h2>Pictures</h2><p class="note">{escape(str(missing))}</p>'
    text = ""
    for i, (title, figure) in enumerate(maps):
        text += f"<h2>{escape(title)}</h2>" + _figure(inline(figure, f"m{i}", f"{title}. {_IN_TABLE}"), title)
    if drawn is not None:
        title = "Learning curves"
        which = "best setting" if has_score(study.settings[0], study.objective) else "setting that came furthest"
        note = f"The {which}{' of each combination' if study.structure.kinds else ''}."
        described = f"{title}: {spoken(metric_of(study) or '')} against step. {note} {_IN_TABLE}"
        text += f'<h2>{title}</h2><p class="note">{note}</p>' + _figure(inline(drawn, "c", described), title)
    return text


_IN_TABLE = "The scores are also in the table of all settings."


def _figure(svg: str, name: str) -> str:
    label = escape(name, quote=True)
    return f'<figure><div class="scroll" tabindex="0" role="region" aria-label="{label}">{svg}</div></figure>'


def _made(study: Study) -> str:
    facts = study.facts
    rows: dict[str, Any] = {
        "task": facts.get("task"),
        "objective": f"{spoken(study.objective)}, {'higher' if study.mode == 'max' else 'lower'} is better",
        "runs": f"{count(len(study.settings), 'setting')} × {count(len(facts['seeds']), 'seed')} = "
        f"{count(study.runs, 'run')} of {count(facts['steps'], 'step')}",
        "seeds": ", ".join(map(str, facts["seeds"])),
        "throughout": ", ".join(f"{spoken(k)} {v}" for k, v in study.structure.fixed.items()),
        "programs": _programs(facts),
        "running": _running(study),
        "device": facts.get("device"),
        "workers": facts.get("workers"),
        "versions": ", ".join(f"{name} {version}" for name, version in facts.get("versions", {}).items()),
        "command": facts.get("command"),
    }
    listed = "".join(f"<dt>{escape(k)}</dt><dd>{escape(str(v))}</dd>" for k, v in rows.items() if v not in (None, ""))
    return f"<h2>How it was made</h2><dl>{listed}</dl>"


def _programs(facts: dict[str, Any]) -> str:
    if "programs" not in facts:
        return ""
    structures = f" for {count(facts['structures'], 'structure')}" if "structures" in facts else ""
    spent = f", compiled in {seconds(facts['compile_seconds'])}" if facts.get("compile_seconds") is not None else ""
    return f"{count(facts['programs'], 'program')}{structures}{spent}"


def _running(study: Study) -> str:
    spent = study.facts.get("run_seconds")
    ended = sum(s in ("done", "diverged") for s in study.columns["status"])
    if not spent or not ended:
        return ""
    return f"{seconds(spent)} without compiling, {ended / spent:.3g} runs a second"
