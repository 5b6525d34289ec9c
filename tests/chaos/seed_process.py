"""Runs one seed in a process of its own.

It is not part of `__main__`, from which a spawned process can't import.
"""

import asyncio
import io
import logging

from taskmill.observability import logs
from tests.chaos.seed import Plan, Report, run


def report(plan: Plan) -> Report:
    """Run the seed."""
    # Only the reports are of interest, not the errors that clients log.
    logging.disable(logging.CRITICAL)
    logs.configure(format="json", level="error", stream=io.StringIO())
    return asyncio.run(run(plan))
