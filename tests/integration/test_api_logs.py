"""What handlers logged, over HTTP: pages, filters, following, and requests that do not fit."""

from uuid import UUID

import pytest

from taskmill.api import cursors
from taskmill.api.routers.logs import _digest
from taskmill.domain.lifecycle import Interrupted, Succeeded
from taskmill.domain.task_log import LineFilter
from taskmill.storage import task_log
from taskmill.storage.claims import TakenTask
from taskmill.wire.task_log import LogPage
from tests.support.api import Served
from tests.support.log_lines import a_line
from tests.support.stage import Stage

NOWHERE = "01970000-0000-7000-8000-000000000000"


async def store_lines(stage: Stage, taken: TakenTask, *numbers: int) -> None:
    """Store lines; odd ones are warnings."""
    made = [a_line(taken, stage, seq, level=30 if seq % 2 else 20) for seq in numbers]
    await task_log.store(stage.database, made)


async def page(api: Served, task_id: UUID, **parameters: object) -> LogPage:
    given = {name: str(value) for name, value in parameters.items()}
    response = await api.get(f"/tasks/{task_id}/logs", params=given)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/json"
    return LogPage.model_validate_json(response.content)


async def test_a_line_is_shown_with_all_that_is_known(api: Served, stage: Stage) -> None:
    taken = await stage.running(await stage.open_lease())
    line = a_line(taken, stage, level=40, logger="billing", fields='{"a": [1, "\\u0000"]}')
    await task_log.store(stage.database, [line])
    response = await api.get(f"/tasks/{taken.task.id}/logs")
    [item] = response.json()["items"]
    assert list(item) == ["claim_no", "seq", "at", "level", "logger", "message", "fields"]
    [view] = LogPage.model_validate_json(response.content).items
    assert (view.claim_no, view.seq, view.level, view.logger) == (1, 1, "error", "billing")
    assert (view.at, view.message, view.fields) == (line.at, "line 1", {"a": [1, "\x00"]})


async def test_pages_follow_each_other_and_the_last_cursor_waits_for_more(
    api: Served, stage: Stage
) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    empty = await page(api, taken.task.id)
    assert empty.items == []
    await store_lines(stage, taken, 1, 2, 3)
    first = await page(api, taken.task.id, cursor=empty.next_cursor, limit=2)
    second = await page(api, taken.task.id, cursor=first.next_cursor, limit=2)
    nothing = await page(api, taken.task.id, cursor=second.next_cursor, limit=2)
    assert [[item.seq for item in one.items] for one in (first, second, nothing)] == [
        [1, 2],
        [3],
        [],
    ]
    assert nothing.next_cursor == second.next_cursor
    await store_lines(stage, taken, 4)
    await stage.end(taken, lease, Interrupted())
    [again] = await stage.take(lease)
    await store_lines(stage, again, 1)
    await stage.end(again, lease, Succeeded())
    later = await page(api, taken.task.id, cursor=nothing.next_cursor)
    assert [(item.claim_no, item.seq) for item in later.items] == [(1, 4), (2, 1)]


async def test_filters_choose_a_claim_and_a_level(api: Served, stage: Stage) -> None:
    lease = await stage.open_lease()
    taken = await stage.running(lease)
    await store_lines(stage, taken, 1, 2, 3)
    await stage.end(taken, lease, Interrupted())
    [again] = await stage.take(lease)
    await store_lines(stage, again, 1, 2)
    seen = {}
    queries: dict[str, dict[str, object]] = {
        "all": {},
        "claim": {"claim": 2},
        "level": {"level": "warning"},
        "both": {"claim": 1, "level": "warning", "limit": 1},
        "none": {"level": "critical"},
        "unknown claim": {"claim": 999_999_999},
    }
    for name, parameters in queries.items():
        found = await page(api, taken.task.id, **parameters)
        seen[name] = [(item.claim_no, item.seq) for item in found.items]
    assert seen == {
        "all": [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2)],
        "claim": [(2, 1), (2, 2)],
        "level": [(1, 1), (1, 3), (2, 1)],
        "both": [(1, 1)],
        "none": [],
        "unknown claim": [],
    }


@pytest.mark.parametrize(
    ("query", "status", "kind"),
    [
        ("limit=0", 422, "invalid-input"),
        ("limit=1001", 422, "invalid-input"),
        ("limit=1e3", 422, "invalid-input"),
        ("limit=%D9%A1", 422, "invalid-input"),
        ("claim=0", 422, "invalid-input"),
        ("claim=-1", 422, "invalid-input"),
        ("claim=9999999999", 422, "invalid-input"),
        ("claim=1&claim=2", 422, "invalid-input"),
        ("level=INFO", 422, "invalid-input"),
        ("level=", 422, "invalid-input"),
        ("levle=info", 422, "invalid-input"),
        ("cursor=%00", 422, "invalid-input"),
        ("cursor=", 400, "bad-cursor"),
        ("cursor=rubbish", 400, "bad-cursor"),
        ("cursor=%FF", 400, "bad-request"),
    ],
)
async def test_requests_that_do_not_fit_are_refused(
    api: Served, stage: Stage, query: str, status: int, kind: str
) -> None:
    task = await stage.created()
    response = await api.get(f"/tasks/{task.id}/logs?{query}")
    assert (response.status_code, response.json()["type"]) == (status, f"/problems/{kind}")


@pytest.mark.parametrize(
    ("task_id", "status"), [(NOWHERE, 404), ("1", 404), ("-1", 422), ("%00", 422)]
)
async def test_an_unknown_task_has_no_logs(api: Served, task_id: str, status: int) -> None:
    response = await api.get(f"/tasks/{task_id}/logs")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


async def test_a_cursor_leads_on_in_its_own_listing_only(api: Served, stage: Stage) -> None:
    lease = await stage.open_lease()
    taken, other = [await stage.running(lease) for _ in range(2)]
    await store_lines(stage, taken, 1, 2)
    cursor = (await page(api, taken.task.id, limit=1)).next_cursor
    for path in (
        f"/tasks/{taken.task.id}/logs?level=info&cursor={cursor}",
        f"/tasks/{taken.task.id}/logs?claim=1&cursor={cursor}",
        f"/tasks/{other.task.id}/logs?cursor={cursor}",
        f"/tasks?cursor={cursor}",
    ):
        response = await api.get(path)
        assert (response.status_code, response.json()["type"]) == (400, "/problems/bad-cursor")


@pytest.mark.parametrize("position", [1 << 127, (1 << 31) << 64, 1 << 31, (1 << 128) - 1])
async def test_a_forged_cursor_is_refused(api: Served, stage: Stage, position: int) -> None:
    task = await stage.created()
    forged = cursors.encode(UUID(int=position), _digest(task.id, LineFilter()))
    response = await api.get(f"/tasks/{task.id}/logs", params={"cursor": forged})
    assert (response.status_code, response.json()["type"]) == (400, "/problems/bad-cursor")
