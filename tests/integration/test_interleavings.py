"""Every pair of writers on two sessions, in every order: there is no deadlock, and the database stays sound.

Either the first holds its transaction open until the second waits for it (and then commits or rolls back), or a
third session holds rows that both of them need, so that both stop in the middle of their statements.
"""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import pytest

from taskmill.storage.database import Database
from taskmill.storage.servers import Connection
from tests.support.one_session import Session
from tests.support.polling import eventually
from tests.support.safety import unsafe
from tests.support.stage import Stage
from tests.support.writers import WRITERS, Scene, a_scene

# What a third session holds while the two begin.
BLOCKING = {
    "dispatch": "SELECT FROM taskmill.dispatch WHERE queue = $1 FOR UPDATE",
    "task": "SELECT FROM taskmill.task WHERE queue = $1 FOR UPDATE",
    "one_task": "SELECT FROM taskmill.task WHERE queue = $1 ORDER BY id DESC LIMIT 1 FOR UPDATE",
    "running": "SELECT FROM taskmill.running WHERE queue = $1 FOR UPDATE",
    "lease": "SELECT FROM taskmill.lease WHERE $1 <> '' FOR UPDATE",
}
TIMEOUT_S = 10.0


@asynccontextmanager
async def a_session(stage: Stage) -> AsyncIterator[Session]:
    # Each writer may be any program's: the API's, maintenance's, or one that creates tasks by SQL.
    connection = await stage.owner_database.connect()
    try:
        yield Session(connection)
    finally:
        await connection.close()


async def until_it_waits(stage: Stage, session: Session, doing: "asyncio.Task[None]") -> None:
    """Return when the session waits for a lock or is done."""
    pid = session.connection.get_server_pid()

    async def is_ready() -> bool:
        query = "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1"
        return doing.done() or bool(await stage.sql.fetchval(query, pid))

    await eventually(is_ready, "the session to wait or to be done")


async def write(name: str, database: Database, scene: Scene) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        await WRITERS[name](database, scene)


async def one_holds(
    scene: Scene, first: str, second: str, end: str, sessions: list[Session]
) -> None:
    """The second begins while the first has not ended its transaction."""
    one, other = sessions
    transaction = one.connection.transaction()
    await transaction.start()
    await write(first, one, scene)
    async with asyncio.TaskGroup() as group:
        writing = group.create_task(write(second, other, scene))
        await until_it_waits(scene.stage, other, writing)
        await (transaction.commit() if end == "commit" else transaction.rollback())


async def both_stop(
    scene: Scene, first: str, second: str, blocker: str, sessions: list[Session]
) -> None:
    """Both begin while a third holds rows that they need."""
    one, other, third = sessions
    await third.connection.execute("BEGIN")
    await third.connection.execute(BLOCKING[blocker].replace("$1", f"'{scene.queue}'"))
    async with asyncio.TaskGroup() as group:
        for name, session in ((first, one), (second, other)):
            writing = group.create_task(write(name, session, scene))
            await until_it_waits(scene.stage, session, writing)
        await third.connection.execute("COMMIT")


ENDS = ("commit", "rollback")
USUAL = ("commit", "task")
OTHERS = tuple(order for order in (*ENDS, *BLOCKING) if order not in USUAL)


@pytest.mark.parametrize("first", WRITERS)
@pytest.mark.parametrize("orders", [USUAL, pytest.param(OTHERS, marks=pytest.mark.slow)])
async def test_no_order_of_two_writers_deadlocks_or_breaks_anything(
    first: str, orders: Collection[str], stage: Stage
) -> None:
    async with a_session(stage) as one, a_session(stage) as other, a_session(stage) as third:
        for second in WRITERS:
            for order in orders:
                scene = await a_scene(stage, f"{first}.{second}.{order}")
                if order in ENDS:
                    await one_holds(scene, first, second, order, [one, other])
                else:
                    await both_stop(scene, first, second, order, [one, other, third])
    assert await troubles(stage.sql) == []


async def troubles(sql: Connection) -> list[str]:
    """Return what is wrong, each with the queue, which names the pair."""
    queues = {
        str(row["id"]): row["queue"]
        for row in await sql.fetch("SELECT id, queue FROM taskmill.task")
    }
    return [f"{queues.get(problem[:36], '')} {problem}" for problem in await unsafe(sql)]
