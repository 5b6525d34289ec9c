"""The pages of schedules over HTTP: what they show of ticks, and the actions on a schedule."""

import re
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from taskmill.domain.fires import FireOutcome
from tests.support.api import Served
from tests.support.pages import HTMX, fields_of
from tests.support.polling import eventually
from tests.support.scheduling import Scheduler
from tests.support.sql_schedules import do_requests, put_schedule
from tests.support.stage import Stage

BERLIN = {"cron": "30 2 * * *", "zone": "Europe/Berlin"}


@pytest.fixture
def scheduler(stage: Stage) -> Scheduler:
    return Scheduler(stage)


async def send(pages: Served, path: str, **values: str) -> httpx.Response:
    return await pages.post(path, urlencode(values).encode())


async def shown(pages: Served, path: str, **options: Any) -> str:  # noqa: ANN401 - httpx's own
    """Open a page and return its text, without the marks of direction."""
    response = await pages.get(path, **options)
    assert response.status_code == 200, response.text
    return re.sub("[\u2066-\u2069]|</?bdi>", "", unescape(response.text))


async def record(stage: Stage, name: str, outcome: FireOutcome, *backs: float) -> None:
    """Record fires of a schedule, so many minutes ago, of tasks that are no longer stored."""
    await stage.sql.execute(
        "INSERT INTO taskmill.schedule_fire (schedule_id, tick, cause, outcome, task_id)"
        " SELECT id, now() - make_interval(secs => back * 60), 'tick', $3,"
        " CASE WHEN $3 = 'created' THEN gen_random_uuid() END"
        " FROM taskmill.schedule CROSS JOIN unnest($2::double precision[]) AS back WHERE name = $1",
        name,
        backs,
        outcome,
    )


async def long_ago(stage: Stage) -> None:
    """Have all schedules be a year old."""
    await stage.sql.execute(
        "UPDATE taskmill.schedule SET updated_at = updated_at - interval '1 year',"
        " created_at = created_at - interval '1 year'"
    )


async def test_the_list_says_when_each_fires_next_and_what_its_last_tick_made(
    pages: Served, scheduler: Scheduler
) -> None:
    assert "No schedules here" in await shown(pages, "/ui/schedules")
    await scheduler.put("nightly", **BERLIN)
    await scheduler.due("once")
    await scheduler.fire()
    [task] = await scheduler.tasks("once")
    html = await shown(pages, "/ui/schedules")
    assert "at 02:30 every day</span>, Europe/Berlin" in html
    assert re.search(r'<span class="local num"[^>]*>(today|tomorrow) at 02:30</span>', html)
    assert f'href="/ui/tasks/{task["id"]}"><span class="status new">' in html
    assert "Ended" in html
    assert "каждый день в 02:30" in await shown(
        pages, "/ui/schedules", headers={"accept-language": "ru"}
    )
    assert "<html" not in await shown(pages, "/ui/schedules", headers=HTMX)


async def test_the_list_goes_page_by_page_and_finds_a_name(
    pages: Served, scheduler: Scheduler
) -> None:
    for number in range(53):
        await scheduler.put(f"s{number}")
    first = await shown(pages, "/ui/schedules")
    [older] = re.findall(r'rel="next" href="([^"]+)"', first)
    second = await shown(pages, older)
    assert (first.count('<tr id="s'), second.count('<tr id="s')) == (50, 3)
    assert "From the first" in second
    assert (await shown(pages, "/ui/schedules?name=S52")).count('<tr id="s') == 1
    for name in ("s5x", "no such", "%25"):
        assert "exactly this name" in await shown(pages, f"/ui/schedules?name={name}")
    for query in ("after=x", "after=-1", f"after={'9' * 19}", f"name={'x' * 201}", "name=%00"):
        assert (await pages.get(f"/ui/schedules?{query}")).status_code in {400, 422}, query


async def test_a_page_shows_the_next_ticks_in_the_schedules_zone(
    pages: Served, scheduler: Scheduler
) -> None:
    await scheduler.put("nightly", **BERLIN, overlap="skip", task={"name": "a", "queue": "mail"})
    html = await shown(pages, "/ui/schedules/nightly")
    assert re.search(r"(today|tomorrow) at 02:30 <span class=\"muted\">\+0[12]:00</span>", html)
    assert len(re.findall(r"\d at 02:30", html)) >= 3
    assert "<code>30 2 * * *</code>" in html
    assert 'href="/ui/tasks?queue=mail"' in html
    assert html.count('<li><a href="/ui/schedules/nightly?day=') == 30
    assert "Nothing is recorded here" in html
    assert (await pages.get("/ui/schedules/none")).status_code == 404
    assert (await pages.get("/ui/schedules/No%20such")).status_code == 404
    assert (await pages.get("/ui/schedules/%00")).status_code == 404


