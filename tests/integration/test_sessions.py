"""Sessions of the dashboard: what is cached, for how long, and what ends them."""

import asyncio
from datetime import timedelta

import pytest

from taskmill.domain.api_key_errors import NotAuthenticated
from taskmill.domain.audit import ActorKind
from taskmill.domain.sessions import token_hash
from taskmill.operations.api_keys import NewApiKey
from taskmill.operations.sessions import Sessions
from taskmill.storage.api_keys import revoke
from taskmill.storage.notifier import API_KEYS, SESSIONS, NotificationListener
from tests.support.api_keys import REQUIRED, a_new_key, shown
from tests.support.audit import entries
from tests.support.clocks import ManualClock
from tests.support.pages import a_sessions, serving_pages
from tests.support.polling import eventually
from tests.support.stage import Stage

HERE = "127.0.0.1"


async def is_valid(sessions: Sessions, token: str, host: str = HERE) -> bool:
    try:
        await sessions.verify(token, host)
    except NotAuthenticated:
        return False
    return True


async def test_a_notification_ends_a_session_in_another_process(
    stage: Stage,
) -> None:
    here, there = a_sessions(stage), a_sessions(stage)
    key = await a_new_key(stage.database, "tasks:read")
    stop, listening = asyncio.Event(), asyncio.Event()

    def forget() -> None:
        there.forget()
        listening.set()

    listener = NotificationListener(stage.database, None, also={API_KEYS: forget, SESSIONS: forget})
    async with asyncio.TaskGroup() as group:
        group.create_task(listener.run(stop))
        await listening.wait()
        tokens = [await here.begin(key.key) for _ in range(2)]
        assert all([await is_valid(there, token) for token in tokens])

        async def is_refused(token: str) -> bool:
            return not await is_valid(there, token)

        found = await here.verify(tokens[0], HERE)
        async with asyncio.timeout(5):
            await here.end(found.id, key=found.key)
            await eventually(lambda: is_refused(tokens[0]), "the session has ended there")
            assert await is_valid(there, tokens[1])
            await revoke(stage.owner_database, key.key.id)
            await eventually(lambda: is_refused(tokens[1]), "its key has ended there")
        stop.set()


async def test_a_session_ends_when_it_is_idle_and_after_a_week(stage: Stage) -> None:
    clock = ManualClock(stage.clock.now())
    sessions = a_sessions(stage)
    sessions._clock = sessions.keys._clock = clock
    key = await a_new_key(stage.database, "tasks:read")
    token = await sessions.begin(key.key)
    assert await is_valid(sessions, token)
    clock.advance(timedelta(hours=12, seconds=1))
    # The database's clock has not moved: what is cached ends by this process's.
    assert not await is_valid(sessions, token)

    token = await sessions.begin(key.key)
    back = "UPDATE taskmill.session SET created_at = created_at - $1::interval, used_at = used_at - $1::interval"
    clock.advance(-timedelta(hours=12, seconds=1))
    await stage.sql.execute(back, timedelta(days=6, hours=20))
    assert await is_valid(sessions, token)
    await sessions.record_use()
    [row] = await stage.sql.fetch(
        "SELECT ends_at - created_at AS lasts, now() - used_at AS idle FROM taskmill.session "
        "WHERE token_hash = $1",
        token_hash(token),
    )
    assert row["lasts"] == timedelta(days=7)
    assert row["idle"] < timedelta(minutes=1)


async def test_sessions_that_have_ended_are_pruned(stage: Stage) -> None:
    sessions = a_sessions(stage)
    key = await a_new_key(stage.database, "tasks:read")
    ended, live = [await sessions.begin(key.key) for _ in range(2)]
    await stage.sql.execute(
        "UPDATE taskmill.session SET ends_at = now() WHERE token_hash = $1", token_hash(ended)
    )
    assert len(await stage.maintenance_database.fetch("prune_sessions", 10)) == 1
    assert await is_valid(sessions, live)


