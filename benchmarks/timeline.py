"""Measurements over time, as pairs of seconds from the start and milliseconds."""

from collections.abc import Sequence

from benchmarks.figures import Series, percentile
from benchmarks.load import LoadFailed

Timeline = Sequence[tuple[float, float]]

_TENTH = 10
_STEPS = 60
_SHARE = 0.95


def begin_and_end(times: Timeline, seconds: float) -> tuple[float, float]:
    """Return the 95th percentile of the first tenth of the time, and of the last one.

    Raises:
        LoadFailed: One of them is empty.
    """
    part = seconds / _TENTH
    first = [ms for at_s, ms in times if at_s <= part]
    last = [ms for at_s, ms in times if at_s >= seconds - part]
    if not first or not last:
        raise LoadFailed("nothing was measured at the start or at the end")
    return percentile(first, _SHARE), percentile(last, _SHARE)


def series(name: str, times: Timeline, seconds: float) -> Series:
    """Return the 95th percentile of each sixtieth of the time, if it is not empty."""
    step = seconds / _STEPS
    parts: dict[int, list[float]] = {}
    for at_s, ms in times:
        parts.setdefault(int(at_s / step), []).append(ms)
    steps = sorted(parts)
    return Series(
        name=name,
        unit="ms",
        at_s=[round((number + 0.5) * step, 2) for number in steps],
        values=[round(percentile(parts[number], _SHARE), 3) for number in steps],
    )
