"""Claims over HTTP whose result nobody gets: they are handed back, and cost nothing."""

import asyncio

import asyncpg
import pytest

from taskmill.domain.errors import Unavailable
from taskmill.operations.pull import Pull
from taskmill.settings import LimitSettings, Settings
from taskmill.storage import remote_leases
from taskmill.storage.claims import Bucket
from tests.support.api import LogLines, serving
from tests.support.locks import until_blocked
from tests.support.polling import eventually
from tests.support.pulling import BODY, a_request, is_new_at_no_cost
from tests.support.stage import Stage
from tests.support.verifying import found_in


async def test_a_call_that_is_cancelled_during_its_claim_hands_it_back(
    stage: Stage, pull: Pull
) -> None:
    made = await stage.created(max_losses=0)
    await stage.sql.execute("BEGIN")
    await stage.sql.execute("LOCK TABLE taskmill.change_batch")
    call = asyncio.get_running_loop().create_task(pull.claim(a_request()))
    await until_blocked(stage)
    call.cancel()
    await asyncio.wait([call])
    await stage.sql.execute("COMMIT")

    async def was_claimed() -> bool:
        return await stage.event_types(made.id) == ["created", "claimed", "handed_back"]

    await eventually(was_claimed, "the task to be claimed in vain, and handed back")
    await is_new_at_no_cost(stage, made.id)
    assert await found_in(stage.database) == {}


async def test_a_lease_that_no_caller_took_is_handed_back(stage: Stage, pull: Pull) -> None:
    made = await stage.created()
    call = asyncio.get_running_loop().create_task(pull.claim(a_request()))
    future = None
    while future is None or not future.done():  # it is set in this iteration of the loop
        await asyncio.sleep(0)
        future = next((one.future for one in pull._claims._calls), None)
        if call.done():
            raise AssertionError("the moment has passed")
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()
    await is_new_at_no_cost(stage, made.id)


async def test_a_claim_too_late_for_its_request_is_handed_back(stage: Stage) -> None:
    limits = LimitSettings(request_timeout_s=0.3)
    async with serving(stage.service, Settings(limits=limits)) as api:
        made = await stage.created(max_losses=0)
        await stage.sql.execute("BEGIN")
        await stage.sql.execute("LOCK TABLE taskmill.change_batch")
        response = await api.post("/leases", {**BODY, "wait_s": 0})
        assert response.status_code == 503
        await stage.sql.execute("COMMIT")

        async def was_claimed() -> bool:
            return await stage.event_types(made.id) == ["created", "claimed", "handed_back"]

        await eventually(was_claimed, "the task to be claimed in vain, and handed back")
        await is_new_at_no_cost(stage, made.id)


async def test_a_claim_whose_result_was_lost_is_handed_back(stage: Stage, pull: Pull) -> None:
    made = await stage.created(max_losses=0)
    claim, lost = remote_leases.claim, []

    async def losing(*arguments: object) -> object:
        lost.append(await claim(*arguments))  # type: ignore[arg-type]
        raise Unavailable(1.0, "the database")

    remote_leases.claim = losing  # type: ignore[assignment]
    try:
        with pytest.raises(Unavailable):
            await pull.claim(a_request())
    finally:
        remote_leases.claim = claim
    assert lost[0] is not None
    await is_new_at_no_cost(stage, made.id)
    assert await found_in(stage.database) == {}


async def test_a_claim_that_commits_after_its_result_was_lost_is_handed_back(
    stage: Stage, pull: Pull, log_lines: LogLines
) -> None:
    made = await stage.created(max_losses=0)
    lease_id, wanted = stage.ids(), a_request()
    bucket = Bucket(queue="default", type="emulate", priority=made.priority)
    blocker = await asyncpg.connect(stage.url)
    await blocker.execute("BEGIN; LOCK TABLE taskmill.change_batch")
    claiming = asyncio.get_running_loop().create_task(
        remote_leases.claim(stage.database, lease_id, wanted, [bucket])
    )
    await until_blocked(stage)
    pull.return_lease(lease_id)

    async def was_searched() -> bool:
        return bool(log_lines.named("lease.left_open"))

    await eventually(was_searched, "a search while the claim was open")
    await blocker.close()
    assert await claiming is not None
    await is_new_at_no_cost(stage, made.id)
    assert await stage.event_types(made.id) == ["created", "claimed", "handed_back"]
    assert await found_in(stage.database) == {}


async def test_an_abandoned_claim_can_not_be_made_later(stage: Stage, pull: Pull) -> None:
    await stage.created()
    lease_id = stage.ids()
    pull.return_lease(lease_id)

    async def is_barred() -> bool:
        query = "SELECT close_reason FROM taskmill.lease WHERE id = $1"
        return bool(await stage.sql.fetchval(query, lease_id) == "lost")

    await eventually(is_barred, "the lease to be barred")
    bucket = Bucket(queue="default", type="emulate", priority=4)
    with pytest.raises(asyncpg.UniqueViolationError):
        await remote_leases.claim(stage.database, lease_id, a_request(), [bucket])
    assert await found_in(stage.database) == {}
