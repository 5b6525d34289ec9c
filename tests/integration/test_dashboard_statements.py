"""No page reads more than it shows: every statement of every page, as PostgreSQL ran it among many tasks."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import orjson

from taskmill.dashboard.app import _all_routes
from taskmill.domain.error_kinds import kind_id, kind_of
from taskmill.domain.lifecycle import Failed
from taskmill.storage import failures
from taskmill.storage.database import Database
from taskmill.storage.rights import OWNER
from taskmill.storage.servers import Connection
from taskmill.storage.statements import FOR_ONE, QUERIES
from tests.support.api import Served
from tests.support.builders import ERROR
from tests.support.plans import Plan
from tests.support.refusals import refused_message, store_refused
from tests.support.role_database import in_role
from tests.support.rolling import now
from tests.support.stage import Stage
from tests.support.webhooks import subscribed

MANY = 20_000
# A page shows 50 tasks, 200 entries and 200 lines; a scan without an index begins with 2,000 tasks.
MOST_ROWS = 2_500
MOST_PAGES_READ = 3_000
FILES = {
    text: path.stem
    for path in Path(QUERIES).glob("*.sql")
    for text in (path.read_text("utf-8"), path.read_text("utf-8").replace(FOR_ONE, ""))
}
SEED = """
INSERT INTO taskmill.task (
    id, name, type, payload, queue, priority, final_status, attempt, max_attempts, max_losses, run_at, created_at,
    started_at, finished_at, updated_at, labels, source, version, claim_no
)
SELECT
    (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || lpad(to_hex(n % 4096), 3, '0')
        || '8' || right(md5(n::text), 15))::uuid,
    'task ' || n, 'emulate', '{"a": 1}', 'q' || n % 5, 4,
    CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN 'failed' ELSE 'succeeded' END,
    1, 2, 3, at, at, at, CASE WHEN n % 4 > 0 THEN at END, at, '{"team": "x"}', 'rest', 3, 1
FROM (SELECT n, now() - make_interval(secs => n) AS at FROM generate_series(1, $1::integer) AS n) AS born
"""
SEED_OTHERS = """
INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at)
SELECT id, queue, type, priority, run_at FROM taskmill.current_task WHERE status = 'new';
-- More than PostgreSQL reads as a whole rather than use an index.
WITH taken AS (
    DELETE FROM taskmill.dispatch
    WHERE task_id = ANY(ARRAY(SELECT task_id FROM taskmill.dispatch ORDER BY task_id LIMIT 1000))
    RETURNING task_id, queue
)
INSERT INTO taskmill.running (
    task_id, lease_id, claim_no, attempt, version, queue, run, losses, run_at, claimed_by
)
SELECT task_id, gen_random_uuid(), 2, 2, 4, queue, 1, 0, now(), 'w' FROM taken;
INSERT INTO taskmill.queue (name) SELECT 'q' || n FROM generate_series(0, 4) AS n;
INSERT INTO taskmill.task_count (queue, status, tasks)
SELECT queue, status, count(*) FROM taskmill.current_task GROUP BY queue, status;
INSERT INTO taskmill.task_event (task_id, version, at, event, status, run, attempt, losses, claim_no, run_at)
SELECT id, 1, created_at, 'created', 'new', 1, 0, 0, 0, run_at FROM taskmill.current_task;
INSERT INTO taskmill.change_batch (task_ids, versions, position)
SELECT '{}', '{}', n FROM generate_series(1, 20000) AS n;
ANALYZE
"""
LIFE = """
INSERT INTO taskmill.task_event (
    task_id, version, event, status, run, attempt, losses, claim_no, run_at, claimed_at
)
SELECT $1, 2 * n + 1, 'retry_scheduled', 'new', 1, n, 0, n, now(), now()
FROM generate_series(1, $2::integer / 2) AS n
"""
LINES = """
INSERT INTO taskmill.task_log (task_id, claim_no, seq, at, level, message)
SELECT $1, 1, n, now(), 20, 'a line' FROM generate_series(1, $2::integer) AS n
"""

# Of each on the first page more fires than it reads; one has 30 on each day.
SCHEDULES = """
INSERT INTO taskmill.schedule (name, spec, task, queue, type)
SELECT 's' || n, '{"every": "PT1H", "zone": "UTC"}', '{"name": "x"}', 'q' || n % 5, 'emulate'
FROM generate_series(1, 2000) AS n;
INSERT INTO taskmill.schedule_cursor (schedule_id, cursor_at, next_at, tz_version)
SELECT id, now(), now(), 'x' FROM taskmill.schedule;
INSERT INTO taskmill.schedule_fire (schedule_id, tick, cause, outcome, task_id, at)
SELECT
    s.id, now() - n * make_interval(mins => CASE s.name WHEN 's7' THEN 48 ELSE 60 END), 'tick', 'created',
    gen_random_uuid(), now() - interval '1 day'
