"""The program as it is, with handlers that leave traces, places to die at, and, if asked, something broken.

    python -m tests.chaos.program run worker

The environment tells where traces go (`CHAOS_EFFECTS`), which folder holds the names of places to die at
(`CHAOS_FAILPOINTS`) and what is broken (`CHAOS_BREAK`).
"""

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.chaos import breakages, failpoints
from tests.chaos.effects import Effects

_EFFECTS = "CHAOS_EFFECTS"
_FAILPOINTS = "CHAOS_FAILPOINTS"
_BREAK = "CHAOS_BREAK"


def handlers(effects: Effects) -> Mapping[str, Any]:
    """Return the handlers of the chaos: work that leaves a trace when it begins and when it is done."""
    from taskmill.app import PermanentFailure, RetryLater  # noqa: PLC0415 - see `main`

    async def work(context: Any) -> object:  # noqa: ANN401 - see above
        payload = context.payload
        effects.note("begin", context.task.id, context.task.claim_no)
        await asyncio.sleep(payload["delay_s"])
        if context.attempt <= payload.get("failures", 0):
            raise RetryLater("it fails, as it was told to")
        if payload.get("is_hopeless"):
            raise PermanentFailure("it fails for good, as it was told to")
        effects.note("end", context.task.id, context.task.claim_no)
        return {"claim_no": context.task.claim_no}

    return {"work": work}


def main() -> None:
    """Change what was asked for, then run the command line."""
    # Statements are looked up by modules as they are imported: whatever is to be another must be so before.
    breakages.apply(os.environ.pop(_BREAK, ""))  # noqa: TID251 - how a process is told
    from taskmill.composition import handlers as composed  # noqa: PLC0415 - see above

    effects = Effects(Path(os.environ.pop(_EFFECTS)))  # noqa: TID251 - how a process is told
    vars(composed)["_built_in"] = lambda _: handlers(effects)
    failpoints.watch(Path(os.environ.pop(_FAILPOINTS)))  # noqa: TID251 - how a process is told

    from taskmill.cli.main import main as run  # noqa: PLC0415 - see above

    run()


if __name__ == "__main__":
    main()
