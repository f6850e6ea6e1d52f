"""Percentiles and medians, and how figures are written."""

import math
import statistics
from collections.abc import Callable, Sequence


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0 to 1) of the values do not exceed.

    Infinite where there are none: nothing was done in time.
    """
    ordered = sorted(values)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else math.inf


def median(values: Sequence[float]) -> float:
    """The median; of two in the middle their mean."""
    return statistics.median(values)


def _figure(value: float) -> str:
    if not math.isfinite(value):
        return "∞"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) < 1:
        return f"{value:.2g}"
    return f"{value:.1f}" if abs(value) < 10 else f"{value:.0f}"


def _scaled(factor: float, unit: str) -> Callable[[float], str]:
    return lambda value: f"{_figure(value * factor)} {unit}".strip()


UNITS: dict[str, Callable[[float], str]] = {
    "ms": _scaled(1e3, "ms"),
    "µs": _scaled(1e6, "µs"),
    "s": _scaled(1, "s"),
    "KiB": _scaled(1 / 1024, "KiB"),
    "/s": _scaled(1, "/s"),
    "idle": lambda value: f"{value * 100:.1f} % of a core",
    "times": _scaled(1, "×"),
}
"""How a figure in seconds, bytes or counts is written, by the unit that is shown."""
