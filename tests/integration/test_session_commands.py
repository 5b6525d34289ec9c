"""`taskmill dashboard` and `taskmill session`, with the key of whoever calls them."""

import asyncio
import json
import os
import re
import webbrowser
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from taskmill.operations.api_keys import NewApiKey
from tests.support.api import SETTINGS, Served
from tests.support.api_keys import REQUIRED, a_new_key
from tests.support.commands import Taskmill, taskmill
from tests.support.pages import a_sessions, serving_pages
from tests.support.stage import Stage

__all__ = ["taskmill"]

# The server logs in the same process: not among what the commands print.
pytestmark = pytest.mark.usefixtures("log_lines")

LINK = r"(http://127\.0\.0\.1:\d+/ui/login/link)#([\w-]{43})"

Run = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
async def key(stage: Stage) -> NewApiKey:
    return await a_new_key(stage.database, "admin", name="mine")


@pytest.fixture
async def closed(stage: Stage) -> AsyncIterator[Served]:
    async with serving_pages(stage, REQUIRED) as served:
        yield served


@pytest.fixture
def run(taskmill: Taskmill, closed: Served, key: NewApiKey, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("TASKMILL_API_KEY", key.text)
    monkeypatch.setenv("TASKMILL_URL", closed.url)
    return lambda *words: asyncio.to_thread(taskmill, *words)


async def test_dashboard_prints_a_link_that_logs_a_browser_in(
    run: Run, closed: Served, key: NewApiKey
) -> None:
    status, out, err = await run("dashboard")
    assert status == 0, err
    found = re.fullmatch(LINK, out.strip())
    assert found is not None
    assert "once" in err
    assert key.text not in out + err
    entered = await closed.http.post(found[1], data={"code": found[2]})
    assert entered.status_code == 303
    assert "mine" in (await closed.get("/ui/tasks")).text
    status, out, _ = await run("dashboard", "--json")
    printed = json.loads(out)
    assert re.fullmatch(LINK, printed["url"])
    assert printed["expires_at"].endswith("Z")


async def test_a_browser_gets_the_link_by_a_file_that_nobody_else_may_read(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    opened: list[str] = []

    def opens(url: str) -> bool:
        opened.append(url)
        return True

    monkeypatch.setattr(webbrowser, "open", opens)
    paths = []
    for _ in range(2):
        status, out, err = await run("dashboard", "--open")
        assert status == 0, err
        path = Path(opened.pop().removeprefix("file://"))
        mode, text = await asyncio.to_thread(lambda: (path.stat().st_mode, path.read_text()))  # noqa: B023 - at once
        assert mode & 0o777 == 0o600
        assert out.strip() in text
        paths.append(path)
    os.utime(paths[0], (0, 0))
    assert (await run("dashboard", "--open"))[0] == 0
    assert [path.exists() for path in paths] == [False, True], "a link that has expired"


async def test_without_a_browser_the_link_is_there_nevertheless(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(webbrowser, "open", lambda _: False)
    status, out, err = await run("dashboard", "--open")
    assert status == 1
    assert re.fullmatch(LINK, out.strip())
    assert "no browser was found" in err


async def test_where_no_keys_are_required_it_is_the_dashboards_address(
    stage: Stage, taskmill: Taskmill
) -> None:
    async with serving_pages(stage, SETTINGS) as served:
        status, out, err = await asyncio.to_thread(taskmill, "dashboard", "--url", served.url)
    assert (status, out, err) == (0, f"{served.url}/\n", "")


async def test_sessions_are_listed_and_revoked(run: Run, stage: Stage, key: NewApiKey) -> None:
    assert await run("session", "list") == (0, "", "nobody is logged in\n")
    token = await a_sessions(stage).begin(key.key)
    _, out, _ = await run("session", "list")
    assert out.splitlines()[0].split() == ["ID", "KEY", "KEY", "ID", "BEGAN", "USED", "ENDS"]
    assert "mine" in out
    _, ids, _ = await run("session", "list", "-q")
    [session_id] = ids.split()
    assert json.loads((await run("session", "list", "--json"))[1])["id"] == session_id
    assert await run("session", "revoke", session_id) == (0, f"ended  {session_id}\n", "")
    status, _, err = await run("session", "revoke", session_id)
    assert status == 1
    assert f"there is no session {session_id}" in err
    assert token not in out
    assert await run("session", "list", "-q") == (0, "", "")
