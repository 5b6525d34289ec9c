"""Every action of a page can be reached at every width, however wide the values are."""

import asyncio
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from playwright.sync_api import Browser

from tests.browser.conftest import DATABASE, HERE, Mill, Window, a_window
from tests.support.postgres import DatabaseServer
from tests.support.processes import Program
from tests.support.refusals import refused_message, store_refused_in_thread
from tests.support.wire import a_wire

WIDTHS = (320, 600, 768, 1024, 1280, 1440)
LONG = "q" * 63
NAME = "W" * 60 + " " + "a name of many words " * 6

# Big numbers, long names, and every state: as an installation has them that has worked for years.
WIDE = """
INSERT INTO taskmill.queue (name, paused_at)
SELECT 'queue-' || repeat('x', 50) || n, CASE WHEN n % 3 = 0 THEN now() - interval '400 days' END
FROM generate_series(1, 6) AS n;

INSERT INTO taskmill.task_count (queue, status, tasks)
SELECT name, status, 123456789 FROM taskmill.queue
CROSS JOIN unnest('{new,in_progress,succeeded,failed,cancelled}'::text[]) AS status;

INSERT INTO taskmill.task_minute (
    step_s, at, queue, type, created, claimed, succeeded, failed, retry_scheduled, handed_back, lost, expired,
    cancelled, run_again, waiting, waiting_s, running, running_s
)
SELECT
    60, date_trunc('minute', now()) - make_interval(mins => m), q.name, repeat('q', 63), 7654321, 7654321, 7000000,
    654321, 0, 0, 0, 0, 0, 0, taskmill.packed_bucket(1000, 70::smallint), 1e6,
    taskmill.packed_bucket(1000, 80::smallint), 1e6
FROM taskmill.queue AS q CROSS JOIN generate_series(1, 50) AS m;

INSERT INTO taskmill.dispatch (task_id, queue, type, priority, run_at)
SELECT gen_random_uuid(), name, repeat('q', 63), 4, now() - interval '300 days' FROM taskmill.queue;

INSERT INTO taskmill.lease (
    id, worker, queues, types, slots, running, started_at, expires_at, closed_at, close_reason, request, remote,
    version, stop_when_empty, lost_task_ids
)
SELECT
    gen_random_uuid(), 'worker-' || n || repeat('h', 100), array_fill(repeat('q', 63), ARRAY[1 + n % 5]),
    array_fill(repeat('q', 63), ARRAY[1 + n % 5]), 1000000, 0, now() - interval '400 days',
    now() + interval '1 day', CASE WHEN n IN (5, 6) THEN now() END,
    CASE n WHEN 5 THEN 'expired' WHEN 6 THEN 'stopped' END,
    CASE WHEN n IN (2, 3) THEN 'quiet' WHEN n = 4 THEN 'stop' END, n = 7, '0.1.0.dev123456', n = 3,
    CASE WHEN n = 5 THEN (SELECT array_agg(id) FROM taskmill.current_task) ELSE '{}' END
FROM generate_series(1, 7) AS n;

INSERT INTO taskmill.api_key (id, name, description, grants, networks, quotas, secret_hash)
SELECT
    lpad(n::text, 16, 'W'), repeat('k', 62) || n, repeat('D', 300),
    array_fill('tasks:create queue=' || repeat('q', 62) || '* type=' || repeat('t', 62) || '*', ARRAY[20]),
    array_fill('2001:db8:ffff:ffff:ffff:ffff:ffff:ffff/128'::cidr, ARRAY[5]), ARRAY['waiting_tasks=1000000'],
    sha256(n::text::bytea)
FROM generate_series(1, 3) AS n;

INSERT INTO taskmill.failure (step_s, at, type, error, tasks, first_at, last_at, task_id)
SELECT
    600, date_bin('10 min', now(), '2000-01-01'), repeat('q', 63), repeat('E', 100) || ': ' || n, 123456789,
    now() - interval '30 days', now(), (SELECT id FROM taskmill.current_task LIMIT 1)
FROM generate_series(1, 4) AS n;

WITH made AS (
    INSERT INTO taskmill.webhook (
        id, url, description, queues, types, statuses, secrets, state, since_position, failing_since
    )
    SELECT
        gen_random_uuid(), 'https://' || repeat('h', 60) || '.example.org/' || repeat('p', 500), repeat('D', 300),
        array_fill(repeat('q', 63), ARRAY[20]), array_fill(repeat('q', 63), ARRAY[20]),
        '{new,in_progress,succeeded,failed,cancelled}', '{}', 'enabled', 0, now() - interval '1 hour'
    RETURNING id
)
INSERT INTO taskmill.webhook_delivery (endpoint, webhook_id, state, give_up_at, attempts, response_status, trouble)
SELECT 'webhook:' || id, id, state, now() + interval '1 day', 123456, 500, repeat('T', 300)
FROM made CROSS JOIN unnest('{pending,delivered,failed}'::text[]) AS state
"""

