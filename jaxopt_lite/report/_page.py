"""One self-contained HTML page of a sweep: opens without a network, in light and dark, on a phone and on paper."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from jaxopt_lite._names import count
from jaxopt_lite.report._document import document, write
from jaxopt_lite.report._line import FEW
from jaxopt_lite.report._numbers import interval, seconds, usual_decimals
from jaxopt_lite.report._page_tables import (
    Picture,
    diverged_runs,
    failed_runs,
    leaderboard,
    reasons_table,
    settings_table,
)
from jaxopt_lite.report._pictures import _curves, _heatmap
from jaxopt_lite.report._pictures._inline import inline
from jaxopt_lite.report._search import compute_of, stopped_early
from jaxopt_lite.report._search_section import search_section
from jaxopt_lite.report._study import ENDED, Study, has_score, spoken, study_of
from jaxopt_lite.report._verdict import UNSEEN, Verdict, named, verdict

if TYPE_CHECKING:
    from jaxopt_lite.sweeps import Results

_IN_TABLE = "The scores are also in the table of all settings."


def page(results: "Results", path: str | Path) -> Path:
    """Write one self-contained HTML page about a sweep, finished or not.

    The page holds the question and the answer with its uncertainty, the best setting of each combination of names,
    heat maps, learning curves, all settings in a table that sorts and filters, the diverged runs, and how the sweep was
    run. If settings were drawn or stopped early, it shows the rungs, the best score so far against compute, the
    settings as parallel coordinates, and the importance of each. If the layers were recorded, it says why the others
    lost and what to change. Where a validation score selects, the test score of
    the selected setting stands beside it. A click on the header of a score sorts the best first, by the directions in
    `Results.modes`; other columns sort ascending first. The page makes no network requests and follows the reader's
    light or dark mode. Without matplotlib a sentence stands in place of the pictures. The file is replaced atomically.

    Args:
        results: the results of a sweep.
        path: where the page is written; an existing file is replaced. Its folder must exist.

    Returns:
        The path of the page.

    Raises:
        ModuleNotFoundError: jinja2 is not installed.
        OSError: the folder does not exist or is not writable.

    Example:
        >>> import pathlib, tempfile
        >>> from jaxopt_lite import report, sweeps
        >>> columns = {"rate": [0.1, 0.1, 0.2, 0.2], "seed": [0, 1, 0, 1], "status": ["done"] * 4,
        ...            "nll": [0.50, 0.41, 0.53, 0.45], "accuracy": [0.91, 0.93, 0.90, 0.92]}
        >>> table = sweeps.Results(columns, ("rate",), "nll", "min", {"seeds": [0, 1], "steps": 10}, [{}] * 4, None)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     written = report.page(table, pathlib.Path(folder, "report.html"))
        ...     print(written.name, written.stat().st_size > 10_000)
        report.html True
    """
    study = study_of(results)
    findings = verdict(study)
    pictures = _pictures(study)
    text = document(
        "page.html",
        styles=("page.css",),
        script="page.js",
        task=study.facts.get("task", ""),
        question=findings.question,
        answer=findings.answer,
        cautions=findings.cautions,
        progress=findings.progress,
        ended=sum(s in ENDED for s in study.columns["status"]),
        runs=study.runs,
        leaderboard=leaderboard(study, findings),
        settings=settings_table(study, findings),
        reasons=reasons_table(study, findings),
        diverged=diverged_runs(study),
        failed=failed_runs(study),
        facts=_facts(study),
        **_answer(study, findings),
        search=search_section(study, findings, pictures=not pictures["missing"]),
        **pictures,
    )
    return write(Path(path), text)


def _answer(study: Study, findings: Verdict) -> dict[str, str]:
    """The best setting, its score and the uncertainty of it; of many numbers the first few stand in the headline."""
    best, structure = findings.best, study.structure
    if best is None:
        return {"score": "", "best": "", "details": "", "uncertainty": ""}
    names = structure.varying or study.swept
    shown = len(structure.kinds) + FEW
    scored = [s.scores[study.objective] for s in study.settings if has_score(s, study.objective)]
    score = interval(best.scores[study.objective], usual_decimals(scored))
    return {
        "score": f"{spoken(study.objective)} {score}",
        "best": named(best, names[:shown]),
        "details": named(best, names[shown:]) if names[shown:] else "",
        "uncertainty": f"mean and 95 % interval over {count(best.seeds, 'seed')}"
        if best.seeds > 1
        else "one seed, no interval",
        "tested": findings.tested,
        "unseen": UNSEEN,
        "confirmed": findings.confirmed,
    }


def _pictures(study: Study) -> dict[str, Any]:
    """The figures as SVG; all but the first few heat maps are folded."""
    nothing: dict[str, Any] = {"pictures": [], "more": [], "more_title": "", "curves": None, "missing": ""}
    try:
        maps = _heatmap.pictures(study)
        drawn = _curves.picture(study) if _curves.metric_of(study) else None
    except ModuleNotFoundError as error:
        return {**nothing, "missing": str(error)}
    made = [Picture(t, inline(figure, f"m{i}", f"{t}. {_IN_TABLE}")) for i, (t, figure) in enumerate(maps)]
    more = made[FEW:]
    named = [picture.title for picture in more[:FEW]] + ["..."] * (len(more) > FEW)
    title = f"{count(len(more), 'more picture')}: {'; '.join(named)}"
    shown = {**nothing, "pictures": made[:FEW], "more": more, "more_title": title}
    if drawn is None:
        return shown
    which = "best setting" if has_score(study.settings[0], study.objective) else "setting that came furthest"
    note = f"The {which}{' of each combination' if study.structure.kinds else ''}."
    note += " The line of one that was stopped early ends there." if stopped_early(study) else ""
    described = f"Learning curves: {spoken(_curves.metric_of(study) or '')} against step. {note} {_IN_TABLE}"
    return {**shown, "curves": Picture("Learning curves", inline(drawn, "c", described), note)}


def _facts(study: Study) -> dict[str, str]:
    """How the sweep was run, by label; what is not known is omitted."""
    facts, confirming = study.facts, sum(setting.confirming for setting in study.settings)
    rows: dict[str, Any] = {
        "task": facts.get("task"),
        "objective": f"{spoken(study.objective)}, {'higher' if study.mode == 'max' else 'lower'} is better",
        "runs": f"{count(len(study.settings), 'setting')} × {count(len(facts['seeds']), 'seed')} = "
        f"{count(study.runs - confirming, 'run')} of {count(facts['steps'], 'step')}"
        + (f", and {count(confirming, 'run')} to confirm the best" if confirming else ""),
        "search": _search(study),
        "stopped early": _stopped(study),
        "seeds": ", ".join(map(str, facts["seeds"])),
        "not varied": ", ".join(f"{spoken(k)} {v}" for k, v in study.structure.fixed.items()),
        "programs": _programs(facts),
        "form": "; ".join(facts.get("forms", [])),
        "run time": _run_time(study),
        "device": facts.get("device"),
        "processor": facts.get("processor"),
        "workers": facts.get("workers"),
        "versions": ", ".join(f"{name} {version}" for name, version in facts.get("versions", {}).items()),
    }
    return {label: str(fact) for label, fact in rows.items() if fact not in (None, "")}


def _search(study: Study) -> str:
    """What proposed the settings, if it was neither a list of them nor chance."""
    search = study.facts.get("stop" if study.population else "search")
    return search if search and search != "None" else ""


def _programs(facts: dict[str, Any]) -> str:
    if "programs" not in facts:
        return ""
    structures = f" for {count(facts['structures'], 'structure')}" if "structures" in facts else ""
    spent = f", compiled in {seconds(facts['compile_seconds'])}" if facts.get("compile_seconds") is not None else ""
    return f"{count(facts['programs'], 'program')}{structures}{spent}"


def _stopped(study: Study) -> str:
    """By which rule runs were stopped, and the share of all steps that was made."""
    if not stopped_early(study):
        return ""
    return f"{study.facts.get('stop', 'by a rule')}: {compute_of(study):.0%} of the steps of all runs were made"


def _run_time(study: Study) -> str:
    spent = study.facts.get("run_seconds")
    ended = sum(s in ("done", "diverged", "failed") for s in study.columns["status"])
    if not spent or not ended:
        return ""
    if stopped_early(study):
        return f"{seconds(spent)} without compilation"
    return f"{seconds(spent)} without compilation, {ended / spent:.3g} runs per second"
