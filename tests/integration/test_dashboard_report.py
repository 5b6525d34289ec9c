"""The page of the system: processes, database, broker, retention, and settings without their secrets."""

import re

from pydantic import SecretStr

from taskmill.domain.attention_snapshot import FailingDuty
from taskmill.domain.system import BrokerQueue
from taskmill.operations.broker import BrokerWatch
from taskmill.settings import Settings, load
from taskmill.storage import processes
from taskmill.version import VERSION
from tests.support.api import LIMITS
from tests.support.api_keys import REQUIRED
from tests.support.pages import serving_pages
from tests.support.stage import Stage
from tests.support.visitors import visitor


async def report(stage: Stage, name: str, version: str = VERSION, **parts: object) -> None:
    values: dict[str, object] = {"roles": ["api"], "clock_ahead_s": 0.1, "failing": [], **parts}
    await processes.report(stage.database, stage.ids(), name=name, version=version, **values)  # type: ignore[arg-type]  # of a report


async def test_processes_are_shown_with_versions_roles_clocks_and_duties(stage: Stage) -> None:
    await report(stage, "api-1")
    await report(
        stage,
        "<b>old</b>",
        "0.0.9",
        roles=["maintenance", "relay"],
        clock_ahead_s=-42.0,
        failing=[FailingDuty(name="rescue", failures=7, for_s=60.0, error="TimeoutError")],
    )
    async with serving_pages(stage) as pages:
        html = (await pages.get("/ui/system")).text
    rows = dict(
        re.findall(
            r'<tr id="p[^"]+">\s*<td class="at-head"><strong[^>]*><bdi>(.*?)</bdi>(.*?)</tr>',
            html,
            re.DOTALL,
        )
    )
    assert list(rows) == ["&lt;b&gt;old&lt;/b&gt;", "api-1"]
    old = rows["&lt;b&gt;old&lt;/b&gt;"]
    for words in (
        "maintenance, relay",
        "0.0.9",
        "\N{MINUS SIGN}42\u00a0s",
        "rescue: TimeoutError (7)",
    ):
        assert words in old
    assert "Their versions differ" in html
    assert VERSION in rows["api-1"]


async def test_the_database_is_shown_with_its_weeks_and_largest_tables(stage: Stage) -> None:
    await stage.sql.execute("VACUUM taskmill.api_key")
    async with serving_pages(stage) as pages:
        html = (await pages.get("/ui/system")).text
    version = await stage.sql.fetchval("SELECT current_setting('server_version')")
    schema = await stage.sql.fetchval("SELECT version_num FROM taskmill.alembic_version")
    weeks = await stage.sql.fetchval(
        "SELECT count(*) FROM pg_inherits WHERE inhparent = 'taskmill.task'::regclass"
    )
    for words in (version, schema, f"{weeks - 1} weeks", "<code>task</code>", "in "):
        assert words in html
    assert "this program is of" not in html


async def test_queues_of_the_broker_are_shown_where_it_is_reached(stage: Stage) -> None:
    asked: list[str] = []

    async def depths(names: list[str]) -> list[BrokerQueue]:
        asked.extend(names)
        return [BrokerQueue(name=names[0], messages=1234, consumers=0)]

    await stage.open_lease(queues=("mail",), types=("send",))
    stage.service.broker = BrokerWatch(policy="auto", trouble=lambda: None, depths=depths)  # type: ignore[arg-type]  # a list is a sequence
    async with serving_pages(stage) as pages:
        html = (await pages.get("/ui/system")).text
    assert asked[:2] == ["taskmill.tasks.create", "taskmill.tasks.rejected"]
    assert asked[2:] == ["taskmill.hints.mail/send"]
    assert "1,234" in html
    stage.service.broker = BrokerWatch(policy="auto", trouble=lambda: "it is gone")
    async with serving_pages(stage) as pages:
        html = (await pages.get("/ui/system")).text
    assert "it is gone" in html
    assert "taskmill.tasks.create" not in html


async def test_settings_that_are_set_are_shown_with_their_origin_and_no_secret(
    stage: Stage,
) -> None:
    settings = load(
        broker_url="amqp://user:s3cret-password@broker.example:5672/v",
        retention={"tasks_days": 33},
        limits=LIMITS.model_dump(),
    )
    async with serving_pages(stage, settings) as pages:
        html = (await pages.get("/ui/system")).text
        everything = (await pages.get("/ui/system?settings=all")).text
        assert (await pages.get("/ui/system?settings=x")).status_code == 422
    for text in (html, everything):
        assert "s3cret" not in text
        assert "TASKMILL_BROKER_URL" in text
    assert re.search(r"TASKMILL_RETENTION__TASKS_DAYS</code>.*?option", html, re.DOTALL)
    assert html.count('id="cTASKMILL_') < everything.count('id="cTASKMILL_')
    assert 'id="cTASKMILL_WEBHOOKS__GIVE_UP_S"' in everything
    assert isinstance(settings.broker_url, SecretStr)


async def test_the_page_is_for_admins(stage: Stage) -> None:
    async with serving_pages(stage, REQUIRED) as pages:
        reader = await visitor(pages, stage, "tasks:read", "metrics", "tasks:operate")
        admin = await visitor(pages, stage, "admin")
        assert (await pages.get("/ui/system", headers=reader)).status_code == 403
        assert "/ui/system" not in (await pages.get("/", headers=reader)).text
        assert (await pages.get("/ui/system", headers=admin)).status_code == 200
    assert Settings().auth == "auto"
