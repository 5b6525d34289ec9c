"""Places in the program at which a process dies when a file of that name appears in its folder.

It dies as by `kill -9`: nothing is closed, nothing is told.
"""

import functools
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

# By the process that passes there.
PLACES = {
    "worker": ("after_claim", "before_finish", "after_finish"),
    "relay": ("after_mark",),
    "api": ("after_commit",),
    "intake": ("after_commit",),
}


def watch(folder: Path) -> None:
    """Put the places into the program; call it before the roles start."""
    from taskmill.relay.hints import HintPublisher  # noqa: PLC0415 - not before the statements are chosen
    from taskmill.storage import claims, tasks  # noqa: PLC0415 - see above

    def dies_at(place: str) -> None:
        if (folder / place).exists():
            (folder / place).unlink(missing_ok=True)
            os.kill(os.getpid(), signal.SIGKILL)

    _die_after(claims, "take", "after_claim", dies_at)
    _die_after(claims, "take_hinted", "after_claim", dies_at)
    _die_before(claims, "end", "before_finish", dies_at)
    _die_after(claims, "end", "after_finish", dies_at)
    _die_after(tasks, "insert", "after_commit", dies_at)
    _die_before(HintPublisher, "publish", "after_mark", dies_at)


def _die_after(home: Any, name: str, place: str, dies_at: Callable[[str], None]) -> None:  # noqa: ANN401 - module or class
    original = getattr(home, name)

    @functools.wraps(original)
    async def passing(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - whatever it takes and gives
        answer = await original(*arguments, **named)
        # A look that brought nothing has no effect to be lost.
        if answer:
            dies_at(place)
        return answer

    setattr(home, name, passing)


def _die_before(home: Any, name: str, place: str, dies_at: Callable[[str], None]) -> None:  # noqa: ANN401 - see above
    original = getattr(home, name)

    @functools.wraps(original)
    async def passing(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401 - see above
        dies_at(place)
        return await original(*arguments, **named)

    setattr(home, name, passing)
