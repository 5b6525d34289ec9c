"""Creation messages that the real rules refuse, stored as rejections without a broker."""

import asyncio
import json
import random
import threading
from collections.abc import Sequence
from dataclasses import replace

from taskmill.domain.errors import TaskmillError
from taskmill.domain.rejection import RefusedMessage
from taskmill.runtime.clock import SystemClock
from taskmill.runtime.ids import IdFactory
from taskmill.settings import DatabaseSettings
from taskmill.storage import rejections
from taskmill.storage.rejections import NewRejection
from taskmill.wire.messages import MessageLimits, message_draft, stored_message
from taskmill.wire.problems import problem_json
from tests.support.role_database import RoleDatabase

PROPERTIES = {"content_type": "application/json", "headers": {"x-producer": "shop"}}


def refused_message(body: bytes, message_id: str | None = None) -> RefusedMessage:
    """Return a message with the problem that the rules find in it."""
    message = RefusedMessage(
        source="amqp",
        message_id=message_id,
        body=body,
        properties=json.dumps(PROPERTIES),
        status=0,
        problem="{}",
    )
    try:
        message_draft(stored_message(message), MessageLimits())
    except TaskmillError as error:
        status, _, problem = problem_json(error)
        return replace(message, status=status, problem=problem.decode())
    raise AssertionError("nothing is wrong with the message")


async def store_refused(url: str, messages: Sequence[RefusedMessage]) -> list[str]:
    """Store messages, each as a rejection of its own, and return their ids."""
    database = RoleDatabase(url, DatabaseSettings(pool_size=1, listing_pool_size=1))
    ids = IdFactory(SystemClock(), random.Random())  # noqa: S311 - no secret
    new = [NewRejection(id=ids(), message=one, body_hash=one.body_hash) for one in messages]
    try:
        await rejections.store(database, new)
    finally:
        await database.close()
    return [str(one.id) for one in new]


def store_refused_in_thread(url: str, messages: Sequence[RefusedMessage]) -> list[str]:
    """Do the same in a thread, for callers whose thread runs an event loop."""
    found: list[str] = []
    thread = threading.Thread(
        target=lambda: found.extend(asyncio.run(store_refused(url, messages)))
    )
    thread.start()
    thread.join()
    return found
