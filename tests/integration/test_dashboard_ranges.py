"""Spans of time in the address of pages: from and to, one for all pages, and what happened within them."""

import re
from datetime import datetime, timedelta

import orjson
import pytest

from taskmill.domain.activity import ActivityRequest
from taskmill.domain.lifecycle import EventType, Failed
from taskmill.domain.time_ranges import TimeRange
from taskmill.storage import minutes
from tests.support.api import Served
from tests.support.builders import ERROR
from tests.support.rolling import add_events, now, settle
from tests.support.stage import Stage

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def query(since: datetime, until: datetime) -> str:
    return f"from={since:%Y-%m-%dT%H:%MZ}&to={until:%Y-%m-%dT%H:%MZ}"


def links(html: str) -> dict[str, str]:
    """Return the addresses of the navigation by its letters."""
    return {
        letter: href.replace("&amp;", "&")
        for href, letter in re.findall(r'<a href="([^"]+)" data-letter="(.)"', html)
    }


async def whole_hour(stage: Stage, ago: timedelta) -> datetime:
    return (await now(stage) - ago).replace(minute=0, second=0, microsecond=0)


@pytest.mark.parametrize(
    ("ago", "length"), [(3 * HOUR, HOUR), (3 * DAY, HOUR), (20 * DAY, DAY), (60 * DAY, DAY)]
)
async def test_what_happened_between_two_times_is_counted_however_it_is_folded(
    stage: Stage, ago: timedelta, length: timedelta
) -> None:
    begin = await whole_hour(stage, ago)
    begin = begin.replace(hour=0) if length == DAY else begin
    end = begin + length
    for number, at in enumerate((begin - MINUTE, begin, end - MINUTE, end)):
        await add_events(stage, at, tasks=10**number)
    await add_events(stage, begin, "claimed", seconds=[4.0])
    window = TimeRange.between(begin, end, await now(stage))
    for _ in range(3):
        found = await minutes.read(stage.database, ActivityRequest(window=window))
        assert (found.since, found.until) == (begin, end)
        assert found.total.counts[EventType.CREATED] == 110
        assert found.total.waiting.percentiles_s(0.95) == [pytest.approx(4.0, rel=0.11)]
        queues = await minutes.read_queues(stage.database, window, ["mail"])
        assert queues.flows["mail"].counts[EventType.CREATED] == 110
        assert queues.steps == [at for at, _ in found.points]
        await settle(stage)


async def test_the_pages_show_what_happened_between_two_times(pages: Served, stage: Stage) -> None:
    begin = await whole_hour(stage, 3 * DAY)
    for at, tasks in ((begin - HOUR, 1), (begin, 66), (begin + HOUR, 1000)):
        await add_events(stage, at, tasks=tasks)
    address = query(begin, begin + HOUR)
    html = (await pages.get(f"/?{address}")).text
    [points] = re.findall(r'id="chart-throughput".*?data-points="([^"]*)"', html)
    times, created, *_ = orjson.loads(points.replace("&#34;", '"'))
    assert times[0] == begin.timestamp()
    assert len(times) == 6
    assert sum(created) * 10 == pytest.approx(66)
    types = (await pages.get(f"/ui/types?{address}")).text
    assert re.search(r">66<", types)
    assert f"/ui/types/send?{address.replace('&', '&amp;').replace(':', '%3A')}" in types


