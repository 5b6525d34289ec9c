"""The overview, `taskmill top --json` and `GET /attention` say the same of any state."""

import html as markup
import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

import orjson
import pytest

from taskmill.cli.top.picture import Picture
from taskmill.cli.top.reading import as_json
from taskmill.client import AsyncTaskmillClient
from taskmill.domain.attention import MarkState
from taskmill.operations.attention import AttentionReading
from taskmill.operations.broker import NO_BROKER
from taskmill.operations.figures import FiguresCache
from tests.support.api import Served
from tests.support.pages import pages
from tests.support.stage import Stage

__all__ = ["pages"]

STATES = 200
QUEUES = ("mail", "bills", "gpu")
TYPES = ("send", "render")

NAMED = ("queue", "type", "worker", "n")
"""The facts that sentences have as they are, if the reader's language is English."""

Step = Callable[[Stage, random.Random], Awaitable[object]]


async def create(stage: Stage, randomness: random.Random) -> None:
    for _ in range(randomness.randrange(1, 4)):
        await stage.created(queue=randomness.choice(QUEUES), type=randomness.choice(TYPES))
    # Far from the bounds, so that none is crossed between two readings.
    await stage.sql.execute(
        "UPDATE taskmill.dispatch SET run_at = now() + $1::integer * interval '10 min' WHERE queue = $2",
        randomness.choice((-3, -1, 1)),
        randomness.choice(QUEUES),
    )


async def pause(stage: Stage, randomness: random.Random) -> None:
    paused = randomness.random() < 0.5
    await stage.service.set_queue_paused(randomness.choice(QUEUES), paused=paused)


async def start_worker(stage: Stage, randomness: random.Random) -> None:
    await stage.sql.execute(
        "INSERT INTO taskmill.lease (id, worker, queues, types, slots, version, request, expires_at)"
        " VALUES (gen_random_uuid(), $1, $2, $3, $4, $5, $6, now() + $7::integer * interval '10 min')",
        f"host-{randomness.randrange(9)}",
        randomness.choice(([], ["mail"], ["gpu", "bills"])),
        randomness.choice((["*"], ["send"])),
        randomness.choice((1, 10)),
        randomness.choice(("1.0.0", "1.1.0")),
        randomness.choice((None, None, "quiet", "stop")),
        randomness.choice((1, 1, -1)),
    )


async def lose_worker(stage: Stage, randomness: random.Random) -> None:
    await stage.sql.execute(
        "UPDATE taskmill.lease SET closed_at = now(), close_reason = $1,"
        " lost_task_ids = CASE WHEN $2 THEN ARRAY[gen_random_uuid()] ELSE '{}'::uuid[] END"
        " WHERE id = (SELECT id FROM taskmill.lease WHERE closed_at IS NULL LIMIT 1)",
        randomness.choice(("expired", "released")),
        randomness.random() < 0.5,
    )


async def end_tasks(stage: Stage, randomness: random.Random) -> None:
    await stage.sql.execute(
        "INSERT INTO taskmill.task_minute_delta (at, queue, type, event, tasks)"
        " VALUES (now() - $1::integer * interval '5 h', $2, $3, $4, $5)",
        randomness.choice((0, 1)),
        randomness.choice(QUEUES),
        randomness.choice(TYPES),
        randomness.choice(("succeeded", "failed", "expired", "claimed")),
        randomness.randrange(1, 200),
    )


async def fail_newly(stage: Stage, randomness: random.Random) -> None:
    await stage.sql.execute(
        "INSERT INTO taskmill.failure (step_s, at, type, error, tasks, first_at, last_at, task_id)"
        " VALUES (86400, date_trunc('day', now()), $1, $2, 3, now(), now(), gen_random_uuid())"
        " ON CONFLICT DO NOTHING",
        randomness.choice(TYPES),
        randomness.choice(("ValueError: no", "WorkerLost: it is gone", "KeyError: 'a'")),
    )


async def fail_webhooks(stage: Stage, randomness: random.Random) -> None:
    await stage.sql.execute(
        "INSERT INTO taskmill.webhook"
        " (id, url, queues, types, statuses, secrets, state, since_position, failing_since)"
        " VALUES (gen_random_uuid(), $1, '{}', '{}', '{failed}', '{}', 'enabled', 0,"
        " now() - interval '10 min')",
        f"https://shop-{randomness.randrange(99)}.example.org/",
    )