async def test_a_session_is_looked_up_once_and_comes_from_the_networks_of_its_key(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sessions, looked_up = a_sessions(stage), []
    key = await a_new_key(stage.database, "tasks:read", networks=("192.0.2.0/24",))
    token = await sessions.begin(key.key)
    fetch = stage.database.fetch

    async def counted(name: str, *arguments: object) -> object:
        looked_up.append(name)
        return await fetch(name, *arguments)

    monkeypatch.setattr(stage.database, "fetch", counted)
    for _ in range(3):
        assert await is_valid(sessions, token, "192.0.2.1")
        assert not await is_valid(sessions, token, HERE)
    assert looked_up == ["get_session"]


async def test_what_a_session_does_is_recorded_as_done_by_it(stage: Stage) -> None:
    key = await a_new_key(stage.database, "tasks:read", "tasks:operate")
    task = await stage.created()
    async with serving_pages(stage, REQUIRED) as pages:
        entered = await pages.http.post("/ui/login", data={"key": key.text})
        assert entered.status_code == 303
        assert (await pages.post(f"/ui/tasks/{task.id}/cancel")).status_code == 303
    newest, _ = await entries(stage)  # the other one is about the key
    actor = newest.origin.actor
    [row] = await stage.sql.fetch("SELECT id FROM taskmill.session")
    assert (actor.kind, actor.name, actor.key_id, actor.session) == (
        ActorKind.SESSION,
        key.key.draft.name,
        key.key.id,
        str(row["id"]),
    )


async def test_sessions_are_listed_and_ended_for_their_key_only_or_by_admin(stage: Stage) -> None:
    keys = [
        await a_new_key(stage.database, grant) for grant in ("tasks:read", "tasks:read", "admin")
    ]
    async with serving_pages(stage, REQUIRED) as pages:
        cookies, ids = [], []
        for key in keys:
            pages.http.cookies.clear()
            entered = await pages.http.post("/ui/login", data={"key": key.text})
            cookies.append({"cookie": entered.headers["set-cookie"].partition(";")[0]})
            [row] = await stage.sql.fetch(
                "SELECT id FROM taskmill.session WHERE key_id = $1", key.key.id
            )
            ids.append(str(row["id"]))
        pages.http.cookies.clear()
        mine, other, admin = cookies
        text = (await pages.get("/ui/sessions", headers=mine)).text
        assert [one in text for one in ids] == [True, False, False]
        foreign = await pages.post(f"/ui/sessions/{ids[1]}/end", headers=mine)
        assert foreign.status_code == 404
        assert (await pages.get("/ui/tasks", headers=other)).status_code == 200
        text = (await pages.get("/ui/sessions", headers=admin)).text
        assert all(one in text for one in ids)
        assert (await pages.post(f"/ui/sessions/{ids[1]}/end", headers=admin)).status_code == 303
        assert (await pages.get("/ui/tasks", headers=other)).status_code == 303
        newest, *_ = await entries(stage)
        assert (newest.action, newest.target_id) == ("session.end", ids[1])
        assert newest.origin.actor.session == ids[2]
        assert (await pages.post(f"/ui/sessions/{ids[0]}/end", headers=mine)).status_code == 303
        assert (await pages.get("/ui/sessions", headers=mine)).status_code == 303


async def test_the_api_lists_and_ends_sessions_as_the_page_does(stage: Stage) -> None:
    mine, other, admin = [
        await a_new_key(stage.database, grant) for grant in ("metrics", "tasks:read", "admin")
    ]
    sessions = a_sessions(stage)
    await sessions.begin(other.key)
    await sessions.begin(admin.key)
    async with serving_pages(stage, REQUIRED) as served:
        # An unused link is no session yet.
        assert (await served.post("/login-links", headers=shown(other))).status_code == 201

        async def seen(key: NewApiKey) -> list[dict[str, str]]:
            response = await served.get("/sessions", headers=shown(key))
            assert response.status_code == 200
            items: list[dict[str, str]] = response.json()["items"]
            return items

        assert await seen(mine) == []
        [found] = await seen(other)
        assert (found["key_id"], found["key_name"]) == (other.key.id, other.key.draft.name)
        assert {one["key_id"] for one in await seen(admin)} == {other.key.id, admin.key.id}
        path = f"/sessions/{found['id']}"
        foreign = await served.http.delete(path, headers=shown(mine))
        assert (foreign.status_code, foreign.json()["type"]) == (404, "/problems/session-not-found")
        assert (await served.http.delete(path, headers=shown(admin))).status_code == 204
        assert (await served.http.delete(path, headers=shown(other))).status_code == 404
        assert await seen(other) == []
        newest, *_ = await entries(stage)
        assert (newest.action, newest.target_id) == ("session.end", found["id"])