async def test_ticks_that_made_no_task_are_shown_with_their_reason(
    pages: Served, stage: Stage, scheduler: Scheduler
) -> None:
    await scheduler.put("often", every="PT1M", overlap="skip", catch_up="none")
    await scheduler.age(timedelta(minutes=30))
    await scheduler.fire()
    html = await shown(pages, "/ui/schedules/often")
    assert "Skipped: missed" in html
    assert re.search(r"(29|30) ticks in a row, to <span", html)
    assert re.search(r'aria-label="\w+ [\d-]+: (1 task, )?(29|30) ticks skipped"', html)
    await record(stage, "often", FireOutcome.SKIPPED_OVERLAP, 100)
    assert "Skipped: the task before runs" in await shown(pages, "/ui/schedules/often")


async def test_a_schedule_slower_than_asked_is_red(
    pages: Served, stage: Stage, scheduler: Scheduler
) -> None:
    await scheduler.put("slow", every="PT1M")
    await long_ago(stage)
    await record(stage, "slow", FireOutcome.SKIPPED_OVERLAP, 1, 2, 4, 5, 7, 8)
    await record(stage, "slow", FireOutcome.CREATED, 3, 6, 9)
    row = await shown(pages, "/ui/schedules")
    assert 'class="in-trouble"' in row
    assert re.search(r'<span class="wrong">every 3\xa0min</span>', row)
    assert "instead of every 1\xa0min" in row
    html = await shown(pages, "/ui/schedules/slow")
    assert '<section class="card trouble" aria-labelledby="troubles">' in html
    assert '<dd class="wrong">3 of 9</dd>' in html
    await scheduler.schedules.pause("slow")
    assert "in-trouble" not in await shown(pages, "/ui/schedules")


async def test_a_refused_template_is_red_and_says_what_is_wrong_with_it(
    pages: Served, stage: Stage, scheduler: Scheduler
) -> None:
    await scheduler.due("broken")
    await long_ago(stage)
    await stage.sql.execute(
        """UPDATE taskmill.schedule SET task = '{"name": "x", "priority": 99}' WHERE name = 'broken'"""
    )
    await scheduler.fire()
    html = await shown(pages, "/ui/schedules/broken")
    assert "card trouble" in html
    assert "/task/priority expected" in html
    assert "1 refused" in html
    assert 'class="status failed"><i aria-hidden="true"></i>Refused' in await shown(
        pages, "/ui/schedules"
    )


async def test_a_schedule_that_nothing_fires_is_red(
    pages: Served, stage: Stage, scheduler: Scheduler
) -> None:
    await scheduler.put("late")
    await stage.sql.execute(
        "UPDATE taskmill.schedule_cursor SET next_at = now() - interval '2 minutes'"
    )
    assert "is maintenance running?" in await shown(pages, "/ui/schedules/late")
    overview = await shown(pages, "/")
    assert re.search(r'<a class="button small" href="/ui/schedules/late">', overview)
    assert re.search(r'id="count-schedules">1<', overview)


async def test_a_schedule_of_a_later_release_has_a_page_but_no_form(
    pages: Served, stage: Stage, scheduler: Scheduler
) -> None:
    await scheduler.put("future")
    await stage.sql.execute("""UPDATE taskmill.schedule SET spec = '{"moon": "full"}'""")
    assert "Of a later release" not in await shown(pages, "/ui/schedules"), "nothing is due yet"
    await stage.sql.execute("UPDATE taskmill.schedule_cursor SET next_at = now() - interval '2 m'")
    assert "Of a later release" in await shown(pages, "/ui/schedules")
    html = await shown(pages, "/ui/schedules/future")
    assert "/edit" not in html
    assert "/delete" in html
    for path in ("edit", "backfill"):
        assert (await pages.get(f"/ui/schedules/future/{path}")).status_code == 422
        sent = await send(pages, f"/ui/schedules/future/{path}", schedule="future", cron="@daily")
        assert sent.status_code in {422, 303}


async def test_failed_tasks_are_counted_by_day(
    pages: Served, stage: Stage, scheduler: Scheduler
) -> None:
    await scheduler.due("once")
    await scheduler.fire()
    await stage.sql.execute("SET session_replication_role = replica")
    await stage.sql.execute("UPDATE taskmill.task SET final_status = 'failed', finished_at = now()")
    html = await shown(pages, "/ui/schedules/once")
    assert ": 1 task, 1 failed" in html
    [day] = re.findall(r'href="/ui/schedules/once\?day=([\d-]+)" title="[^"]*1 failed', html)
    of_day = await shown(pages, f"/ui/schedules/once?day={day}")
    assert of_day.count('<tr id="f') == 1
    assert 'aria-current="true"' in of_day
    [first] = re.findall(r'href="/ui/schedules/once\?day=([\d-]+)" title="', html)[:1]
    assert '<tr id="f' not in await shown(pages, f"/ui/schedules/once?day={first}")


