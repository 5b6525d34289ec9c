"""The audit log over HTTP, and by the command."""

import asyncio
from datetime import timedelta

import orjson
import pytest

from taskmill.domain.audit import AuditAction, Target, TargetType
from taskmill.wire.audit import AuditEntryList
from tests.support.api import Served
from tests.support.commands import Taskmill, taskmill
from tests.support.stage import Stage

__all__ = ["taskmill"]


async def page(api: Served, **parameters: object) -> AuditEntryList:
    response = await api.get("/audit", params={name: str(v) for name, v in parameters.items()})
    assert response.status_code == 200, response.text
    return AuditEntryList.model_validate_json(response.content)


async def test_an_entry_has_who_what_and_how_it_ended(api: Served, stage: Stage) -> None:
    await stage.created(queue="mail")
    await api.http.patch("/queues/mail", json={"paused": True}, headers={"x-request-id": "r1"})
    await api.post("/tasks/cancel", {"queue": "mail"})
    await api.http.delete("/queues/none")
    refused, swept, paused = (await page(api)).items
    assert (paused.action, paused.outcome, paused.reason) == ("queue.pause", "done", None)
    assert paused.target is not None
    assert (paused.target.type, paused.target.id, paused.request_id) == ("queue", "mail", "r1")
    assert (paused.actor.kind, paused.actor.address) == ("anonymous", "127.0.0.1")
    now = await stage.sql.fetchval("SELECT now()")
    assert timedelta(0) <= now - paused.at < timedelta(minutes=1)
    assert paused.ended_at is not None
    assert paused.at <= paused.ended_at
    assert swept.target is None
    assert (swept.details["queue"], swept.details["changed"]) == ("mail", 1)
    assert (refused.outcome, refused.reason) == ("refused", "queue-not-found")


async def test_a_list_goes_page_by_page_with_its_filter(api: Served, stage: Stage) -> None:
    for number in range(6):
        target = Target(TargetType.QUEUE, f"q{number % 2}")
        async with stage.service.audit.record(AuditAction.QUEUE_PAUSE, target):
            pass
    seen, cursor, sizes = [], None, []
    while True:
        more: dict[str, object] = {} if cursor is None else {"cursor": cursor}
        found = await page(api, target="q1", limit=2, **more)
        seen += [item.id for item in found.items]
        sizes.append(len(found.items))
        cursor = found.next_cursor
        if cursor is None:
            break
    assert (sizes, len(set(seen))) == ([2, 1], 3)
    assert seen == sorted(seen, reverse=True)
    everything = (await page(api, limit=500)).items
    middle = everything[2]
    # Some may be of the same millisecond.
    later = [one.id for one in everything if one.at >= middle.at]
    earlier = [one.id for one in everything if one.at < middle.at]
    assert [one.id for one in (await page(api, since=middle.at.isoformat())).items] == later
    assert [one.id for one in (await page(api, until=middle.at.isoformat())).items] == earlier


@pytest.mark.parametrize(
    ("query", "status", "kind"),
    [
        ("limit=0", 422, "invalid-input"),
        ("limit=501", 422, "invalid-input"),
        ("action=queue.paint", 422, "invalid-input"),
        ("actor=", 422, "invalid-input"),
        ("since=yesterday", 422, "invalid-input"),
        ("status=done", 422, "invalid-input"),
        ("cursor=rubbish", 400, "bad-cursor"),
    ],
)
async def test_queries_that_do_not_fit_are_refused(
    api: Served, query: str, status: int, kind: str
) -> None:
    response = await api.get(f"/audit?{query}")
    assert (response.status_code, response.json()["type"]) == (status, f"/problems/{kind}")


async def test_a_cursor_is_of_one_filter(api: Served, stage: Stage) -> None:
    for _ in range(2):
        await stage.service.set_queue_paused("mail", paused=True)
    cursor = (await page(api, limit=1)).next_cursor
    response = await api.get("/audit", params={"limit": 1, "cursor": cursor, "target": "mail"})
    assert response.json()["type"] == "/problems/bad-cursor"


async def test_long_details_come_in_parts(
    api: Served, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(5):
        details = {"name": "x" * 20_000}
        async with stage.service.audit.record(AuditAction.TASKS_CANCEL, details=details):
            pass
    assert len((await page(api)).items) == 5
    monkeypatch.setattr("taskmill.storage.audit.PAGE_BYTES", 50_000)
    found = await page(api)
    assert len(found.items) == 3
    assert len((await page(api, cursor=found.next_cursor)).items) == 2


async def test_reading_it_is_not_recorded(api: Served) -> None:
    await page(api)
    assert (await page(api)).items == []


# Standard output is the command's alone.
@pytest.mark.usefixtures("log_lines")
async def test_the_command_lists_and_filters(api: Served, taskmill: Taskmill) -> None:
    await api.http.patch("/queues/mail", json={"paused": True})
    await api.http.delete("/queues/none")

    async def run(*options: str) -> str:
        status, out, err = await asyncio.to_thread(taskmill, "audit", "--url", api.url, *options)
        assert status == 0, err
        return out

    lines = (await run()).splitlines()
    assert lines[0].split() == ["AGO", "ACTION", "TARGET", "OUTCOME", "BY", "DETAILS"]
    assert "queue-not-found" in lines[1]
    assert lines[2].split()[-5:-1] == ["queue.pause", "mail", "done", "127.0.0.1"]
    found = orjson.loads(await run("--json", "--target", "mail"))
    assert (found["action"], found["target"]["id"]) == ("queue.pause", "mail")
    assert await run("--json", "--since", "2099-01-01T00:00Z") == ""
    assert (
        "nothing was asked for"
        in (await asyncio.to_thread(taskmill, "audit", "--url", api.url, "--actor", "nobody"))[2]
    )
