"""Runs one seed in a process of its own.

It is not part of `__main__`, from which a spawned process can't import.
"""

import asyncio
import io
import logging
import traceback

from taskmill.observability import logs
from tests.chaos.seed import Plan, Report, run


def report(plan: Plan) -> Report:
    """Run the seed; a failure to run it is a violation, too."""
    # Only the reports are of interest, not the errors that clients log.
    logging.disable(logging.CRITICAL)
    logs.configure(format="json", level="error", stream=io.StringIO())
    try:
        return asyncio.run(run(plan))
    except Exception as error:  # noqa: BLE001 - whatever it is, it is reported, and the other seeds go on
        last = "".join(traceback.format_exception(error)).strip()
        return Report(plan=plan, violations=[f"not_carried_through: {last}"])