# Each clickable element must be wholly in sight once it was scrolled to, and be what a click there hits. Scripts
# can scroll elements with hidden overflow; people can't.
REACHED = """() => {
    const wrong = [], moved = new Set();
    const named = (node) => `${node.tagName} ${node.className} «${node.textContent.trim().slice(0, 40)}»`;
    for (const node of document.querySelectorAll("a[href], button, input, select, textarea, summary")) {
        if (!node.checkVisibility({ visibilityProperty: true }) || node.closest(".skip, [hidden]")) continue;
        node.scrollIntoView({ block: "center", inline: "center", behavior: "instant" });
        for (let up = node.parentElement; up; up = up.parentElement) {
            const { overflowX, overflowY } = getComputedStyle(up);
            const hides = [overflowX, overflowY].some((one) => one === "hidden" || one === "clip");
            if (!hides || !(up.scrollLeft || up.scrollTop) || moved.has(up)) continue;
            moved.add(up);
            wrong.push(`hidden beside: ${named(node)}`);
        }
        const box = node.getClientRects()[0];
        if (!box || !box.width) { wrong.push(`no place: ${named(node)}`); continue; }
        const edge = Math.min(3, box.width / 2), middle = box.top + box.height / 2;
        for (const across of [box.left + edge, box.left + box.width / 2, box.right - edge]) {
            const met = document.elementFromPoint(across, middle);
            if (met && (node.contains(met) || met.contains(node) && met.matches("label"))) continue;
            wrong.push(`${Math.round(across)},${Math.round(middle)}: ${met && named(met)}, not ${named(node)}`);
            break;
        }
    }
    return wrong;
}"""


# Another process holds it, so that it goes on.
JOB = f"""
INSERT INTO taskmill.job (
    id, action, wanted, task_ids, task_limit, expected, spacing_s, origin, scopes, after_id, until_id,
    holder, held_until
)
SELECT
    gen_random_uuid(), 'retry',
    json_build_object(
        'statuses', '{{failed,cancelled}}'::text[], 'queue', '{LONG}', 'type', '{LONG}', 'name', repeat('n', 100),
        'labels', json_build_object(repeat('k', 60), repeat('v', 200))
    ),
    '{{}}', 1000000000, 1000000, 0,
    json_build_object(
        'actor', json_build_object(
            'kind', 'key', 'name', repeat('w', 63), 'key_id', NULL, 'session', NULL, 'address', NULL
        ),
        'request_id', NULL
    ),
    '{{}}', '00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff', gen_random_uuid(),
    now() + interval '1 day'
"""


def do(url: str, script: str) -> None:
    """Run SQL in a thread, as this one has Playwright's event loop."""

    async def run() -> None:
        connection = await asyncpg.connect(url)
        try:
            await connection.execute(script)
        finally:
            await connection.close()

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    thread.join()


def fill(mill: Mill) -> None:
    """Fill the database with wide values."""
    for kind in (LONG, "short"):
        mill.create(
            name=NAME[:200],
            type=kind,
            queue=LONG,
            labels={"k" * 60: "v" * 200},
            max_attempts=100,
        )
    body = b'{"name": "' + b"n" * 300 + b'", "priority": 12}'
    store_refused_in_thread(
        mill.wire.url, [refused_message(body, f"{number}{'m' * 200}") for number in range(3)]
    )
    do(mill.wire.url, WIDE)
    do(mill.wire.url, JOB)


@pytest.fixture(scope="module")
def mill(
    database_server: DatabaseServer,
    database_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mill]:
    """An API over such a database, without workers."""
    folder: Path = tmp_path_factory.mktemp("wide")
    shutil.copy(HERE / "mill.py", folder)
    url = database_server.create(template=database_template)
    with (
        a_wire(url) as wire,
        Program("run", "api", "--port", "0", folder=folder, env={DATABASE: wire.url}) as program,
        program.client() as http,
    ):
        made = Mill(url=program.facts["url"], http=http, wire=wire)
        fill(made)
        yield made


def pages_of(mill: Mill) -> list[str]:
    """Return the addresses of all kinds of pages."""
    task = mill.http.get("/tasks").json()["items"][0]["id"]
    workers = mill.http.get("/workers").json()["items"]
    lost = next(one["id"] for one in workers if one["lost_tasks"])
    alive = next(one["id"] for one in workers if one["state"] == "alive" and not one["request"])
    refused = mill.http.get("/rejections").json()["items"][0]["id"]
    webhook = mill.http.get("/webhooks").json()["items"][0]["id"]
    return [
        *("/", "/ui/tasks", f"/ui/tasks?queue={LONG}&status=new&label=a%3Db&order=asc"),
        *(
            f"/ui/tasks?queue={LONG}",
            f"/ui/tasks/{task}",
            "/ui/queues",
            "/ui/queues?order=oldest&window=30d",
        ),
        *("/ui/workers", f"/ui/workers/{lost}", f"/ui/workers/{alive}", "/ui/failures"),
        *("/ui/create", f"/ui/create?like={task}", "/ui/rejections", f"/ui/rejections/{refused}"),
        *(f"/ui/rejections/{refused}/edit", "/ui/rejections?state=open&text=name"),
        "/ui/jobs",
        "/ui/audit",
        *("/ui/keys?state=all", "/ui/events", "/ui/system?settings=all", "/ui/system/doctor"),
        *("/ui/types", f"/ui/types/{LONG}", f"/ui/queues/{LONG}"),
        *("/ui/webhooks", f"/ui/webhooks/{webhook}", f"/ui/webhooks/{webhook}/delete"),
        *("/ui/webhooks/new", f"/ui/webhooks/{webhook}/edit"),
    ]


@pytest.mark.parametrize("language", ["en", "ru"])
def test_every_action_is_reached_at_every_width(
    browser: Browser, mill: Mill, language: str
) -> None:
    context = browser.new_context(locale=language, reduced_motion="reduce")
    window: Window = a_window(mill, context)
    found: dict[str, list[str]] = {}
    for path in pages_of(mill):
        for width in WIDTHS:
            window.page.set_viewport_size({"width": width, "height": 800})
            if width == WIDTHS[0]:
                window.open(path)
            wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
            wrong = list(window.page.evaluate(REACHED))
            if window.page.evaluate(wider) > 0:
                wrong.append("the page is wider than the window")
            if wrong:
                found[f"{width} {path}"] = wrong
    assert found == {}
    assert window.errors == []
    context.close()
