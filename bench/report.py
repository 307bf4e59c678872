"""Results as a table, as JSON and, for varying sizes, as a plot."""

import json
from pathlib import Path

from bench.figures import Figure, Figures
from bench.results import Results, Summary

_MB = 1_000_000
_HEAD = (
    (
        "",
        "projects",
        "wall s (fastest–slowest)",
        "projects/s",
        "files/s",
        "MB/s",
        "CPU s (user + system)",
        "peak RSS MB",
        "× bandersnatch",
    ),
    ("---", *["--:"] * 8),
)


def table(results: Results) -> str:
    """Return a Markdown table with the conditions of the measurement."""
    summaries = results.summaries()
    first = summaries[0]
    rows = [*_HEAD, *map(_row, summaries)]
    lines = [
        f"### {results.label}: {results.what}",
        "",
        f"{max(s.files for s in summaries):,} files, {max(s.bytes for s in summaries) / _MB:,.0f} MB; "
        f"medians of {first.runs}, run in turns; {results.measured}; "
        + ", ".join(f"{name} {version}" for name, version in {**results.versions, **results.machine}.items()),
        "",
        *(f"| {' | '.join(row)} |" for row in rows),
    ]
    return "\n".join(lines) + "\n"


def figure_table(figures: Figures) -> str:
    """Return a trial's figures as a Markdown table with their targets."""
    said = {**figures.versions, **figures.machine}
    lines = [
        f"### {figures.label}: {figures.what}",
        "",
        "; ".join([*figures.facts, figures.measured, ", ".join(f"{name} {value}" for name, value in said.items())]),
        "",
        "| | of | median (least–most) | wanted | |",
        "|---|---|--:|--:|---|",
        *map(_figure_row, figures.figures),
    ]
    return "\n".join(lines) + "\n"


def write(results: Results | Figures, directory: Path) -> None:
    """Write ``<label>.md``, ``<label>.json`` and, for several sizes, ``<label>.png``."""
    directory.mkdir(exist_ok=True)
    text = table(results) if isinstance(results, Results) else figure_table(results)
    (directory / f"{results.label}.md").write_text(text)
    (directory / f"{results.label}.json").write_text(json.dumps(results.document(), indent=1) + "\n")
    if isinstance(results, Results) and len({timing.projects for timing in results.timings}) > 1:
        _plot(results, directory / f"{results.label}.png")


def _row(summary: Summary) -> tuple[str, ...]:
    return (
        summary.contender,
        f"{summary.projects:,}",
        f"{summary.wall:.2f} ({summary.fastest:.2f}–{summary.slowest:.2f})",
        f"{summary.projects / summary.wall:,.0f}",
        f"{summary.files / summary.wall:,.0f}",
        f"{summary.bytes / _MB / summary.wall:,.1f}",
        f"{summary.user:.1f} + {summary.system:.1f}",
        f"{summary.rss / _MB:,.0f}",
        "" if summary.times_baseline is None else f"{summary.times_baseline:.1f}",
    )


def _figure_row(figure: Figure) -> str:
    low, high = min(figure.samples), max(figure.samples)
    spread = f" ({_number(low)}–{_number(high)})" if len(figure.samples) > 1 else ""
    bars = [
        f"{sign} {_number(bar)} {figure.unit}"
        for sign, bar in (("≤", figure.at_most), ("≥", figure.at_least))
        if bar is not None
    ]
    verdict = {None: "", True: "met", False: "**missed**"}[figure.met]
    said = f"{_number(figure.median)}{spread} {figure.unit}"
    return f"| {figure.subject} | {figure.contender} | {said} | {' '.join(bars)} | {verdict} |"


def _number(value: float) -> str:
    """Return a number with three significant digits."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"  # noqa: PLR2004 - three digits


def _plot(results: Results, path: Path) -> None:
    # Here, not above: --help and the tables need no more than Python.
    from matplotlib.figure import Figure  # type: ignore[import-not-found] # noqa: PLC0415 # in the image alone

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    summaries = results.summaries()
    for contender in sorted({summary.contender for summary in summaries}):
        own = [summary for summary in summaries if summary.contender == contender]
        milliseconds = [1000 * summary.wall / summary.projects for summary in own]
        axes.plot([summary.projects for summary in own], milliseconds, marker="o", label=contender)
    axes.set(xscale="log", xlabel="projects", ylabel="ms a project", ylim=(0, None), title=results.what)
    axes.legend()
    axes.grid(visible=True, alpha=0.3)
    figure.savefig(path, dpi=120)


def say(line: str) -> None:
    """Print the progress."""
    print(line, flush=True)
