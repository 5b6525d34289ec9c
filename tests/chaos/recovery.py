"""Checks that every process works again soon after the faults, not only one of each role.

The API responds. Each worker claims a probe. Each relay sends hints. Each intake consumes, and a message becomes a
task that runs. Clients go on meanwhile.
"""

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from contextlib import suppress

import asyncpg
import httpx
import orjson

from taskmill.amqp.confirmed_publisher import ConfirmedPublisher, SentMessage
from taskmill.amqp.names import CREATE_KEY, CREATE_QUEUE, EXCHANGE
from taskmill.domain.errors import BrokerAway
from tests.chaos.checker import PROBES, Sql
from tests.chaos.site import Site, scrape

# A process counts as stuck if this many rounds of probes in a row brought no process back. A round takes as long
# as the machine needs: on an idle one all take about 15 s, within which everything should be back.
_ROUNDS = 100
# The longest time on any machine.
_MOST_S = 120.0
_TIMEOUT_S = 3.0
_HINTS = "taskmill_hints_confirmed_total"
_POSTED, _PUBLISHED = PROBES


async def not_back(site: Site) -> list[str]:
    """Send probes until every process works, or no other comes back; return those that did not."""
    loop = asyncio.get_running_loop()
    began_at, in_vain, number = loop.time(), 0, 0
    lacking: list[str] = []
    sql = await asyncpg.connect(site.database_url)
    try:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S) as http:
            hints = await _hints(site)
            for number in itertools.count(1):
                await _probe(site, http, number)
                before, lacking = lacking, await _lacking(site, sql, hints)
                in_vain = 0 if len(lacking) < len(before) else in_vain + 1
                if not lacking or in_vain > _ROUNDS or loop.time() - began_at > _MOST_S:
                    break
    finally:
        await sql.close()
    after = f"after {number} rounds of probes in {loop.time() - began_at:.0f} s"
    return [f"not_back: {name} did not work {after}" for name in lacking]


async def _probe(site: Site, http: httpx.AsyncClient, number: int) -> None:
    """Send one probe at each entry point; a lost one does not matter, as more follow."""
    with suppress(httpx.TransportError):
        await http.post(f"{site.api_url}/tasks", json=_body(_POSTED))
    if site.broker is not None:
        confirmed_publisher = ConfirmedPublisher(
            site.broker.url, exchange=EXCHANGE, routing_key=CREATE_KEY
        )
        body, name = orjson.dumps(_body(_PUBLISHED)), f"{_PUBLISHED}-{number}"
        with suppress(BrokerAway):
            await confirmed_publisher.deliver([SentMessage(number=1, body=body, message_id=name)])


def _body(name: str) -> dict[str, object]:
    return {"name": name, "type": "work", "priority": 9, "payload": {"delay_s": 0}}


async def _lacking(site: Site, sql: Sql, hints_before: Mapping[str, float]) -> list[str]:
    lacking = await _unserved_entry_points(site, sql) + await _idle_workers(site, sql)
    if site.broker is not None:
        lacking += await _intakes_without_consumer(site)
        hints = await _hints(site)
        lacking += [name for name, total in hints.items() if total <= hints_before[name]]
    return lacking


async def _unserved_entry_points(site: Site, sql: Sql) -> list[str]:
    wanted: Sequence[str] = PROBES if site.broker is not None else [_POSTED]
    rows = await sql.fetch(
        "SELECT DISTINCT name FROM taskmill.current_task WHERE name = ANY($1) AND status = 'succeeded'",
        wanted,
    )
    return sorted(set(wanted) - {row["name"] for row in rows})


async def _idle_workers(site: Site, sql: Sql) -> list[str]:
    rows = await sql.fetch(
        "SELECT DISTINCT e.worker FROM taskmill.task AS t "
        "JOIN taskmill.task_history AS e ON e.task_id = t.id AND e.event = 'claimed' "
        "WHERE t.name = ANY($1)",
        PROBES,
    )
    return sorted({member.name for member in site.of("worker")} - {row["worker"] for row in rows})


async def _intakes_without_consumer(site: Site) -> list[str]:
    assert site.broker is not None
    consumers = await asyncio.to_thread(site.broker.management().consumers)
    found = [one for one in consumers if one["queue"]["name"] == CREATE_QUEUE]
    wanted = len(site.of("intake"))
    return [] if len(found) == wanted else [f"intake ({len(found)} consumers of {wanted})"]


async def _hints(site: Site) -> dict[str, float]:
    return {relay.name: await scrape(relay, _HINTS) for relay in site.of("relay")}
