"""Numbers as people read them."""

from __future__ import annotations

import numpy as np

from spanhouse.query.compare.comparison import Interval

SHARE = "share"


def number(value: float, unit: str) -> str:
    """Format a value in its unit."""
    match unit:
        case "share":
            return f"{value * 100:.{_digits(value * 100)}f} %"
        case "":
            return _plain(value)
        case _:
            return f"{_plain(value)} {unit}"


def change(value: float, unit: str) -> str:
    """Format a difference in its unit; shares differ by points."""
    if unit == SHARE:
        return f"{value * 100:+.{_digits(value * 100)}f} points"
    shown = _plain(abs(value))
    return f"{'-' if value < 0 else '+'}{shown}{f' {unit}' if unit else ''}"


def interval(found: Interval, unit: str) -> str:
    """Format the limits of a difference."""
    return f"{change(found.low, unit)} to {change(found.high, unit)}"


def p_text(value: float) -> str:
    """Format a p-value."""
    if value < 0.0001:
        return "p < 0.0001"
    return f"p = {value:.4f}" if value < 0.01 else f"p = {value:.3f}" if value < 0.1 else f"p = {value:.2f}"


def plain(value: float) -> str:
    """Format a number to six digits as filters read it, without an exponent."""
    return np.format_float_positional(value, precision=6, fractional=False, trim="-")


def _digits(value: float) -> int:
    return 1 if abs(value) >= 0.95 or value == 0 else 2


def _plain(value: float) -> str:
    if value == int(value) and abs(value) < 10**15:
        return f"{int(value):,}"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
