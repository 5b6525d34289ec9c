"""The notice of a new kind of error: what counts as new, and which page it leads to."""

from datetime import timedelta

from taskmill.domain.attention import NoticeKind
from taskmill.storage import failures
from taskmill.wire.attention import page_of
from tests.integration.test_attention import a_worker, notices
from tests.support.api import Served
from tests.support.failing import fail
from tests.support.stage import Stage

LONGER_AGO = """
    UPDATE taskmill.failure_delta SET at = at - $1::interval WHERE error LIKE '%' || $2 || '%'
"""


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