async def test_what_became_of_ticks_goes_page_by_page(
    pages: Served, stage: Stage, scheduler: Scheduler
) -> None:
    await scheduler.put("often")
    await record(stage, "often", FireOutcome.REFUSED, *range(1, 54))
    first = await shown(pages, "/ui/schedules/often")
    [older] = re.findall(r'rel="next" href="([^"]+)"', first)
    second = await shown(pages, older)
    assert (first.count('<tr id="f'), second.count('<tr id="f')) == (50, 3)
    for query in (
        "made=x",
        "before=x",
        "before=2026-11-30",
        "day=x",
        "day=2020-01-01",
        "day=2026-11-31",
    ):
        response = await pages.get(f"/ui/schedules/often?{query}")
        assert response.status_code == 422, query


async def test_ticks_without_a_task_are_found_among_others(
    pages: Served, stage: Stage, scheduler: Scheduler
) -> None:
    await scheduler.put("often")
    await record(stage, "often", FireOutcome.CREATED, *range(1, 20))
    await record(stage, "often", FireOutcome.SKIPPED_OVERLAP, 21)
    html = await shown(pages, "/ui/schedules/often?made=none")
    assert html.count('<tr id="f') == 1
    [day] = re.findall(
        r'href="/ui/schedules/often\?(day=[\d-]+&made=none)" title="[^"]*skipped', html
    )
    assert (await shown(pages, f"/ui/schedules/often?{day}")).count('<tr id="f') == 1
    await record(stage, "often", FireOutcome.CREATED, *(n / 60 for n in range(1, 1002)))
    first = await shown(pages, "/ui/schedules/often?made=none")
    assert "None among those searched so far" in first
    [older] = re.findall(r'rel="next" href="([^"]+)"', first)
    assert (await shown(pages, older)).count('<tr id="f') == 1


async def test_a_schedule_is_paused_and_goes_on(pages: Served, scheduler: Scheduler) -> None:
    await scheduler.put("often")
    paused = await send(pages, "/ui/schedules/often/pause")
    assert (paused.status_code, paused.headers["location"]) == (303, "/ui/schedules/often")
    assert (await scheduler.get("often")).paused_at is not None
    html = await shown(pages, "/ui/schedules/often")
    assert "If it went on now" in html
    assert 'action="/ui/schedules/often/resume"' in html
    assert (await send(pages, "/ui/schedules/often/resume", catch_up="x")).status_code == 422
    await scheduler.age(timedelta(minutes=3), "often")
    resumed = await send(pages, "/ui/schedules/often/resume", catch_up="all")
    assert resumed.status_code == 303
    assert (await scheduler.get("often")).paused_at is None
    assert len(await scheduler.tasks("often")) >= 2
    for path in ("pause", "resume", "run", "delete"):
        assert (await send(pages, f"/ui/schedules/none/{path}")).status_code == 404
        assert (await send(pages, f"/ui/schedules/%00/{path}")).status_code == 404


async def test_a_form_that_is_sent_twice_runs_a_schedule_once(
    pages: Served, scheduler: Scheduler
) -> None:
    await scheduler.put("often")
    token = fields_of((await pages.get("/ui/schedules/often")).text)["token"]
    answers = {
        (await send(pages, "/ui/schedules/often/run", token=token)).headers["location"]
        for _ in range(2)
    }
    [task] = await scheduler.tasks("often")
    assert answers == {f"/ui/tasks/{task['id']}"}
    html = await shown(pages, f"/ui/tasks/{task['id']}")
    assert '<a href="/ui/schedules/often">often</a>' in html
    assert "by hand" in html


async def test_a_schedule_is_deleted_after_a_page_that_asks(
    pages: Served, scheduler: Scheduler
) -> None:
    await scheduler.due("once")
    await scheduler.fire()
    assert 'href="/ui/schedules/once/delete"' in await shown(pages, "/ui/schedules/once")
    assert "Its tasks stay" in await shown(pages, "/ui/schedules/once/delete")
    assert (await scheduler.get("once")).name == "once"
    deleted = await send(pages, "/ui/schedules/once/delete")
    assert (deleted.status_code, deleted.headers["location"]) == (303, "/ui/schedules")
    assert "No schedules here" in await shown(pages, "/ui/schedules")
    [task] = await scheduler.tasks("once")
    html = await shown(pages, f"/ui/tasks/{task['id']}")
    assert 'href="/ui/schedules/once"' not in html
    assert "once, tick" in html


