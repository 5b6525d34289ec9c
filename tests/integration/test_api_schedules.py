"""Previews of schedules over HTTP."""

from datetime import UTC, datetime, timedelta

from taskmill.client import AsyncTaskmillClient
from taskmill.wire.schedule_previews import SchedulePreviewView
from tests.support.api import Served

ADDRESS = "/schedules/preview"


async def test_a_preview_is_of_the_time_that_is_given(api: Served) -> None:
    body = {
        "cron": "30 2 * * *",
        "zone": "Europe/Berlin",
        "after": "2026-03-28T12:00:00Z",
        "count": 2,
    }
    response = await api.post(ADDRESS, body)
    assert response.status_code == 200, response.text
    found = SchedulePreviewView.model_validate_json(response.content)
    assert [tick.local for tick in found.ticks] == [
        "2026-03-29T03:00:00+02:00",
        "2026-03-30T02:30:00+02:00",
    ]
    assert [tick.note for tick in found.ticks] == ["after_gap", None]
    assert [change.kind for change in found.clock_changes] == ["gap"]


async def test_a_preview_is_of_now_by_default(api: Served) -> None:
    before = datetime.now(UTC)  # noqa: TID251 - compared with what the service takes for now
    found = (await api.post(ADDRESS, {"every": "PT1S"})).json()
    first = datetime.fromisoformat(found["ticks"][0]["tick"])
    assert timedelta(seconds=-1) < first - before < timedelta(seconds=30)
    assert len(found["ticks"]) == 20


async def test_a_refused_preview_names_all_that_is_wrong(api: Served) -> None:
    body = {"cron": "61 * * * *", "zone": "Europe/Moskow"}
    response = await api.post(ADDRESS, body)
    assert response.status_code == 422
    errors = response.json()["errors"]
    assert {error["pointer"] for error in errors} == {"/cron", "/zone"}
    [zone] = [error for error in errors if error["pointer"] == "/zone"]
    assert zone["got"] == 'the string "Europe/Moskow" (did you mean "Europe/Moscow"?)'


async def test_a_preview_takes_the_body_that_stores_the_schedule(api: Served) -> None:
    task = {"name": "refresh", "payload": {"text": "x" * 3000}}
    body = {"every": "PT15M", "task": task, "catch_up": "none"}
    stored = await api.http.put("/schedules/refresh", json=body)
    assert stored.status_code == 201, stored.text
    found = await api.post(ADDRESS, body)
    assert found.status_code == 200, found.text
    assert len(found.json()["ticks"]) == 20


async def test_a_preview_takes_no_query(api: Served) -> None:
    response = await api.post(f"{ADDRESS}?count=3", {"cron": "@daily"})
    assert response.status_code == 422


async def test_the_client_previews_a_schedule(api: Served) -> None:
    async with AsyncTaskmillClient(api.url) as client:
        found = await client.preview_schedule(
            at=[datetime(2030, 1, 1, tzinfo=UTC), "2031-01-01T00:00:00+03:00"],
            after=datetime(2030, 6, 1, tzinfo=UTC),
        )
    assert [tick.local for tick in found.ticks] == ["2030-12-31T21:00:00+00:00"]
