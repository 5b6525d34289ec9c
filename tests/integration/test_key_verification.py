"""Verifying API keys: what is cached, for how long, and what revoking changes."""

import asyncio
from datetime import datetime, timedelta
from time import perf_counter

import pytest

from taskmill.domain.api_key_errors import NotAuthenticated
from taskmill.domain.api_keys import format_key
from taskmill.domain.errors import Unavailable
from taskmill.operations import api_keys
from taskmill.operations.api_keys import NewApiKey
from taskmill.operations.key_verification import KeyVerifier
from taskmill.operations.verified_cache import FRESH_S
from taskmill.storage.api_keys import all_keys, revoke
from taskmill.storage.notifier import API_KEYS, NotificationListener
from tests.support.api_keys import a_new_key
from tests.support.clocks import ManualClock
from tests.support.locks import until_blocked
from tests.support.polling import eventually
from tests.support.stage import Stage

HERE = "127.0.0.1"


@pytest.fixture
def clock(stage: Stage) -> ManualClock:
    return ManualClock(stage.clock.now())


@pytest.fixture
def verifier(stage: Stage, clock: ManualClock) -> KeyVerifier:
    return KeyVerifier(stage.database, clock)


def sent(key: NewApiKey | str) -> bytes:
    return f"Bearer {key if isinstance(key, str) else key.text}".encode()


async def is_valid(verifier: KeyVerifier, authorization: bytes, host: str = HERE) -> bool:
    try:
        await verifier.verify(authorization, host)
    except NotAuthenticated:
        return False
    return True


async def test_a_key_is_looked_up_once_and_then_known(stage: Stage, verifier: KeyVerifier) -> None:
    made = await a_new_key(stage.database, "metrics")
    assert verifier.known(sent(made), HERE) is None
    assert (await verifier.verify(sent(made), HERE)).id == made.key.id
    known = verifier.known(sent(made), HERE)
    assert known is not None
    assert known.id == made.key.id


@pytest.mark.parametrize("form", ["bearer {}", "BEARER {}", "Bearer  {} "])
async def test_the_scheme_has_any_case(stage: Stage, verifier: KeyVerifier, form: str) -> None:
    made = await a_new_key(stage.database, "metrics")
    assert await is_valid(verifier, form.format(made.text).encode())


@pytest.mark.parametrize(
    "form", ["{}", "Basic {}", "Bearer", "Bearer {0} {0}", "Bearer x{}", "", "Bearer \xff"]
)
async def test_another_form_is_no_key(stage: Stage, verifier: KeyVerifier, form: str) -> None:
    made = await a_new_key(stage.database, "metrics")
    assert not await is_valid(verifier, form.format(made.text).encode("latin-1"))


async def test_what_is_not_valid_is_never_known(stage: Stage, verifier: KeyVerifier) -> None:
    made = await a_new_key(stage.database, "metrics")
    wrong = sent(format_key("test", made.key.id, b"w" * 32))
    for _ in range(2):
        assert not await is_valid(verifier, wrong)
        assert verifier.known(wrong, HERE) is None
    assert await is_valid(verifier, sent(made))
    assert not await is_valid(verifier, wrong)


async def test_a_key_of_networks_is_valid_from_there_only(
    stage: Stage, verifier: KeyVerifier
) -> None:
    made = await a_new_key(stage.database, "metrics", networks=("192.0.2.0/24",))
    for _ in range(2):  # the second time from the cache
        assert await is_valid(verifier, sent(made), "192.0.2.9")
        assert not await is_valid(verifier, sent(made), HERE)
        assert not await is_valid(verifier, sent(made), "")


async def test_a_key_ends_at_its_time_though_it_is_cached(
    stage: Stage, verifier: KeyVerifier, clock: ManualClock
) -> None:
    made = await a_new_key(stage.database, "metrics", lifetime=timedelta(seconds=10))
    assert await is_valid(verifier, sent(made))
    clock.advance(timedelta(seconds=11))
    assert verifier.known(sent(made), HERE) is None
    assert not await is_valid(verifier, sent(made))


async def test_without_notifications_a_revoked_key_ends_after_half_a_minute(
    stage: Stage, verifier: KeyVerifier, clock: ManualClock
) -> None:
    made = await a_new_key(stage.database, "metrics")
    assert await is_valid(verifier, sent(made))
    await revoke(stage.owner_database, made.key.id)
    clock.advance(timedelta(seconds=FRESH_S - 1))
    assert await is_valid(verifier, sent(made))
    clock.advance(timedelta(seconds=1))
    assert FRESH_S <= 30
    assert not await is_valid(verifier, sent(made))


