"""The statements on refused messages cost what they take, however many are stored."""

import pytest

from taskmill.domain import identity
from taskmill.domain.parts import PAGE_BYTES
from taskmill.storage.rejections import LAST_ID
from tests.support.plans import check, explaining
from tests.support.stage import Stage

SEED = """
    INSERT INTO taskmill.rejection (
        id, source, message_id, body, body_hash, headers, status, problem
    )
    SELECT
        (lpad(to_hex((extract(epoch FROM now()) * 1000)::bigint - 20000 + n), 12, '0')
            || '7000a000' || lpad(to_hex(n), 12, '0'))::uuid,
        'amqp', CASE WHEN n % 2 = 0 THEN 'id ' || n END, 'body', sha256('body'), '{}', 422, '{}'
    FROM generate_series(1, 20000) AS n
"""


@pytest.mark.parametrize("is_analysed", [False, True])
async def test_refused_messages_are_found_by_their_keys(stage: Stage, *, is_analysed: bool) -> None:
    await stage.sql.execute(SEED)
    if is_analysed:
        await stage.sql.execute("ANALYZE taskmill.rejection")
    async with explaining(stage.database) as session:
        rows, plan = await session.fetch("list_rejections", LAST_ID, 50, PAGE_BYTES)
        assert len(rows) == 50
        check(plan, rows=60, pages=10)
        middle = await stage.sql.fetchval("SELECT id FROM taskmill.rejection OFFSET 10000 LIMIT 1")
        rows, plan = await session.fetch("list_rejections", middle, 50, PAGE_BYTES)
        assert len(rows) == 50
        check(plan, rows=60, pages=10)
        _, plan = await session.fetch("get_rejection", middle)
        check(plan, rows=2, pages=6)
        _, plan = await session.fetch("mark_rejection_resent", middle, middle)
        check(plan, rows=4, pages=30)
        bound = identity.lower_bound(stage.clock.now())
        rows, plan = await session.fetch("prune_rejections", bound, 50)
        assert len(rows) == 50
        check(plan, rows=220, pages=400)
