"""What needs attention, for keys that may see some queues only."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from taskmill.storage import failures
from tests.integration.test_attention import (
    FAILED,
    ONE_FOR,
    SCHEDULE,
    a_worker,
    ended,
    lose,
)
from tests.support.api import Served, serving
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.refusals import refused_message, store_refused
from tests.support.stage import Stage


@pytest.fixture
async def required(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys."""
    async with serving(stage.service, REQUIRED) as served:
        yield served


async def trouble_in_two_queues(stage: Stage) -> None:
    """Have the same go wrong in the queues `mail` and `secret`, and some of the service itself."""
    for queue in ("mail", "secret"):
        await stage.created(queue=queue, type=f"{queue}-type")
        await ended(stage, queue, succeeded=10, failed=10)
        await stage.sql.execute(FAILED, timedelta(0), f"{queue}-error", queue)
        await stage.sql.execute(SCHEDULE, f"{queue}-late", timedelta(minutes=-2))
        await stage.sql.execute(
            "UPDATE taskmill.schedule SET queue = $1 WHERE name = $1 || '-late'", queue
        )
        await lose(stage, await a_worker(stage, f"{queue}-worker", queues=(queue,)), queue=queue)
    await a_worker(stage, types=("*",), queues=("mail", "secret"))
    await failures.fold(stage.maintenance_database)
    await store_refused(stage.url, [refused_message(b"{"), refused_message(b"[]")])
    await stage.sql.execute(ONE_FOR, "secret")
    await stage.sql.execute("UPDATE taskmill.change_batch SET at = at - interval '1 minute'")


async def test_a_key_sees_only_what_concerns_its_queues(required: Served, stage: Stage) -> None:
    await trouble_in_two_queues(stage)
    whole, own = [
        (await required.get("/attention", headers=shown(await a_new_key(stage.database, grant))))
        for grant in ("tasks:read", "tasks:read queue=mail*")
    ]
    kinds = {one["kind"] for one in whole.json()["items"]}
    assert {"feed_behind", "refused", "worker_lost", "schedule_late", "failing"} <= kinds
    assert "secret" not in own.text
    found = {one["kind"]: one for one in own.json()["items"]}
    assert found.keys() == {
        "worker_lost",
        "schedule_late",
        "failing",
        "losses_exhausted",
        "new_error",
    }
    assert {one["queue"] for one in found.values()} <= {"mail", None}
    assert (found["worker_lost"]["tasks"], found["new_error"]["facts"]["error"]) == (
        1,
        "mail-error",
    )


async def test_without_a_right_to_read_nothing_is_shown(required: Served, stage: Stage) -> None:
    key = shown(await a_new_key(stage.database, "tasks:create"))
    assert (await required.get("/attention", headers=key)).status_code == 403
    assert (await required.get("/attention")).status_code == 401