async def test_a_notification_ends_a_revoked_key_at_once(
    stage: Stage, verifier: KeyVerifier
) -> None:
    made = await a_new_key(stage.database, "metrics")
    stop, listening = asyncio.Event(), asyncio.Event()

    def forget() -> None:
        verifier.forget()
        listening.set()

    listener = NotificationListener(stage.database, None, also={API_KEYS: forget})
    async with asyncio.TaskGroup() as group:
        group.create_task(listener.run(stop))
        await listening.wait()
        assert await is_valid(verifier, sent(made))
        began = perf_counter()
        await revoke(stage.owner_database, made.key.draft.name)

        async def is_refused() -> bool:
            return not await is_valid(verifier, sent(made))

        await eventually(is_refused, "a revoked key is refused")
        assert perf_counter() - began < 1
        stop.set()


async def test_rotating_without_overlap_ends_the_key_before(
    stage: Stage, verifier: KeyVerifier, clock: ManualClock
) -> None:
    made = await a_new_key(stage.database, "metrics", name="a")
    await api_keys.rotate(stage.owner_database, "a", environment="test", overlap=timedelta())
    clock.advance(timedelta(seconds=1))
    assert not await is_valid(verifier, sent(made))


async def test_what_was_read_before_a_notification_is_not_cached_after_it(
    stage: Stage, verifier: KeyVerifier
) -> None:
    made = await a_new_key(stage.database, "metrics")
    async with asyncio.TaskGroup() as group, stage.sql.transaction():
        await stage.sql.execute("LOCK TABLE taskmill.api_key IN ACCESS EXCLUSIVE MODE")
        reading = group.create_task(verifier.verify(sent(made), HERE))
        await until_blocked(stage)
        verifier.forget()
    assert (await reading).id == made.key.id
    assert verifier.known(sent(made), HERE) is None


async def test_many_requests_at_once_read_the_key_once(
    stage: Stage, verifier: KeyVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    made, looked_up = await a_new_key(stage.database, "metrics"), []
    fetch = stage.database.fetch

    async def counted(name: str, *arguments: object) -> object:
        looked_up.append(name)
        return await fetch(name, *arguments)

    monkeypatch.setattr(stage.database, "fetch", counted)
    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(verifier.verify(sent(made), HERE))
    assert looked_up == ["get_api_key"]
    assert not verifier._loading


async def test_the_cache_is_bounded(
    stage: Stage, verifier: KeyVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("taskmill.operations.verified_cache._MOST_CACHED", 2)
    made = [await a_new_key(stage.database, "metrics") for _ in range(3)]
    for key in made:
        assert await is_valid(verifier, sent(key))
    known = [verifier.known(sent(key), HERE) is not None for key in made]
    assert known == [False, True, True]


async def test_known_keys_are_valid_while_the_database_is_away(
    stage: Stage, verifier: KeyVerifier
) -> None:
    made, other = (
        await a_new_key(stage.database, "metrics"),
        await a_new_key(stage.database, "metrics"),
    )
    assert await is_valid(verifier, sent(made))
    await stage.sql.execute("ALTER TABLE taskmill.api_key RENAME TO gone")
    assert await is_valid(verifier, sent(made))
    with pytest.raises(Exception, match="api_key"):
        await verifier.verify(sent(other), HERE)


async def test_use_is_recorded_at_most_once_a_minute(stage: Stage, verifier: KeyVerifier) -> None:
    made, unused = (
        await a_new_key(stage.database, "metrics"),
        await a_new_key(stage.database, "metrics"),
    )
    woken: list[str] = []
    verifier.on_use = lambda: woken.append("used")
    for _ in range(3):
        await verifier.verify(sent(made), HERE)
    assert woken == ["used"]

    async def used_at(key: NewApiKey) -> datetime | None:
        [found] = await all_keys(stage.database, key.key.id)
        return found.last_used_at

    assert await used_at(made) is None
    await verifier.record_use()
    first = await used_at(made)
    assert first is not None
    await verifier.verify(sent(made), HERE)
    await verifier.record_use()
    assert await used_at(made) == first
    await stage.sql.execute(
        "UPDATE taskmill.api_key SET last_used_at = last_used_at - interval '61 s'"
    )
    await verifier.verify(sent(made), HERE)
    await verifier.record_use()
    later = await used_at(made)
    assert later is not None
    assert later > first - timedelta(seconds=1)
    assert await used_at(unused) is None


async def test_use_that_could_not_be_recorded_is_recorded_later(
    stage: Stage, verifier: KeyVerifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await a_new_key(stage.database, "metrics")
    await verifier.verify(sent(made), HERE)
    fetch = stage.database.fetch

    async def away(*_: object) -> object:
        raise Unavailable(1, "the database")

    monkeypatch.setattr(stage.database, "fetch", away)
    with pytest.raises(Unavailable):
        await verifier.record_use()
    monkeypatch.setattr(stage.database, "fetch", fetch)
    await verifier.record_use()
    [found] = await all_keys(stage.database, made.key.id)
    assert found.last_used_at is not None
