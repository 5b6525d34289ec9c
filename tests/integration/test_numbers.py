"""A task is found by its number wherever an address names it, and nothing else is found instead."""

import random
from uuid import UUID

import pytest

from taskmill.storage import numbers
from tests.support.api import Served
from tests.support.builders import a_draft
from tests.support.stage import Stage


async def test_a_number_stands_for_the_id(api: Served) -> None:
    task = await api.create()
    by_number, by_id = f"/tasks/{task['number']}", f"/tasks/{task['id']}"
    for rest in ("", "/events", "/explain", "/logs", "/deliveries"):
        found, expected = await api.get(by_number + rest), await api.get(by_id + rest)
        assert found.status_code == 200
        if rest == "/explain":  # which has times
            assert found.json()["task_id"] == task["id"]
        else:
            assert found.json() == expected.json()
        assert found.headers.get("etag") == expected.headers.get("etag")
    held = await api.get(by_number, headers={"if-none-match": '"1.0"'})
    assert held.status_code == 304
    for action, status in (("cancel", "cancelled"), ("retry", "new")):
        response = await api.post(f"{by_number}/{action}")
        assert (response.status_code, response.json()["status"]) == (200, status)
        assert response.json()["id"] == task["id"]


@pytest.mark.parametrize("number", ["0", "2", "999", "9223372036854775807", "9" * 19, "9" * 900])
async def test_a_number_that_no_task_has_is_not_found(api: Served, number: str) -> None:
    await api.create()
    for response in (
        await api.get(f"/tasks/{number}"),
        await api.get(f"/tasks/{number}/events"),
        await api.post(f"/tasks/{number}/cancel"),
    ):
        assert (response.status_code, response.json()["type"]) == (404, "/problems/task-not-found")


@pytest.mark.parametrize("number", ["01", "+1", "-1", "1.0", "0x1", "1_0", "\u0661", "1e0", "1 "])
async def test_another_spelling_is_no_number(api: Served, number: str) -> None:
    await api.create()
    response = await api.get(f"/tasks/{number}")
    assert response.status_code == 422
    assert response.json()["errors"][0]["pointer"] == "path:id"


async def test_every_number_is_found_among_many_of_all_ages(stage: Stage) -> None:
    draw = random.Random(17)  # noqa: S311 - no secret
    for _ in range(20):
        await stage.creation.create_all([a_draft() for _ in range(100)])
    # Ids of the same moment, of weeks, and some that came up to a minute before their numbers.
    at_ms, ids = 0, {}
    rows = await stage.sql.fetch("SELECT id, number FROM taskmill.task ORDER BY number")
    first_ms = rows[0]["id"].int >> 80
    await stage.sql.execute("ALTER TABLE taskmill.task DISABLE TRIGGER USER")
    for row in rows:
        at_ms += draw.choice((0, 0, 0, 1, 20, 5_000, 3_600_000))
        late_ms = draw.choice((0,) * 8 + (500, 59_000))
        moment_ms = first_ms - 86_400_000 * 60 + at_ms - late_ms
        ids[row["number"]] = UUID(int=moment_ms << 80 | 7 << 76 | row["number"] << 4 | 1 << 63)
    await stage.sql.executemany(
        "UPDATE taskmill.task SET id = $2 WHERE number = $1", list(ids.items())
    )
    for number in draw.sample(sorted(ids), 200):
        assert await numbers.find_id(stage.database, number) == ids[number]
    await stage.sql.execute("DELETE FROM taskmill.task WHERE number = 1000")
    assert await numbers.find_id(stage.database, 1000) is None


async def test_there_is_none_where_there_are_no_tasks(stage: Stage) -> None:
    for number in (-1, 0, 1, 2**63 - 1, 2**63, 10**30):
        assert await numbers.find_id(stage.database, number) is None
