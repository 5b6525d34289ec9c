"""A clock that is wrong: `time.time` is shifted by what a file says, as libfaketime does for all clocks.

It needs no library, so each machine can do it.
"""

import time
from pathlib import Path

_READ_EVERY_S = 0.5


def watch(file: Path) -> None:
    """Shift the clock by the seconds in a file, such as `+3600s`, from now on, whenever that changes."""
    real, clock = time.time, time.monotonic  # noqa: TID251 - what is faked is the machine's clock
    offset, read_at = 0.0, float("-inf")

    def shifted() -> float:
        nonlocal offset, read_at
        if clock() - read_at >= _READ_EVERY_S:
            offset, read_at = float(file.read_text().removesuffix("s") or 0), clock()
        return real() + offset

    vars(time)["time"] = shifted