FROM taskmill.schedule AS s
CROSS JOIN LATERAL generate_series(1, CASE s.name WHEN 's7' THEN 900 ELSE 50 END) AS n
WHERE s.name IN (SELECT 's' || n FROM generate_series(1, 60) AS n);
ANALYZE
"""
# Most have ended: what waits is counted, up to 10,000.
DELIVERIES = """
INSERT INTO taskmill.webhook_delivery (endpoint, webhook_id, state, give_up_at)
SELECT
    'webhook:' || hook, hook,
    CASE WHEN n % 50 = 0 THEN 'pending' WHEN n % 2 = 0 THEN 'failed' ELSE 'delivered' END,
    now()
FROM generate_series(1, $2::integer) AS n
CROSS JOIN LATERAL (SELECT ($1::uuid[])[n / 2 % cardinality($1::uuid[]) + 1]) AS h (hook)
"""
# Of each bucket they count up to 10,000 tasks.
COUNTED = ("count_due", "count_waiting")


@dataclass(frozen=True)
class Ran:
    """A statement that was run, its name where it has a file, and its plan."""

    text: str
    plan: Plan

    @property
    def name(self) -> str | None:
        return FILES.get(self.text)

    @property
    def fault(self) -> str | None:
        """What is not bounded about it."""
        if self.name in COUNTED:
            return None
        if self.plan.rows_read > MOST_ROWS:
            return f"it read {self.plan.rows_read:.0f} rows"
        if self.plan.pages > MOST_PAGES_READ:
            return f"it touched {self.plan.pages} pages"
        return None

    @property
    def has_bounded_time(self) -> bool:
        """Whether a list runs it for a while only: a chunk of a walk, or a count with a timeout."""
        return self.name is None and (
            "LIMIT" in self.text or self.text.startswith("SELECT count(*)")
        )


@dataclass
class Recorder:
    """Has every connection of a database log the plan of each statement, once it has run."""

    messages: list[str]

    def ran(self) -> list[Ran]:
        parsed = (orjson.loads(one.split("plan:", 1)[1]) for one in self.messages if "plan:" in one)
        return [Ran(one["Query Text"], Plan(one["Plan"])) for one in parsed]


@asynccontextmanager
async def recording(database: Database) -> AsyncIterator[Recorder]:
    """Record, as the owner, who may; connections that are open already are closed first: nothing records them."""
    recorder, connect = Recorder(messages=[]), database.connect
    owner = in_role(database, OWNER)

    async def connect_recorded(**server_settings: str) -> Connection:
        connection = await owner.connect(**server_settings)
        await connection.execute(
            "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_analyze = on;"
            "SET auto_explain.log_buffers = on; SET auto_explain.log_timing = off;"
            "SET auto_explain.log_format = json; SET client_min_messages = log"
        )
        connection.add_log_listener(lambda _, message: recorder.messages.append(message.message))
        return connection

    await database.close()
    database.connect = connect_recorded  # type: ignore[method-assign]  # the pools call the object's
    yield recorder
    database.connect = connect  # type: ignore[method-assign]  # as it was


async def seeded(stage: Stage) -> dict[str, list[str]]:
    """Fill the database; return addresses for routes with parameters, by route."""
    await stage.sql.execute("SET session_replication_role = replica")
    await stage.sql.execute(SEED, MANY)
    await stage.sql.execute(SEED_OTHERS)
    task = await stage.created(name="long lived", delay=timedelta(hours=1))
    await stage.sql.execute(LIFE, task.id, MANY)
    await stage.sql.execute(LINES, task.id, MANY)
    stored = await store_refused(
        stage.url, [refused_message(str(number).encode()) for number in range(3_000)]
    )
    worker = await stage.open_lease()
    await stage.take(worker, 50)
    await stage.sql.execute(SCHEDULES)
    hooks = [(await subscribed(stage, f"https://example.org/{n}"))[0].id for n in range(40)]
    await stage.sql.execute(DELIVERIES, hooks, MANY)
    await stage.sql.execute("ANALYZE")
    await stage.sql.execute("SET session_replication_role = origin")
    await stage.end((await stage.take(worker, 1))[0], worker, Failed(error=ERROR))
    await failures.fold(stage.maintenance_database)
    notice = (await stage.service.attention.read()).notices[0]
    schedule = "/ui/schedules/{name}"
    begin = await now(stage) - timedelta(days=20)
    past = f"from={begin:%Y-%m-%dT%H:%MZ}&to={begin + timedelta(hours=1):%Y-%m-%dT%H:%MZ}"
    return {
        "/ui/attention/{id}": [f"/ui/attention/{notice.id}"],
        "/ui/failures/{id}": [f"/ui/failures/{kind_id(kind_of(ERROR))}"],
        **{
            f"{schedule}{rest}": [f"/ui/schedules/s7{rest}"]
            for rest in ("", "/edit", "/backfill", "/delete")
        },
        **{
            f"/ui/webhooks/{{id}}{rest}": [f"/ui/webhooks/{hooks[7]}{rest}"]
            for rest in ("", "/edit", "/delete")
        },
        "/": ["/", f"/?{past}"],
        "/ui/queues/{name}": [f"/ui/queues/q1?{one}" for one in ("", "window=30d", past)],
        "/ui/types/{name}": [f"/ui/types/emulate?{one}" for one in ("", "window=30d", past)],
        **{
            f"/ui/tasks/{{id}}{rest}": [f"/ui/tasks/{task.id}{rest}"]
            for rest in ("", "/logs.txt", "/reschedule")
        },
        "/ui/search": ["/ui/search?q=task"],
        "/ui/search/tasks": [f"/ui/search/tasks?q=task&by=name&after={task.id}&left=5"],
        "/ui/workers/{id}": [f"/ui/workers/{worker}"],
        **{
            f"/ui/rejections/{{id}}{rest}": [f"/ui/rejections/{stored[0]}{rest}"]
            for rest in ("", "/edit")
        },
    }


FILTERED = (
    "/?window=5m",
    "/?window=30d",
    "/ui/queues?order=oldest",
    "/ui/queues?window=30d",
    "/ui/tasks?status=new&order=asc",
    "/ui/tasks?queue=q2&status=new&status=failed",
    "/ui/tasks?name=task&status=failed",
)
# A scan without an index, and a count within times: both are given up after some milliseconds.
SCANNED = (
    "/ui/tasks?name=nowhere",
    "/ui/tasks?label=team%3Dy&type=none",
    "/ui/tasks?status=failed&queue=q1&since=1h",
)
# They have no page, read nothing from the database, or are there only where keys are required.
PAGELESS = (
    *("/ui/static/", "/ui/live", "/ui/events/stream", "/ui/jobs/", "/ui/tasks/export."),
    *("/ui/login", "/ui/sessions"),
)


def addresses(known: dict[str, list[str]]) -> list[str]:
    """Return one address at least for each page that there is."""
    found = list(FILTERED)
    for method, path, _ in _all_routes():
        if method != "GET" or path.startswith(PAGELESS):
            continue
        assert "{" not in path or path in known, f"give an address for {path} in `seeded`"
        found += known.get(path, [path])
    return found


async def statements(stage: Stage, pages: Served, paths: Iterable[str]) -> list[Ran]:
    """Open pages, as a browser and as htmx do, and return the statements that they ran."""
    async with recording(stage.database) as recorder:
        # A plan is logged at the next statement of its connection, so each page is requested twice.
        for path in [*paths] * 2:
            for headers in ({}, {"hx-request": "true"}):
                response = await pages.get(path, headers=headers)
                assert response.status_code == 200, path
        return recorder.ran()


async def test_every_statement_of_every_page_is_bounded(stage: Stage, pages: Served) -> None:
    paths = addresses(await seeded(stage))
    assert len(paths) > len(FILTERED) + 4
    ran = await statements(stage, pages, paths)
    names = {one.name for one in ran}
    assert {"get_tasks", "list_latest_events", "list_latest_log_lines", "list_rejections"} <= names
    assert {"read_minutes", "sum_capacity", "count_tasks", "get_rejection", None} <= names
    assert {f"{one.name or one.text}: {one.fault}" for one in ran if one.fault} == set()
    scanned = await statements(stage, pages, SCANNED)
    unbounded = [one for one in scanned if one.fault and not one.has_bounded_time]
    assert {f"{one.name or one.text}: {one.fault}" for one in unbounded} == set()


async def test_exports_read_page_by_page(stage: Stage, pages: Served) -> None:
    await seeded(stage)
    async with recording(stage.database) as recorder:
        response = await pages.get("/ui/tasks/export.csv?queue=q1&status=failed")
        await pages.get("/ui/tasks")
        ran = recorder.ran()
    assert len(response.text.splitlines()) == MANY // 20 + 1
    assert [(one.name, one.fault) for one in ran if one.fault] == []


async def test_a_head_request_for_an_export_reads_no_task(stage: Stage, pages: Served) -> None:
    await stage.created()
    async with recording(stage.database) as recorder:
        for path in ("/ui/tasks/export.csv", "/ui/tasks/export.ndjson"):
            response = await pages.http.head(path)
            assert response.headers["content-disposition"].startswith("attachment")
        await pages.get("/ui/workers")
        await pages.get("/ui/workers")
        ran = recorder.ran()
    assert ran
    assert [
        one.text for one in ran if re.search(r"FROM taskmill\.(task|current_task) ", one.text)
    ] == []


async def test_an_unbounded_statement_would_be_noticed(stage: Stage) -> None:
    await seeded(stage)
    async with recording(stage.database) as recorder, stage.database.hot() as connection:
        await connection.fetch("SELECT id FROM taskmill.task ORDER BY id")
        await connection.fetch("SELECT 1")
        await asyncio.sleep(0)
        await connection.fetch("SELECT 1")
        assert any(one.fault for one in recorder.ran())
