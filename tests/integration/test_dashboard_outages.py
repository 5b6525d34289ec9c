"""Pages and jobs while the database is away, and when it is back."""

import asyncio
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg

from taskmill.domain.lifecycle import Status
from tests.support.locks import until_blocked
from tests.support.pages import LISTS, PAGES, collect_events, finished, serving_pages, until_begun
from tests.support.polling import eventually
from tests.support.proxy import a_network
from tests.support.stage import Stage, a_stage

# They need nothing of the database, which only offers names.
FORMS = {"/ui/create", "/ui/new-schedule", "/ui/webhooks/new", "/ui/search"}
DOCTOR = "/ui/system/doctor"


async def test_an_outage_of_the_database_is_reported_and_so_is_its_end(stage: Stage) -> None:
    async with (
        a_network(stage.url) as (network, through),
        a_stage(through) as cut_off,
        serving_pages(cut_off) as pages,
    ):
        assert (await pages.get("/")).status_code == 200
        async with asyncio.TaskGroup() as group:
            events: list[str] = []
            group.create_task(
                collect_events(
                    pages, "/ui/live", events, lambda all_: all_[-2:] == ["away", "changed"]
                )
            )
            await until_begun(events)
            network.refuse(refuses=True)
            network.break_all()
            for path in ("/?window=5m", *LISTS, f"/ui/tasks/{uuid4()}"):
                response = await pages.get(path)
                assert response.status_code == 503
                assert "retry-after" in response.headers
                assert "does not answer" in response.text
                assert "data-outage" in response.text

            async def has_arrived() -> bool:
                return "away" in events

            await eventually(has_arrived, "the outage is reported")
            network.refuse(refuses=False)

        async def are_back() -> bool:
            return all([(await pages.get(path)).status_code == 200 for path in LISTS])

        await eventually(are_back, "the pages are back")


async def test_a_database_that_takes_no_connections_is_an_outage_on_every_page_but_forms(
    stage: Stage,
) -> None:
    name = urlsplit(stage.url).path[1:]
    elsewhere = await asyncpg.connect(stage.url.replace(f"/{name}", "/postgres"))
    async with serving_pages(stage) as pages:
        try:
            await elsewhere.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
            await elsewhere.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name
            )
            # The first requests use connections that have just ended, the others are refused new ones.
            for path in (*PAGES, f"/ui/tasks/{uuid4()}") * 2:
                expected = 200 if path in {*FORMS, DOCTOR} else 503
                assert (await pages.get(path)).status_code == expected, path
            assert "PostgreSQL is away" in (await pages.get(DOCTOR)).text
            assert (await pages.get("/tasks?status=new")).status_code == 503
        finally:
            await elsewhere.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")
            await elsewhere.close()

        async def is_back() -> bool:
            return (await pages.get("/ui/tasks")).status_code == 200

        await eventually(is_back, "the pages are back")


async def test_a_job_goes_on_when_the_database_is_back(stage: Stage) -> None:
    tasks = [await stage.created() for _ in range(3)]
    async with (
        a_network(stage.url) as (network, through),
        a_stage(through) as cut_off,
        serving_pages(cut_off) as pages,
    ):
        async with stage.sql.transaction():
            await stage.sql.execute("SELECT FROM taskmill.dispatch FOR UPDATE")
            started = await pages.post("/ui/sweeps", b"what=cancel&since=15m")
            await until_blocked(stage)
            network.refuse(refuses=True)
            network.break_all()
        job = started.headers["location"].rpartition("job=")[2]
        assert (await pages.get(f"/ui/jobs/{job}")).status_code == 503
        network.refuse(refuses=False)
        assert "3 tasks" in await finished(pages, started.headers["location"])
    assert {(await stage.task(task.id)).status for task in tasks} == {Status.CANCELLED}


async def test_a_job_that_can_not_be_stored_is_not_started(stage: Stage) -> None:
    task = await stage.created()
    async with (
        a_network(stage.url) as (network, through),
        a_stage(through) as cut_off,
        serving_pages(cut_off) as pages,
    ):
        network.refuse(refuses=True)
        network.break_all()
        response = await pages.post("/ui/sweeps", b"what=cancel&since=15m")
        assert response.status_code == 503
        assert "retry-after" in response.headers
        network.refuse(refuses=False)
    assert await stage.sql.fetchval("SELECT count(*) FROM taskmill.job") == 0
    assert (await stage.task(task.id)).status is Status.NEW