async def delay_the_feed(stage: Stage, randomness: random.Random) -> None:
    await stage.sql.execute(
        "UPDATE taskmill.change_batch SET at = now() - $1::integer * interval '1 min'",
        randomness.choice((0, 5)),
    )


async def tidy(stage: Stage, randomness: random.Random) -> None:
    for table in randomness.sample(
        ("lease", "dispatch", "task_minute_delta", "failure", "webhook"), 3
    ):
        await stage.sql.execute(f"DELETE FROM taskmill.{table}")  # noqa: S608 - one of the names above


async def see_to(stage: Stage, randomness: random.Random) -> None:
    reading = stage.service.attention
    for one in (await reading.read()).notices:
        if one.count == 1 and randomness.random() < 0.3:
            await reading.mark(one.id, randomness.choice((*MarkState, None)), note="a note")


STEPS: tuple[Step, ...] = (
    *(create, create, pause, start_worker, start_worker, lose_worker, end_tasks, fail_newly),
    *(fail_webhooks, delay_the_feed, tidy, see_to),
)


@pytest.fixture
def uncached(stage: Stage) -> None:
    """Have each view read by itself."""
    service = stage.service
    service.figures = FiguresCache.of(stage.database)
    service.figures._max_age_s = 0.0
    service.attention = AttentionReading(
        stage.database,
        NO_BROKER,
        service.figures,
        service.audit,
        max_age_s=0.0,
        slow_max_age_s=0.0,
    )


def on_the_overview(html: str) -> tuple[int, str, list[tuple[str, str]]]:
    """Return how many things need attention, the verdict, and the notices: their severity and id."""
    title = re.search(r"<title>(?:\((\d+)\) )?", html)
    card = re.search(r'class="card attention (\w+)"', html)
    assert title is not None
    assert card is not None
    found = re.findall(r'<li class="(\w+)" id="n([0-9a-f-]{36})">', html)
    return int(title[1] or 0), card[1], found


def sentences(html: str) -> list[str]:
    """Return what the overview says of each notice, as a reader sees it."""
    items = re.findall(
        r'<li class="\w+" id="n[0-9a-f-]{36}">.*?<strong[^>]*>(.*?)</strong>', html, re.DOTALL
    )
    return [markup.unescape(re.sub(r"<[^>]+>", "", one)) for one in items]


def check_names(shown: str, notice: Mapping[str, object]) -> None:
    """Check that the overview and the sentence for terminals name the same: which type, which queue, how many."""
    facts = notice["facts"]
    assert isinstance(facts, dict)
    for name in NAMED:
        value = facts.get(name)
        words = f"{value:,}" if isinstance(value, int) else str(value)
        assert (words in shown) == (words in str(notice["sentence"])), (name, shown, notice)


def lasting(notices: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """Return what stays the same of notices from one moment to the next."""
    passing = ("sentence", "facts", "at")
    return [{key: one[key] for key in one if key not in passing} for one in notices]


@pytest.mark.slow
@pytest.mark.usefixtures("uncached")
async def test_the_overview_and_top_say_the_same_of_any_state(pages: Served, stage: Stage) -> None:
    randomness = random.Random(20261130)  # noqa: S311 - the same states in each run
    seen: set[str] = set()
    async with AsyncTaskmillClient(pages.url, retries=0) as client:
        for _ in range(STATES):
            for step in randomness.sample(STEPS, 2):
                await step(stage, randomness)
            html = (await pages.get("/?attention=all", headers={"accept-language": "en"})).text
            picture = Picture()
            top = as_json(pages.url, await picture.read(client, "15m"))
            count, verdict, found = on_the_overview(html)
            notices = top["notices"]
            assert isinstance(notices, list)
            assert verdict == top["verdict"]
            assert count == sum(one["count"] for one in notices if one["mark"] is None)
            assert found == [
                ("marked" if one["mark"] else one["severity"], one["id"]) for one in notices
            ]
            for shown, one in zip(sentences(html), notices, strict=True):
                check_names(shown, one)
            raw = (await pages.get("/attention")).json()
            assert (raw["verdict"], raw["count"]) == (verdict, count)
            assert lasting(raw["items"]) == lasting(orjson.loads(orjson.dumps(notices)))
            seen |= {one["kind"] for one in notices}
    assert len(seen) >= 12, seen
