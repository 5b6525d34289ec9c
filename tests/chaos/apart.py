"""One seed in a process of its own.

It is no part of `__main__`: a process that is spawned can't import from there.
"""

import asyncio
import io
import logging
import traceback

from taskmill.observability import logs
from tests.chaos.seed import Plan, Report, run


def report(plan: Plan) -> Report:
    """Run the seed; one that can't be carried through is a violation, too."""
    # The clients' own troubles are what this is about; only the reports are of interest.
    logging.disable(logging.CRITICAL)
    logs.configure(format="json", level="error", stream=io.StringIO())
    try:
        return asyncio.run(run(plan))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is told, and the other seeds go on
        last = "".join(traceback.format_exception(error)).strip()
        return Report(plan=plan, wrongs=[f"not_carried_through: {last}"])
