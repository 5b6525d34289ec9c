"""The oldest change of each status and queue after a cursor."""

from uuid import UUID

import pytest

from taskmill.domain.errors import ChangesForgotten
from taskmill.domain.feed import START, Cursor
from taskmill.domain.lifecycle import Succeeded
from taskmill.storage import changes
from taskmill.storage.changes import KeyHeads
from tests.support.builders import a_draft
from tests.support.feed import all_numbered
from tests.support.stage import Stage

pytestmark = pytest.mark.usefixtures("numbered")


async def read(stage: Stage, after: Cursor = START, limit: int = 1000) -> KeyHeads:
    await all_numbered(stage)
    return await changes.find_oldest_by_key(stage.database, after, limit)


def found(seen: KeyHeads) -> list[tuple[str, str, UUID, int]]:
    return [(h.status, h.queue, h.pair.task_id, h.pair.version) for h in seen.heads]


async def test_the_oldest_of_each_is_found_and_everything_is_read(stage: Stage) -> None:
    made = await stage.creation.create_all([a_draft(queue=queue) for queue in "abba"])
    one, two, three, _ = (one.task.id for one in made)
    await stage.service.cancel(three)
    await stage.service.cancel(two)
    seen = await read(stage)
    assert found(seen) == [("new", "a", one, 1), ("new", "b", two, 1), ("cancelled", "b", three, 2)]
    latest = (await changes.bounds(stage.database)).latest
    assert (seen.cursor, seen.is_last) == (latest, True)
    assert [head.pair.position for head in seen.heads] == [1, 1, 2]
    assert found(await read(stage, Cursor(1, 2))) == [
        ("new", "b", three, 1),
        ("new", "a", made[3].task.id, 1),
        ("cancelled", "b", three, 2),
    ]
    nothing = await read(stage, seen.cursor)
    assert nothing == KeyHeads([], seen.cursor, is_last=True)


@pytest.mark.parametrize("has_ended", [False, True])
async def test_a_claim_is_the_oldest_change_to_in_progress(
    stage: Stage, *, has_ended: bool
) -> None:
    """It has no row of its own in the history."""
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    task_id = taken.task.id
    if has_ended:
        await stage.end(taken, lease, Succeeded())
    ends = [("succeeded", "default", task_id, 3)] * has_ended
    expected = [("new", "default", task_id, 1), ("in_progress", "default", task_id, 2), *ends]
    assert found(await read(stage)) == expected


async def test_a_read_ends_within_a_batch_and_continues_there(stage: Stage) -> None:
    made = await stage.creation.create_all([a_draft(queue=queue) for queue in "aaabc"])
    seen = await read(stage, limit=3)
    assert (found(seen), seen.cursor) == ([("new", "a", made[0].task.id, 1)], Cursor(1, 3))
    assert not seen.is_last
    seen = await read(stage, seen.cursor, limit=3)
    assert [head.queue for head in seen.heads] == ["b", "c"]
    assert (seen.cursor, seen.is_last) == (Cursor(1, 5), True)


async def test_an_empty_feed_has_no_oldest_change(stage: Stage) -> None:
    assert await read(stage) == KeyHeads([], START, is_last=True)


async def test_changes_of_dropped_tasks_have_no_key_and_are_skipped(stage: Stage) -> None:
    task = await stage.created()
    await all_numbered(stage)
    await stage.sql.execute("DELETE FROM taskmill.task WHERE id = $1", task.id)
    assert await read(stage) == KeyHeads([], Cursor(1, 1), is_last=True)


async def test_a_cursor_before_what_is_retained_is_an_error(stage: Stage) -> None:
    for _ in range(3):
        await stage.created()
        await all_numbered(stage)
    await stage.sql.execute("DELETE FROM taskmill.change_batch WHERE position <= 2")
    assert len((await read(stage, Cursor(3, 0))).heads) == 1
    for cursor in (START, Cursor(1, 1), Cursor(2, 1), Cursor(9, 1)):
        with pytest.raises(ChangesForgotten):
            await read(stage, cursor)
