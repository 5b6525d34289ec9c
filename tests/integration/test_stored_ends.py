"""The ends of one worker's claims in PostgreSQL, as its recorder stores and looks for them."""

from taskmill.domain.lifecycle import Succeeded
from taskmill.worker.ends import StoredEnds
from tests.support.builders import a_fence, an_end
from tests.support.stage import Stage


async def test_ends_are_stored_once_and_found_again_by_the_worker_that_stored_them(
    stage: Stage,
) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    ends, others = StoredEnds(stage.database, "first"), StoredEnds(stage.database, "second")
    end, fence = an_end(taken, lease, Succeeded(result="1")), a_fence(taken, lease)
    stored = await ends.end([end])
    assert stored.keys() == {taken.task.id}
    assert await ends.end([end]) == {}
    assert await ends.find_ended([fence]) == stored
    assert await others.find_ended([fence]) == {}
    *_, last = await stage.service.reading.events(taken.task.id)
    assert last.worker == "first"
