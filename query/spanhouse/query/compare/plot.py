"""A comparison as a picture: how latencies are spread, error rates with their intervals, and both over time with the changes of version marked."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from spanhouse.query.compare.comparison import Comparison, Interval, Period, Series, Side, Table
from spanhouse.query.errors import FilterError, StoreUnavailableError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

ENDINGS: Final = (".png", ".svg", ".pdf")
_BASE, _NEW, _GREY = "#4477aa", "#cc3311", "#777777"
_STYLE: Final[Any] = {
    "text.parse_math": False,  # a value may have dollar signs
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e6e6e6",
    "axes.axisbelow": True,
    "legend.frameon": False,
}
_LEAST: Final = 5
"""With fewer traces in a period it is left out: a p95 of them says nothing."""
_UNSAFE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\s]+")
_SHA: Final = re.compile("[0-9a-f]{40}")


def check_plot_path(path: str | Path) -> Path:
    """Check that a path's name ends in the format of a picture, and return it.

    Raises:
        FilterError: the name ends otherwise.
    """
    if Path(path).suffix.lower() not in ENDINGS:
        raise FilterError(f"a picture {str(path)!r} can't be drawn", hint=f"give a name that ends with {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}")
    return Path(path)


def plot_comparison(found: Comparison | Table, path: str | Path) -> None:
    """Draw the result of ``TraceClient.compare(..., series=True)`` into a file: PNG, SVG or PDF, by the end of its name.

    Raises:
        FilterError: the name ends otherwise, or the comparison was made without ``series``.
        StoreUnavailableError: the library that draws is not installed.
        OSError: the file can't be written.
    """
    path = check_plot_path(path)
    if found.series is None:
        raise FilterError("there is nothing to draw", hint="compare with series=True, and traces that have a value of the key")
    try:
        import matplotlib as mpl
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise StoreUnavailableError(f"pictures need the module {error.name}: pip install 'spanhouse[plot]'") from None
    with mpl.rc_context(_STYLE), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing")  # a value's letters that the font lacks are boxes in a PNG
        figure = Figure(figsize=(11, 8), layout="constrained")
        if isinstance(found, Comparison):
            _draw_pair(figure, found, found.series)
        else:
            _draw_all(figure, found, found.series)
        figure.savefig(path, dpi=130)


def _draw_pair(figure: Figure, found: Comparison, series: Series) -> None:
    colours = {found.base.value: _BASE, found.new.value: _NEW}
    figure.suptitle(f"{label(found.new.value)} against {label(found.base.value)}, by {label(found.by, 60)}: {found.verdict}", fontweight="bold")
    spread, rates, latency, errors = _panels(figure, (2, 1))
    sides = (found.base, found.new)
    for side in sides:
        _spread(spread, side, series, colours[side.value])
    spread.set(xscale="log", xlabel="latency (lines: p50 and p95)", ylabel="part of the version's traces")
    spread.set_ylim(bottom=0)
    _as_time(spread.xaxis)
    _as_percent(spread.yaxis)
    spread.legend(loc="best")
    _dots(rates, sides, [side.error_rate for side in sides], [colours[side.value] for side in sides])
    rates.set(xlim=(-0.6, 1.6), ylabel="error rate, 95 % interval")
    _over_time(latency, errors, sides, series, colours)


def _draw_all(figure: Figure, found: Table, series: Series) -> None:
    drawn = {period.value for period in series.periods}
    sides = [side for side in found.sides if side.value in drawn]
    left_out = len(found.sides) - len(sides)
    title = f"by {label(found.by, 60)}" + (f": the {len(sides)} values with the most traces, of {len(found.sides)}" if left_out else "")
    figure.suptitle(title, fontweight="bold")
    rates, quantiles, latency, errors = _panels(figure, (1, 1))
    colours = dict(zip([side.value for side in sides], _shades(len(sides)), strict=True))
    _dots(rates, sides, [side.error_rate for side in sides], [colours[side.value] for side in sides])
    rates.set(ylabel="error rate, 95 % interval")
    for level, marker in ((0.5, "o"), (0.95, "^")):
        known = [(place, one) for place, side in enumerate(sides) if (one := side.quantiles.get("latency", {}).get(level)) is not None]
        _bars(quantiles, [place for place, _ in known], [one for _, one in known], [colours[sides[place].value] for place, _ in known], marker)
        quantiles.plot([], [], marker, color=_GREY, label=f"p{level * 100:g}")
    _name_places(quantiles, sides)
    quantiles.set(yscale="log", ylabel="latency, 95 % interval")
    _as_time(quantiles.yaxis)
    quantiles.legend(loc="best", ncols=2)
    _over_time(latency, errors, sides, series, colours)


def _panels(figure: Figure, widths: tuple[int, int]) -> tuple[Axes, Axes, Axes, Axes]:
    grid = figure.add_gridspec(3, sum(widths), height_ratios=(3, 2, 1.4))
    left, right = figure.add_subplot(grid[0, : widths[0]]), figure.add_subplot(grid[0, widths[0] :])
    upper = figure.add_subplot(grid[1, :])
    return left, right, upper, figure.add_subplot(grid[2, :], sharex=upper)


def _spread(axes: Axes, side: Side, series: Series, colour: str) -> None:
    bins = [one for one in series.bins if one.value == side.value]
    total = sum(one.traces for one in bins) or 1
    heights: list[float] = []
    edges: list[float] = []
    for one in bins:
        if edges and one.low_ms > edges[-1] * 1.0001:  # bins without traces between these two
            heights.append(0)
            edges.append(one.low_ms)
        elif not edges:
            edges.append(one.low_ms)
        heights.append(one.traces / total)
        edges.append(one.high_ms)
    if heights:
        axes.stairs(heights, edges, fill=True, alpha=0.25, color=colour)
        axes.stairs(heights, edges, color=colour, label=f"{label(side.value)} ({side.traces:,} traces)")
    for level, style in ((0.5, "--"), (0.95, ":")):
        if found := side.quantiles.get("latency", {}).get(level):
            axes.axvline(max(found.value, 0.001), color=colour, linestyle=style, linewidth=1.2)


def _dots(axes: Axes, sides: Sequence[Side], rates: Sequence[Interval], colours: Sequence[str]) -> None:
    _bars(axes, list(range(len(sides))), rates, colours, "o")
    _name_places(axes, sides)
    axes.set_ylim(bottom=0)
    _as_percent(axes.yaxis)


def _bars(axes: Axes, places: Sequence[int], intervals: Sequence[Interval], colours: Sequence[str], marker: str) -> None:
    for place, found, colour in zip(places, intervals, colours, strict=True):
        ends = [[max(0, found.value - found.low)], [max(0, found.high - found.value)]]
        axes.errorbar([place], [found.value], yerr=ends, fmt=marker, color=colour, capsize=4, markersize=5)


def _name_places(axes: Axes, sides: Sequence[Side]) -> None:
    names = [label(side.value) for side in sides]
    steep = len(names) > 3 and sum(map(len, names)) > 40
    axes.set_xticks(range(len(names)), names, rotation=40 if steep else 0, ha="right" if steep else "center")
    axes.grid(visible=False, axis="x")


def _over_time(latency: Axes, errors: Axes, sides: Sequence[Side], series: Series, colours: Mapping[str, str]) -> None:
    for side in sides:
        periods = [period for period in series.periods if period.value == side.value and period.traces >= _LEAST]
        for width, runs in ((1.6, [period.p95_ms for period in periods]), (0.8, [period.p50_ms for period in periods])):
            known = [(_middle(period, series), value) for period, value in zip(periods, runs, strict=True) if value is not None]
            latency.plot(
                [time for time, _ in known], [max(value, 0.001) for _, value in known], ".-", color=colours[side.value], linewidth=width, markersize=4
            )
        errors.plot(
            [_middle(period, series) for period in periods],
            [period.errors / period.traces for period in periods],
            ".-",
            color=colours[side.value],
            linewidth=1.2,
            markersize=4,
        )
    latency.set(yscale="log", ylabel="p50 (thin) and p95")
    _as_time(latency.yaxis)
    _as_percent(errors.yaxis)
    errors.set_ylim(bottom=0)
    errors.xaxis_date("UTC")
    errors.set(xlabel="time (UTC)", ylabel="error rate")
    latency.tick_params(labelbottom=False)
    _mark_changes(latency, errors, sides, colours)


def _mark_changes(latency: Axes, errors: Axes, sides: Sequence[Side], colours: Mapping[str, str]) -> None:
    """Draw a line where each version was first seen, named above the panel where there is room."""
    begun = sorted(sides, key=lambda side: side.first_ms)
    low, high = begun[0].first_ms, max(side.last_ms for side in sides)
    free_from = float("-inf")
    for side in begun:
        for axes in (latency, errors):
            axes.axvline(_days(side.first_ms), color=colours[side.value], linewidth=0.9, linestyle="--")
        place = (side.first_ms - low) / max(1, high - low)
        if place >= free_from:
            name = label(side.value)
            latency.annotate(
                name,
                (_days(side.first_ms), 1),
                xycoords=("data", "axes fraction"),
                xytext=(2, 2),
                textcoords="offset points",
                color=colours[side.value],
                fontsize=8,
            )
            free_from = place + 0.0085 * (len(name) + 2)


def _middle(period: Period, series: Series) -> float:
    return _days(period.start_ms + series.width_ms / 2)


def _days(milliseconds: float) -> float:
    """Convert a time to the unit of the library's axes."""
    return milliseconds / 86_400_000


def _shades(count: int) -> list[str]:
    """Return colours from the base's to the new one's, so that the order of versions is seen."""
    ends = [[int(colour[at : at + 2], 16) for at in (1, 3, 5)] for colour in (_BASE, _NEW)]
    mixed = [[round(a + (b - a) * number / max(1, count - 1)) for a, b in zip(*ends, strict=True)] for number in range(count)]
    return ["#" + "".join(f"{part:02x}" for part in one) for one in mixed]


def _as_percent(axis: Any) -> None:
    from matplotlib.ticker import PercentFormatter

    axis.set_major_formatter(PercentFormatter(1))


def _as_time(axis: Any) -> None:
    """Set the ticks of an axis in milliseconds, in the unit that suits them."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value / 1000:g} s" if value >= 1000 else f"{value:g} ms"))
    axis.set_minor_locator(LogLocator(subs=()))


def label(value: str, longest: int = 28) -> str:
    """Shorten a value for a picture: in one line, and not too long; a commit by its first digits."""
    if _SHA.fullmatch(value):
        return value[:7]
    line = _UNSAFE.sub(" ", value)
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