async def test_a_backfill_is_shown_before_it_is_made(pages: Served, scheduler: Scheduler) -> None:
    await scheduler.put("nightly", **BERLIN, most=2)
    path = "/ui/schedules/nightly/backfill"
    assert 'type="datetime-local"' in await shown(pages, path)
    span = {"from": "2026-01-01T00:00", "to": "2026-01-03T23:00:00"}
    looked = unescape((await send(pages, path, **span)).text)
    assert "2 ticks without a task" in looked
    assert "There are more" in looked
    assert await scheduler.tasks("nightly") == []
    made = unescape((await send(pages, path, **span, priority="3", do="make")).text)
    assert "2 tasks were created" in made
    assert {task["priority"] for task in await scheduler.tasks("nightly")} == {3}
    rest = fields_of(made)
    assert rest["from"].startswith("2026-01-03T01:30")
    again = unescape((await send(pages, path, **rest, do="make")).text)
    assert "1 task was created" in again
    assert "No tick there is without a task" in unescape((await send(pages, path, **span)).text)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"from": "x", "to": "2026-01-03T23:00"}, "from"),
        ({"from": "2026-01-03T23:00", "to": "2026-01-01T23:00"}, "to"),
        ({"from": "2026-01-01T23:00", "to": ""}, "to"),
        ({"from": "2026-01-01T23:00", "to": "2026-01-03T23:00", "priority": "99"}, "priority"),
        ({"from": "2026-01-01T23:00", "to": "2026-01-03T23:00", "priority": "x"}, "priority"),
    ],
)
async def test_a_backfill_that_does_not_fit_is_refused_at_its_field(
    pages: Served, scheduler: Scheduler, values: dict[str, str], field: str
) -> None:
    await scheduler.put("nightly", **BERLIN)
    refused = await send(pages, "/ui/schedules/nightly/backfill", **values)
    assert refused.status_code == 422
    assert f'<a href="#f-{field}">' in refused.text
    assert f'id="bad-{field}"' in refused.text


async def test_what_sql_has_asked_for_is_shown_until_it_is_done(
    pages: Served, stage: Stage, scheduler: Scheduler
) -> None:
    await scheduler.put("there")
    await put_schedule(stage.sql, "there", every="1 hour")
    await put_schedule(stage.sql, "asked", cron="30 2 * * *")
    listed = await shown(pages, "/ui/schedules")
    assert "Asked for" in listed
    assert "/ui/schedules/asked/run" not in listed
    html = await shown(pages, "/ui/schedules/asked")
    assert "has asked for a change in SQL" in html
    assert "once maintenance has made it" in html
    assert not [one for one in ("run", "pause", "backfill", "edit") if f"asked/{one}" in html]
    assert "has asked for a change in SQL" in await shown(pages, "/ui/schedules/there")
    for path in ("edit", "backfill"):
        assert (await pages.get(f"/ui/schedules/asked/{path}")).status_code == 422
    for path in ("run", "pause", "resume"):
        assert (await send(pages, f"/ui/schedules/asked/{path}")).status_code == 404
    await do_requests(scheduler)
    assert "Active" in await shown(pages, "/ui/schedules/asked")


async def test_what_sql_has_asked_for_in_vain_is_red_and_can_be_deleted(
    pages: Served, stage: Stage, scheduler: Scheduler
) -> None:
    await put_schedule(stage.sql, "asked", cron="0 0 31 2 *", zone="Europe/Berlin")
    assert "Asked for" in await shown(pages, "/ui/schedules/asked")
    await do_requests(scheduler)
    html = await shown(pages, "/ui/schedules/asked")
    assert "Request refused" in html
    assert "/cron expected one that matches a date" in html
    assert "in-trouble" in await shown(pages, "/ui/schedules")

    async def is_counted() -> bool:
        return 'id="count-schedules">1<' in await shown(pages, "/")

    await eventually(is_counted, "a count in the menu")
    assert (await send(pages, "/ui/schedules/asked/delete")).status_code == 303
    assert (await pages.get("/ui/schedules/asked")).status_code == 404


async def test_a_list_goes_on_with_what_sql_has_asked_for(
    pages: Served, stage: Stage, scheduler: Scheduler
) -> None:
    await scheduler.put("there")
    for number in range(52):
        await put_schedule(stage.sql, f"asked{number}")
    first = await shown(pages, "/ui/schedules")
    [older] = re.findall(r'rel="next" href="([^"]+)"', first)
    assert (first.count('<tr id="s'), (await shown(pages, older)).count('<tr id="s')) == (50, 3)
