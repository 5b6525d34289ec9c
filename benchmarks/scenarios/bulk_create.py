"""Bulk creation over HTTP, as a JSON array and as NDJSON, against COPY into a plain table of the same columns.

Both sides send 10,000 tasks in prepared bytes and have them committed. COPY uses an open connection, and a table
with the columns and the values of such tasks, without index, history or counters.
"""

import asyncio
import io
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from time import perf_counter

import asyncpg
import httpx

from benchmarks.figures import Figure, at_least
from benchmarks.lab import Lab
from benchmarks.load import LoadFailed
from benchmarks.observing import connected
from benchmarks.rounds import interleaved

TITLE = "10,000 tasks in one request, one API process, against COPY into a plain table"

_TASKS = 10_000
_TIMEOUT_S = 60.0
_LEAST = 0.35
_FORMS = {"JSON array": "application/json", "NDJSON": "application/x-ndjson"}
_COUNTED = "SELECT count(*) FROM taskmill.task"
# The plain table has all columns of a task.
_PLAIN = "CREATE TABLE plain_task AS SELECT * FROM taskmill.task WHERE false"


async def run(lab: Lab) -> list[Figure]:
    async with (
        lab.database() as url,
        lab.taskmill("api", url, "--port", "0") as api,
        connected(url) as connection,
    ):
        posts = {form: partial(_post, str(api.url), form) for form in _FORMS}
        for post in posts.values():
            await asyncio.to_thread(post)
        rows = await _prepare_copy(connection)
        sides = {
            **{form: partial(_measure_post, lab, connection, post) for form, post in posts.items()},
            "COPY": partial(_measure_copy, lab, connection, rows),
        }
        for measure in sides.values():
            await measure()
        rates = await interleaved(lab, sides, describe=lambda rate: f"{rate:,.0f} tasks/s")
    return _figures(rates)


def _figures(rates: Mapping[str, Sequence[float]]) -> list[Figure]:
    return [
        Figure(
            name=f"created, {form}",
            unit="tasks/s",
            ours=rates[form],
            against="COPY",
            theirs=rates["COPY"],
            target=at_least(_LEAST),
        )
        for form in _FORMS
    ]


async def _measure_post(
    lab: Lab, connection: "asyncpg.Connection[asyncpg.Record]", post: Callable[[], float]
) -> float:
    await lab.settle()
    before = await connection.fetchval(_COUNTED)
    seconds = await asyncio.to_thread(post)
    if (stored := await connection.fetchval(_COUNTED) - before) != _TASKS:
        raise LoadFailed(f"{stored} tasks were stored instead of {_TASKS}")
    return _TASKS / seconds


def _post(url: str, form: str) -> float:
    """Send the tasks in one request; return the seconds until its response came."""
    bodies = [_body(number) for number in range(_TASKS)]
    content = json.dumps(bodies) if form == "JSON array" else "\n".join(map(json.dumps, bodies))
    with httpx.Client(base_url=url, timeout=_TIMEOUT_S, trust_env=False) as client:
        client.get("/healthz")
        headers = {"Content-Type": _FORMS[form]}
        sent = content.encode()
        begun = perf_counter()
        client.post("/tasks/batch", content=sent, headers=headers).raise_for_status()
        return perf_counter() - begun


def _body(number: int) -> dict[str, object]:
    """The same task as in `post_tasks`."""
    return {
        "name": f"report {number}",
        "description": f"figures of region {number % 97}, with charts, for the board",
        "payload": {"delay_s": number % 7, "failure_probability": 0, "result": {"pages": number}},
    }


async def _prepare_copy(connection: "asyncpg.Connection[asyncpg.Record]") -> bytes:
    """Make the plain table, and return the rows of the existing tasks."""
    await connection.execute(_PLAIN)
    rows = io.BytesIO()
    await connection.copy_from_query(
        "SELECT * FROM taskmill.task ORDER BY id LIMIT $1", _TASKS, output=rows, format="csv"
    )
    return rows.getvalue()


async def _measure_copy(
    lab: Lab, connection: "asyncpg.Connection[asyncpg.Record]", rows: bytes
) -> float:
    await lab.settle()
    begun = perf_counter()
    status = await connection.copy_to_table("plain_task", source=io.BytesIO(rows), format="csv")
    seconds = perf_counter() - begun
    if status != f"COPY {_TASKS}":
        raise LoadFailed(f"instead of {_TASKS} rows: {status}")
    return _TASKS / seconds
