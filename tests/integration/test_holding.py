"""`Prefer: wait` on reading a task: held while nothing changes, answered soon after something does."""

import asyncio

import httpx
import pytest

from taskmill.observability.catalogue import REGISTRY
from taskmill.settings import Settings
from taskmill.settings.groups import FeedSettings
from tests.support.api import SETTINGS, LogLines, Served, serving
from tests.support.polling import eventually
from tests.support.stage import Stage

pytestmark = pytest.mark.usefixtures("numbered")


def now() -> float:
    return asyncio.get_running_loop().time()


def prefers(seconds: int, tag: str = '"1.0"') -> dict[str, str]:
    return {"If-None-Match": tag, "Prefer": f"wait={seconds}"}


async def is_held(api: Served) -> None:
    """Wait until a request is held."""

    async def probe() -> bool:
        feed = api.app._context.feed
        return feed._watching > 0 and feed._started.is_set()

    await eventually(probe, "a request to be held")


async def test_a_response_comes_as_soon_as_the_task_has_another_version(
    api: Served, stage: Stage
) -> None:
    task, other = await stage.created(), await stage.created()
    async with asyncio.TaskGroup() as group:
        held = group.create_task(api.get(f"/tasks/{task.id}", headers=prefers(30)))
        await is_held(api)
        await stage.service.cancel(other.id)
        began = now()
        await stage.service.cancel(task.id)
    response = held.result()
    assert response.status_code == 200
    assert response.json()["status"] == "cancelled"
    assert response.headers["ETag"] == '"2.0"'
    assert response.headers["Preference-Applied"] == "wait"
    assert now() - began < 5


async def test_the_read_of_an_unchanged_task_is_held_for_the_requested_time(
    api: Served, stage: Stage
) -> None:
    task = await stage.created()
    began = now()
    response = await api.get(f"/tasks/{task.id}", headers=prefers(1))
    assert 1 <= now() - began < 10
    assert response.status_code == 304
    assert response.headers["Preference-Applied"] == "wait"
    assert response.headers["ETag"] == '"1.0"'
    assert response.content == b""


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Prefer": "wait=30"}, 200),
        ({"If-None-Match": '"1.0"'}, 304),
        (prefers(30, '"2.0"'), 200),
        (prefers(30, '"x"'), 200),
        (prefers(30, "*"), 304),
        (prefers(0), 304),
        ({"If-None-Match": '"1.0"', "Prefer": "wait=-1"}, 304),
        ({"If-None-Match": '"1.0"', "Prefer": "wait=soon"}, 304),
        ({"If-None-Match": '"1.0"', "Prefer": "respond-async"}, 304),
        ({"If-None-Match": "W/1.0", "Prefer": "wait=9"}, 200),
    ],
)
async def test_a_read_without_a_wish_to_wait_gets_its_response_at_once(
    api: Served, stage: Stage, headers: dict[str, str], status: int
) -> None:
    task = await stage.created()
    began = now()
    response = await api.get(f"/tasks/{task.id}", headers=headers)
    assert response.status_code == status
    assert "Preference-Applied" not in response.headers
    assert now() - began < 5


@pytest.mark.parametrize(
    "headers",
    [
        prefers(1, 'W/"1.0"'),
        prefers(1, '"7.0", "1.5"'),
        {"If-None-Match": '"1.0"', "Prefer": 'respond-async, Wait="1"; x=y'},
    ],
)
async def test_only_the_version_counts_and_the_header_may_say_more(
    api: Served, stage: Stage, headers: dict[str, str]
) -> None:
    task = await stage.created()
    response = await api.get(f"/tasks/{task.id}", headers=headers)
    assert response.headers["Preference-Applied"] == "wait"
    assert response.status_code == (304 if '"1.0"' in headers["If-None-Match"] else 200)


