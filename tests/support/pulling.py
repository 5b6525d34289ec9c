"""Pulling without HTTP: the part of an API's process that does it."""

import random

from taskmill.operations.contracts import Contracts
from taskmill.operations.first_claims import FirstClaims
from taskmill.operations.pull import Pull
from taskmill.runtime.clock import SystemClock
from taskmill.runtime.ids import IdFactory
from taskmill.settings import PullSettings, TaskLogSettings
from taskmill.storage.database import Database
from tests.support.builders import AT_ONCE


def a_pull(
    database: Database, settings: PullSettings | None = None, payload_bytes: int = 2**20
) -> Pull:
    """A `Pull` in which tasks without a policy are retried at once."""
    randomness = random.Random()  # noqa: S311 - no secret
    return Pull(
        database,
        settings or PullSettings(),
        policy=AT_ONCE,
        first_claims=FirstClaims(Contracts(database), SystemClock()),
        ids=IdFactory(SystemClock(), randomness),
        randomness=randomness,
        payload_bytes=payload_bytes,
        task_log=TaskLogSettings(
            claim_lines=10, claim_bytes=2000, message_chars=500, fields_bytes=300
        ),
    )
