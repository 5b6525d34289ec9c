"""The program with handlers that record their effects, with failpoints, and optionally with something broken.

    python -m tests.chaos.program run worker

The environment names the file for effects (`CHAOS_EFFECTS`), the folder in which failpoints are enabled
(`CHAOS_FAILPOINTS`), what is broken (`CHAOS_BREAK`) and, for some, the file that shifts the clock (`CHAOS_CLOCK`).
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.chaos import breakages, failpoints, skew
from tests.chaos.effects import Effects

_EFFECTS = "CHAOS_EFFECTS"
_FAILPOINTS = "CHAOS_FAILPOINTS"
_BREAK = "CHAOS_BREAK"
_CLOCK = "CHAOS_CLOCK"


def handlers(effects: Effects) -> Mapping[str, Any]:
    """Return the handlers: work that records when it begins and when it is done."""
    from taskmill.app import PermanentFailure, RetryLater  # noqa: PLC0415 - see `main`

    async def work(context: Any) -> object:  # noqa: ANN401 - see above
        payload = context.payload
        effects.note("begin", context.task.id, context.task.claim_no)
        await asyncio.sleep(payload["delay_s"])
        if context.attempt <= payload.get("failures", 0):
            raise RetryLater("it fails, as its payload asks")
        if payload.get("is_hopeless"):
            raise PermanentFailure("it fails for good, as its payload asks")
        effects.note("end", context.task.id, context.task.claim_no)
        return {"claim_no": context.task.claim_no}

    return {"work": work}


def main() -> None:
    """Apply the requested changes, then run the command line."""
    if clock := os.environ.pop(_CLOCK, ""):  # noqa: TID251 - how a process gets its settings
        skew.watch(Path(clock))
    # Modules import `statement` by name: it must be replaced before they are imported.
    breakages.apply(os.environ.pop(_BREAK, ""))  # noqa: TID251 - how a process gets its settings
    from taskmill.composition import handlers as composed  # noqa: PLC0415 - see above

    effects = Effects(Path(os.environ.pop(_EFFECTS)))  # noqa: TID251 - how a process gets its settings
    vars(composed)["_built_in"] = lambda _: handlers(effects)
    failpoints.watch(Path(os.environ.pop(_FAILPOINTS)))  # noqa: TID251 - how a process gets its settings

    from taskmill.cli.main import main as run  # noqa: PLC0415 - see above

    run()


if __name__ == "__main__":
    main()
