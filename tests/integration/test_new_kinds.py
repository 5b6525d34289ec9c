"""The notices of kinds of errors that are new or came back: what counts, and which page they lead to."""

from datetime import timedelta

from taskmill.domain.attention import Notice, NoticeKind
from taskmill.domain.error_kinds import kind_id
from taskmill.domain.failures import KindState
from taskmill.storage import attention, failures
from taskmill.wire.attention import page_of
from tests.integration.test_attention import a_worker, notices
from tests.support.api import Served
from tests.support.failing import fail
from tests.support.stage import Stage

LONGER_AGO = """
    UPDATE taskmill.failure_delta SET at = at - $1::interval WHERE error LIKE '%' || $2 || '%'
"""
RESOLVED_BEFORE = "UPDATE taskmill.failure_kind SET state_at = state_at - $1::interval"


async def test_a_kind_that_one_type_had_before_is_not_new_for_another_one(stage: Stage) -> None:
    await a_worker(stage)
    await fail(stage, "known", type="send")
    assert await stage.sql.execute(LONGER_AGO, timedelta(hours=3), "known") == "UPDATE 1"
    await fail(stage, "known", type="pay")
    await fail(stage, "unknown until now", type="pay")
    await failures.fold(stage.maintenance_database)
    [new] = [one for one in await notices(stage) if one.kind is NoticeKind.NEW_ERROR]
    assert new.facts == {"type": "pay", "error": "E: unknown until now", "n": 1}


async def test_it_leads_to_the_page_of_the_kind(pages: Served, stage: Stage) -> None:
    await a_worker(stage)
    await fail(stage, "unknown until now")
    await failures.fold(stage.maintenance_database)
    [new] = [one for one in await notices(stage) if one.kind is NoticeKind.NEW_ERROR]
    path = page_of(new)
    assert path is not None
    shown = await pages.get(path)
    assert shown.status_code == 200
    assert "unknown until now" in shown.text


async def came_back(stage: Stage) -> list[Notice]:
    await failures.fold(stage.maintenance_database)
    return [one for one in await notices(stage) if one.kind is NoticeKind.ERROR_CAME_BACK]


async def test_a_kind_that_came_back_is_reported_until_somebody_decides_again(stage: Stage) -> None:
    await a_worker(stage)
    await fail(stage, "broken")
    assert await came_back(stage) == []
    kind = kind_id("E: broken")
    await stage.service.failures.decide(kind, KindState.RESOLVED)
    assert await came_back(stage) == []
    await fail(stage, "broken")
    await fail(stage, "another one")
    [found] = await came_back(stage)
    assert (found.subject, found.facts["error"]) == ("E: broken", "E: broken")
    assert page_of(found) == f"/ui/failures/{kind}"
    for state in (KindState.RESOLVED, KindState.IGNORED, KindState.OPEN):
        await stage.service.failures.decide(kind, state)
        assert await came_back(stage) == []


async def test_a_kind_that_has_not_failed_for_a_day_is_no_longer_reported(stage: Stage) -> None:
    await a_worker(stage)
    await fail(stage, "broken")
    await failures.fold(stage.maintenance_database)
    await stage.service.failures.decide(kind_id("E: broken"), KindState.RESOLVED)
    await stage.sql.execute(RESOLVED_BEFORE, timedelta(days=3))
    [found] = await came_back(stage)
    span = found.facts["span"]
    assert isinstance(span, timedelta)
    assert span >= timedelta(days=3)
    await stage.sql.execute(
        "UPDATE taskmill.failure_kind SET last_at = now() - interval '25 hours'"
    )
    assert await came_back(stage) == []


async def test_what_is_resolved_is_no_longer_new(stage: Stage) -> None:
    await a_worker(stage)
    await fail(stage, "broken")
    await failures.fold(stage.maintenance_database)
    assert NoticeKind.NEW_ERROR in {one.kind for one in await notices(stage)}
    await stage.service.failures.decide(kind_id("E: broken"), KindState.RESOLVED)
    assert NoticeKind.NEW_ERROR not in {one.kind for one in await notices(stage)}


async def test_a_key_is_not_shown_what_came_back_in_other_queues(stage: Stage) -> None:
    await fail(stage, "broken", queue="mail")
    await failures.fold(stage.maintenance_database)
    await stage.service.failures.decide(kind_id("E: broken"), KindState.RESOLVED)
    await fail(stage, "broken", queue="secret")
    await failures.fold(stage.maintenance_database)
    for queues, found in ((None, 1), (["secret"], 1), (["mail"], 0), ([], 0)):
        assert len(await attention.returned_kinds(stage.database, queues)) == found, queues