async def test_nobody_waits_longer_than_the_service_lets_them(stage: Stage) -> None:
    settings = SETTINGS.model_copy(update={"feed": FeedSettings(wait_s=0.3)})
    task = await stage.created()
    async with serving(stage.service, settings) as api:
        began = now()
        response = await api.get(f"/tasks/{task.id}", headers=prefers(3600))
        assert response.status_code == 304
        assert 0.3 <= now() - began < 5


async def test_a_held_response_outlives_the_deadline_of_requests(stage: Stage) -> None:
    limits = SETTINGS.limits.model_copy(update={"request_timeout_s": 1.0})
    task = await stage.created()
    async with serving(stage.service, SETTINGS.model_copy(update={"limits": limits})) as api:
        response = await api.get(f"/tasks/{task.id}", headers=prefers(2))
        assert response.status_code == 304


async def test_held_responses_are_sent_when_the_server_stops(stage: Stage) -> None:
    task = await stage.created()
    async with serving(stage.service) as api, asyncio.TaskGroup() as group:
        held = group.create_task(api.get(f"/tasks/{task.id}", headers=prefers(30)))
        await is_held(api)
        began = now()
        api.app.stop_being_ready()
        assert (await held).status_code == 304
        assert now() - began < 5
        again = await api.get(f"/tasks/{task.id}", headers=prefers(30))
        assert again.status_code == 304
        assert "Preference-Applied" not in again.headers


async def test_more_reads_than_may_be_held_get_their_responses_at_once(stage: Stage) -> None:
    settings = SETTINGS.model_copy(update={"feed": FeedSettings(streams=1)})
    task = await stage.created()
    async with serving(stage.service, settings) as api, asyncio.TaskGroup() as group:
        held = group.create_task(api.get(f"/tasks/{task.id}", headers=prefers(30)))
        await is_held(api)
        response = await api.get(f"/tasks/{task.id}", headers=prefers(30))
        assert response.status_code == 304
        assert "Preference-Applied" not in response.headers
        await stage.service.cancel(task.id)
        assert (await held).status_code == 200


async def test_who_leaves_is_not_waited_for_and_what_is_held_is_no_measure_of_speed(
    stage: Stage,
) -> None:
    def observed() -> float:
        labels = {"method": "GET", "route": "/tasks/{id}"}
        name = "taskmill_http_request_duration_seconds_count"
        return REGISTRY.get_sample_value(name, labels) or 0

    task = await stage.created()
    async with serving(stage.service, SETTINGS) as api:
        feed, before = api.app._context.feed, observed()
        for _ in range(3):
            with pytest.raises(httpx.ReadTimeout):
                await api.http.get(f"/tasks/{task.id}", headers=prefers(30), timeout=0.5)

        async def nobody_is_held() -> bool:
            return feed._watching == 0

        await eventually(nobody_is_held, "all to be let go")
        response = await api.get(f"/tasks/{task.id}", headers=prefers(1))
        assert response.status_code == 304
        assert observed() == before


async def test_a_hundred_held_responses_cost_one_reader(stage: Stage, log_lines: LogLines) -> None:
    tasks = [await stage.created() for _ in range(20)]
    limits = httpx.Limits(max_connections=200)
    async with (
        serving(stage.service, Settings()) as api,
        httpx.AsyncClient(base_url=api.url, limits=limits, timeout=30) as http,
    ):
        feed = api.app._context.feed

        async def all_held() -> bool:
            return feed._watching == 100

        async with asyncio.TaskGroup() as group:
            held = [
                group.create_task(http.get(f"/tasks/{tasks[n % 20].id}", headers=prefers(30)))
                for n in range(100)
            ]
            await eventually(all_held, "all to be held")
            for task in tasks:
                await stage.service.cancel(task.id)
        assert {one.result().json()["status"] for one in held} == {"cancelled"}

        async def none_left() -> bool:
            return feed._watching == 0 and not feed._watches and not feed._wanted.is_set()

        await eventually(none_left, "the reader to rest")
    assert not log_lines.named("request.late")