@pytest.mark.parametrize(
    ("ago", "length"),
    [(2 * HOUR, HOUR), (20 * HOUR, HOUR), (3 * DAY, HOUR), (20 * DAY, DAY), (60 * DAY, DAY)],
)
async def test_a_span_of_long_ago_shows_how_many_tasks_waited_then(
    pages: Served, stage: Stage, ago: timedelta, length: timedelta
) -> None:
    begin = await whole_hour(stage, ago)
    begin = begin.replace(hour=0) if length == DAY else begin
    end, moment = begin + length, await now(stage)
    await add_events(stage, begin, tasks=7)
    for at, tasks in ((end, 4), (end + (moment - end) / 2, 2), (moment, 1)):
        await add_events(stage, at, "cancelled", tasks=tasks)
    for _ in range(3):
        await stage.created(queue="mail", type="send")
    for path in ("/", "/ui/queues/mail"):
        html = (await pages.get(f"{path}?{query(begin, end)}")).text
        [points] = re.findall(r'id="chart-backlog".*?data-points="([^"]*)"', html)
        times, waiting = orjson.loads(points)
        assert (times[0], times[-1]) == (begin.timestamp(), end.timestamp())
        assert waiting == [0, *[7] * (len(times) - 1)]
        await settle(stage)
    html = (await pages.get("/?from=2020-01-01T00:00Z&to=2020-01-02T00:00Z")).text
    assert "What happened so long ago is not known any more" in html


async def test_the_span_of_a_page_is_carried_to_the_others(pages: Served, stage: Stage) -> None:
    until = await whole_hour(stage, HOUR)
    for given in (query(until - HOUR, until), "window=7d"):
        carried = given.replace(":", "%3A")
        for path in ("/", "/ui/queues", "/ui/types", "/ui/types/send", "/ui/failures"):
            found = links((await pages.get(f"{path}?{given}")).text)
            for letter in "oqyf":
                assert found[letter].endswith(f"?{carried}")
            assert "?" not in found["t"]
    assert "?" not in links((await pages.get("/")).text)["q"]
    for wrong in ("yesterday", "2099-01-01T00:00Z"):
        refused = await pages.get(f"/?from={wrong}")
        assert refused.status_code == 422
        assert "?" not in links(refused.text)["q"]


async def test_a_page_of_longer_steps_does_not_widen_the_span_of_the_next_one(
    pages: Served, stage: Stage
) -> None:
    lease = await stage.open_lease()
    task = await stage.running(lease, type="send", queue="mail")
    await stage.end(task, lease, Failed(error=ERROR))
    [kind] = set(
        re.findall(r'href="(/ui/failures/[^"?]+)"', (await pages.get("/ui/failures")).text)
    )
    begin = await whole_hour(stage, 4 * DAY) + 7 * MINUTE
    for given in (query(begin, begin + MINUTE), f"from={begin:%Y-%m-%dT%H:%MZ}"):
        carried = given.replace("&", "&amp;").replace(":", "%3A")
        html = (await pages.get(f"{kind}?{given}")).text
        assert f"{begin:%Y-%m-%d} 00:00" in html
        assert f'<div class="crumbs"><a href="/ui/failures?{carried}">' in html


async def test_what_leads_to_failures_names_the_span_that_is_usual_elsewhere(
    pages: Served, stage: Stage
) -> None:
    lease = await stage.open_lease()
    task = await stage.running(lease, type="send", queue="mail")
    await stage.end(task, lease, Failed(error=ERROR))
    for path in ("/", "/ui/queues/mail", "/ui/types/send"):
        html = (await pages.get(path)).text
        found = re.findall(r'href="(/ui/failures[/?][^"]*)"', html)
        assert found
        for address in found:
            assert "window=1h" in address


async def test_failures_are_shown_over_the_shortest_of_their_spans_that_has_all_of_it(
    pages: Served,
) -> None:
    html = (await pages.get("/ui/failures?window=6h")).text
    assert re.search(r'window=24h[^>]*aria-current="true"', html)


@pytest.mark.parametrize(
    "given",
    [
        *("from=yesterday", "to=2026-01-01T00:00Z", "from=2026-01-02T00:00Z&to=2026-01-01T00:00Z"),
        *("from=2020-01-01T00:00Z&to=2026-01-01T00:00Z", "from=2099-01-01T00:00Z"),
        *("window=1y", "from=2026-01-01T00:00Z&to=2026-01-01T00:00Z"),
    ],
)
@pytest.mark.parametrize("path", ["/", "/ui/failures"])
async def test_what_is_no_span_of_time_is_refused(pages: Served, path: str, given: str) -> None:
    assert (await pages.get(f"{path}?{given}")).status_code == 422
