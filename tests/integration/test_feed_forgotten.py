"""Cursors of changes that are no longer kept: refused with advice, also in the middle of a stream."""

import pytest

from taskmill.domain.errors import ChangesForgotten
from taskmill.domain.feed import Cursor, FeedPage
from taskmill.storage import changes
from taskmill.storage.database import Database
from tests.support.api import Served, serving
from tests.support.builders import a_draft
from tests.support.feed import a_stream, all_numbered, taken, until
from tests.support.housekeeping import housekeeping
from tests.support.stage import Stage

pytestmark = pytest.mark.usefixtures("numbered")


async def test_a_position_that_a_failover_lost_counts_as_forgotten(stage: Stage) -> None:
    await stage.creation.create_all([a_draft()])
    await all_numbered(stage)
    with pytest.raises(ChangesForgotten):
        await changes.read(stage.database, Cursor(8, 1), 100)


async def test_a_cursor_before_what_is_retained_is_refused_with_advice(
    api: Served, stage: Stage
) -> None:
    for _ in range(5):
        await stage.created()
        await all_numbered(stage)
    await stage.sql.execute(
        "UPDATE taskmill.change_batch SET at = now() - interval '8 days' WHERE position < 4"
    )
    await housekeeping(stage)
    for options in (
        {"headers": {"Last-Event-ID": "2.1"}},
        {"params": {"after": "2.1"}},
        # The cursor of a reader from before the first change.
        {"params": {"after": "0.0"}},
    ):
        refused = await api.get("/events", **options)
        assert refused.status_code == 410, refused.text
        problem = refused.json()
        assert problem["type"] == "/problems/changes-forgotten"
        assert problem["retained_days"] == 7
        assert "7 days" in problem["detail"]
        assert "after=0" in problem["detail"]
    async with a_stream(api.http, last="3.1") as stream:
        assert [c["cursor"] for c in await taken(stream, 2)] == ["4.1", "5.1"]
    async with a_stream(api.http, "?after=0") as stream:
        assert [c["cursor"] for c in await taken(stream, 3)] == ["3.1", "4.1", "5.1"]


async def test_a_stream_ends_when_changes_are_pruned_while_it_catches_up(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.operations.feed._CATCH_UP_PAGE", 2)
    for _ in range(8):
        await stage.created()
        await all_numbered(stage)
    pages = 0
    read = changes.read

    async def forgetting(database: Database, after: Cursor, limit: int) -> FeedPage:
        nonlocal pages
        pages += 1
        if pages == 3:
            await stage.sql.execute("DELETE FROM taskmill.change_batch WHERE position < 7")
        return await read(database, after, limit)

    monkeypatch.setattr(changes, "read", forgetting)
    async with serving(stage.service) as api, a_stream(api.http, "?after=0") as stream:
        blocks = await until(stream, "the changes that follow are no longer kept")
        cursors = [block.id for block in blocks if block.event]
        refused = await api.get("/events", headers={"Last-Event-ID": str(cursors[-1])})
        assert refused.status_code == 410
