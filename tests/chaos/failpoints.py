"""Failpoints in the program: a process dies at one when a file of that name appears in its folder.

It dies as by `kill -9`: nothing is closed, nothing is reported.
"""

import functools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

# By role.
FAILPOINTS = {
    "worker": ("after_claim", "before_finish", "after_finish"),
    "relay": ("before_hint",),
    "api": ("after_commit",),
    "intake": ("after_commit",),
    "maintenance": ("after_lock", "before_fires", "before_commit"),
}


def watch(folder: Path) -> None:
    """Insert the failpoints into the program; call it before the roles start."""
    from taskmill.relay.hinting import HintSender  # noqa: PLC0415 - not before the statements are chosen
    from taskmill.storage import claims, schedules, tasks  # noqa: PLC0415 - see above

    def die_at(failpoint: str) -> None:
        if (folder / failpoint).exists():
            (folder / failpoint).unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)

    _die_after(claims, "take", "after_claim", die_at)
    _die_before(claims, "end", "before_finish", die_at)
    _die_after(claims, "end", "after_finish", die_at)
    _die_after(tasks, "insert", "after_commit", die_at)
    _die_after(schedules, "lock_due", "after_lock", die_at)
    _die_before(schedules, "record", "before_fires", die_at)
    _die_after(tasks, "insert", "before_commit", die_at)
    _die_before(HintSender, "_publish", "before_hint", die_at)


def _die_after(home: Any, name: str, failpoint: str, die_at: Callable[[str], None]) -> None:  # noqa: ANN401 - module or class
    original = getattr(home, name)

    @functools.wraps(original)
    async def passing(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - any arguments and result
        result = await original(*arguments, **named)
        # An empty result has no effect that could be lost.
        if result:
            die_at(failpoint)
        return result

    setattr(home, name, passing)


def _die_before(home: Any, name: str, failpoint: str, die_at: Callable[[str], None]) -> None:  # noqa: ANN401 - see above
    original = getattr(home, name)

    @functools.wraps(original)
    async def passing(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - see above
        die_at(failpoint)
        return await original(*arguments, **named)

    setattr(home, name, passing)
