"""Notices that somebody has acknowledged or silenced: who may, how long it holds, and since when all is well."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta

import orjson
import pytest

from taskmill.domain.attention import MOST_OF_A_KIND, Attention, MarkState, Notice
from taskmill.domain.errors import NoticeNotFound
from taskmill.operations.attention import AttentionReading
from taskmill.operations.broker import NO_BROKER
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.pages import pages
from tests.support.stage import Stage

__all__ = ["pages"]


@pytest.fixture
def reading(stage: Stage) -> AttentionReading:
    """What reads without a cache."""
    service = stage.service
    service.attention = AttentionReading(
        stage.database,
        NO_BROKER,
        service.figures,
        service.audit,
        max_age_s=0.0,
        slow_max_age_s=0.0,
    )
    return service.attention


async def a_paused_queue(stage: Stage, name: str = "mail") -> None:
    await stage.open_lease()
    await stage.created(queue=name)
    await stage.service.set_queue_paused(name, paused=True)


async def only(reading: AttentionReading) -> Notice:
    [found] = (await reading.read()).notices
    return found


async def pass_time(stage: Stage, span: timedelta) -> None:
    """Have everything that is recorded be so much older."""
    await stage.sql.execute(
        "UPDATE taskmill.notice SET first_at = first_at - $1::interval, last_at = last_at - $1::interval,"
        " marked_at = marked_at - $1::interval, marked_until = marked_until - $1::interval",
        span,
    )
    await stage.sql.execute(
        "UPDATE taskmill.attention SET recorded_since = recorded_since - $1::interval,"
        " recorded_at = recorded_at - $1::interval, active_at = active_at - $1::interval",
        span,
    )


async def test_an_acknowledged_notice_counts_no_more_until_it_has_ended(
    stage: Stage, reading: AttentionReading
) -> None:
    await a_paused_queue(stage)
    found = await only(reading)
    changed = await reading.mark(found.id, MarkState.ACKNOWLEDGED, note="known")
    assert changed.mark is not None
    assert (changed.mark.note, changed.mark.until) == ("known", None)
    await reading.record()
    await pass_time(stage, timedelta(minutes=4))
    await reading.record()
    assert (await only(reading)).mark is not None
    assert (await reading.read()).count == 0
    await stage.service.set_queue_paused("mail", paused=False)
    await reading.record()
    await pass_time(stage, timedelta(minutes=6))
    await stage.service.set_queue_paused("mail", paused=True)
    await reading.record()
    assert (await only(reading)).mark is None


async def test_marks_hold_on_more_notices_of_a_kind_than_are_shown(
    stage: Stage, reading: AttentionReading
) -> None:
    await stage.open_lease(ttl_s=9999)
    for number in range(MOST_OF_A_KIND + 2):
        await stage.created(queue=f"q{number}")
        await stage.service.set_queue_paused(f"q{number}", paused=True)
    while found := (await reading.read()).active:
        await reading.mark(found[0].id, MarkState.ACKNOWLEDGED)
    for _ in range(2):
        await reading.record()
        await pass_time(stage, timedelta(minutes=4))
    assert (await reading.read()).count == 0


async def test_a_silenced_notice_counts_again_after_an_hour_and_not_before(
    stage: Stage, reading: AttentionReading
) -> None:
    await a_paused_queue(stage)
    await reading.mark((await only(reading)).id, MarkState.SILENCED)
    for minutes, count in ((50, 0), (11, 1)):
        await pass_time(stage, timedelta(minutes=minutes))
        await reading.record()
        assert (await reading.read()).count == count


async def test_a_mark_can_be_removed(stage: Stage, reading: AttentionReading) -> None:
    await a_paused_queue(stage)
    found = await only(reading)
    await reading.mark(found.id, MarkState.SILENCED)
    assert (await reading.mark(found.id, None)).mark is None
    assert (await reading.read()).count == 1


async def test_since_when_all_is_well_is_known_while_it_is_recorded(
    stage: Stage, reading: AttentionReading
) -> None:
    async def well_for() -> int | None:
        found: Attention = await reading.read()
        return (
            None if found.well_since is None else round((found.at - found.well_since).seconds / 60)
        )

    await stage.open_lease(ttl_s=9999)
    assert await well_for() is None
    await reading.record()
    await pass_time(stage, timedelta(minutes=3))
    assert await well_for() == 3
    await stage.created(queue="mail")
    await stage.service.set_queue_paused("mail", paused=True)
    await reading.record()
    assert await well_for() is None
    await stage.service.set_queue_paused("mail", paused=False)
    await pass_time(stage, timedelta(minutes=2))
    await reading.record()
    assert await well_for() == 2
    await pass_time(stage, timedelta(minutes=6))
    assert await well_for() is None
    await reading.record()
    assert await well_for() == 0


async def test_what_has_ended_is_forgotten_after_a_day(
    stage: Stage, reading: AttentionReading
) -> None:
    await a_paused_queue(stage)
    await reading.record()
    await stage.service.set_queue_paused("mail", paused=False)
    await pass_time(stage, timedelta(hours=25))
    await reading.record()
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.notice") == 0


async def test_processes_with_the_same_name_and_trouble_do_not_keep_notices_from_being_recorded(
    stage: Stage, reading: AttentionReading
) -> None:
    await stage.open_lease()
    await stage.sql.execute(
        "INSERT INTO taskmill.process (id, name, roles, version, clock_ahead_s)"
        " SELECT gen_random_uuid(), 'set-by-hand', ARRAY['api'], '', 60 FROM generate_series(1, 2)"
    )
    await reading.record()
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.notice") > 0


async def test_a_slow_database_is_not_asked_again_for_each_page(stage: Stage) -> None:
    service = stage.service
    reading = AttentionReading(stage.database, NO_BROKER, service.figures, service.audit)
    async with stage.sql.transaction():
        await stage.sql.execute("LOCK TABLE taskmill.task_minute")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await reading.recent()
        async with asyncio.timeout(10):
            assert await reading.recent() is None
    assert (await reading.read()).count > 0
    assert await reading.recent() is not None


async def test_a_page_waits_for_no_reading_while_another_is_made_beside(stage: Stage) -> None:
    service = stage.service
    reading = AttentionReading(
        stage.database,
        NO_BROKER,
        service.figures,
        service.audit,
        max_age_s=0.01,
        slow_max_age_s=0.01,
    )
    latest = before = await reading.recent()
    await a_paused_queue(stage)
    stop = asyncio.Event()
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(reading.refresher.run(stop))
        async with stage.sql.transaction():
            await stage.sql.execute("LOCK TABLE taskmill.task_minute")
            for _ in range(20):
                assert await reading.recent() is before
                await asyncio.sleep(0.05)
        while latest is before:
            await asyncio.sleep(0.01)
            latest = await reading.recent()
        stop.set()
    assert latest is not None
    assert "paused" in {one.kind for one in latest.notices}


async def test_what_does_not_need_attention_has_no_mark(reading: AttentionReading) -> None:
    [notice] = (await reading.read()).notices
    with pytest.raises(NoticeNotFound):
        await reading.mark(type(notice.id)(int=7), MarkState.SILENCED)


@pytest.fixture
async def required(stage: Stage, reading: AttentionReading) -> AsyncIterator[Served]:
    """A server that requires keys."""
    assert reading is stage.service.attention
    async with serving(stage.service, REQUIRED) as served:
        yield served


async def change(served: Served, notice_id: object, key: dict[str, str], **body: object) -> int:
    response = await served.http.patch(
        f"/attention/{notice_id}", content=orjson.dumps(body), headers=key
    )
    return response.status_code


async def test_who_may_operate_a_queue_may_see_to_its_notices_and_to_no_others(
    required: Served, stage: Stage, reading: AttentionReading
) -> None:
    await stage.created(queue="mail")
    await stage.service.set_queue_paused("mail", paused=True)
    worker, paused = (await reading.read()).notices

    async def key_of(*grants: str) -> dict[str, str]:
        return shown(await a_new_key(stage.database, *grants))

    reader = await key_of("tasks:read")
    own = await key_of("tasks:read queue=mail", "tasks:operate queue=mail")
    other = await key_of("tasks:read queue=bills", "tasks:operate queue=bills")
    everything = await key_of("tasks:read", "tasks:operate")
    body = {"state": "acknowledged", "note": "known"}
    assert await change(required, paused.id, reader, **body) == 403
    assert await change(required, paused.id, other, **body) == 404
    assert await change(required, worker.id, own, **body) == 403
    assert await change(required, paused.id, own, **body) == 200
    assert await change(required, worker.id, everything, **body) == 200
    assert (await reading.read()).count == 0
    entries = await stage.sql.fetch(
        "SELECT action, target_id FROM taskmill.audit_entry ORDER BY id"
    )
    assert [tuple(one) for one in entries if one["action"].startswith("notice.")] == [
        ("notice.acknowledge", str(paused.id)),
        ("notice.acknowledge", str(worker.id)),
    ]


async def test_a_note_on_more_than_one_queue_is_not_for_who_sees_some_only(
    required: Served, stage: Stage, reading: AttentionReading
) -> None:
    await stage.created(queue="mail")
    await stage.service.set_queue_paused("mail", paused=True)
    for notice in (await reading.read()).notices:
        await reading.mark(notice.id, MarkState.ACKNOWLEDGED, note=f"see {notice.kind}")

    async def notes(grant: str) -> dict[str, object]:
        key = shown(await a_new_key(stage.database, grant))
        items = (await required.get("/attention", headers=key)).json()["items"]
        return {one["kind"]: one["mark"]["note"] for one in items}

    whole = {"no_workers": "see no_workers", "paused": "see paused"}
    assert await notes("tasks:read") == whole
    assert await notes("tasks:read queue=mail") == {**whole, "no_workers": None}


@pytest.mark.parametrize(
    "body",
    [
        {"state": "gone"},
        {"state": "open", "note": "x" * 501},
        {"state": "open", "note": 7},
        {"state": "open", "more": 1},
        {},
        [],
    ],
)
async def test_a_wrong_change_is_refused(api: Served, body: object) -> None:
    [found] = (await api.get("/attention")).json()["items"]
    response = await api.http.patch(f"/attention/{found['id']}", content=orjson.dumps(body))
    assert response.status_code == 422


async def test_a_note_and_who_wrote_it_are_on_the_overview(
    pages: Served, stage: Stage, reading: AttentionReading
) -> None:
    await a_paused_queue(stage)
    found = await only(reading)
    html = (await pages.get("/")).text
    assert "<title>(1) Overview" in html
    assert f'href="/ui/attention/{found.id}"' in html
    page = (await pages.get(f"/ui/attention/{found.id}")).text
    assert "Queue mail is paused, 1 task waits." in page
    response = await pages.http.post(
        f"/ui/attention/{found.id}",
        data={"state": "acknowledged", "note": "until <noon>"},
        headers={"origin": pages.url},
    )
    assert (response.status_code, response.headers["location"]) == (303, "/")
    html = (await pages.get("/")).text
    assert "<title>Overview" in html
    assert 'class="card attention well"' in html
    assert "acknowledged by" in html
    assert "until &lt;noon&gt;" in html
    gone = await pages.get("/ui/attention/01a2104c-91d0-7000-8b1e-50f0c6ad9e55")
    assert gone.status_code == 404


async def test_all_is_well_since_a_time(
    pages: Served, stage: Stage, reading: AttentionReading
) -> None:
    await stage.open_lease()
    await reading.record()
    html = (await pages.get("/")).text
    assert re.search(r"All well since <time datetime=\"[^\"]+\" data-since>", html)
