"""Clients that send too many requests: which are refused, by the fast path and by the layers, and who is not."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from time import perf_counter
from typing import Any
from uuid import UUID

import httpx
import pytest

from taskmill.api import app as api_app
from taskmill.domain.api_keys import format_key
from taskmill.observability.metrics import REQUESTS_LIMITED
from taskmill.operations import api_keys
from taskmill.operations.api_keys import NewApiKey
from taskmill.operations.key_verification import KeyVerifier
from taskmill.operations.verified_cache import FRESH_S
from taskmill.runtime.rate_limits import REFUSAL_DELAY_S, RateLimits
from taskmill.settings import RateLimitSettings, Settings
from tests.support.api import LIMITS, LogLines, Served, serving
from tests.support.api_keys import a_new_key, shown
from tests.support.attackers import ATTACKER
from tests.support.audit import entries
from tests.support.clocks import ManualClock
from tests.support.pages import HTMX, serving_pages
from tests.support.raw_requests import LONG_WAY
from tests.support.stage import Stage

BURST = 5
ADDRESSES = RateLimitSettings(address_rate=1, address_burst=BURST, exempt=())
KEYS = RateLimitSettings(key_rate=1, key_burst=BURST)
EVERY_WAY = [
    ("GET", f"/tasks/{UUID(int=7)}", {}),
    ("GET", f"/tasks/{UUID(int=7)}", LONG_WAY),
    ("POST", "/tasks", {}),
    ("POST", "/tasks", LONG_WAY),
    ("GET", "/nowhere", {}),
    ("GET", "/queues", {}),
    ("GET", "/docs", {}),
]


@pytest.fixture(autouse=True)
def stopped_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """No token comes back, however slow the machine is."""
    monkeypatch.setattr(api_app, "RateLimits", lambda limits: RateLimits(limits, lambda: 1000.0))


def limited(limits: RateLimitSettings, **settings: Any) -> Settings:  # noqa: ANN401 - values of settings
    return Settings(limits=LIMITS, rate_limits=limits, **settings)


@pytest.fixture
async def by_address(stage: Stage) -> AsyncIterator[Served]:
    async with serving(stage.service, limited(ADDRESSES)) as served:
        yield served


@pytest.fixture
async def by_key(stage: Stage) -> AsyncIterator[Served]:
    async with serving(stage.service, limited(KEYS, auth="required")) as served:
        yield served


async def statuses(count: int, send: Callable[[], Any]) -> list[int]:
    """The statuses of so many requests, one after the other."""
    return [(await send()).status_code for _ in range(count)]


def is_limited(response: httpx.Response) -> bool:
    """Whether a response is the complete refusal of one request too many."""
    if response.status_code != 429:
        return False
    problem, headers = response.json(), response.headers
    assert problem["type"] == "/problems/rate-limit-exceeded"
    assert (problem["limit"], problem["retry_after_s"]) == (BURST, pytest.approx(1))
    assert headers["retry-after"] == "1"
    by = "this API key" if headers["ratelimit"].startswith('"key"') else "this address"
    assert problem["detail"].startswith(f"{by} may send 5 requests at once, and 1 a second")
    name = headers["ratelimit"].split(";")[0]
    assert headers["ratelimit"] == f"{name};r=0;t=1"
    assert headers["ratelimit-policy"] == f"{name};q=5;w=5"
    return True


@pytest.mark.parametrize(("method", "path", "headers"), EVERY_WAY)
async def test_an_address_may_send_a_burst_and_no_more(
    by_address: Served, method: str, path: str, headers: dict[str, str]
) -> None:
    body = b'{"name": "a task"}' if method == "POST" else None

    async def send() -> httpx.Response:
        return await by_address.http.request(method, path, content=body, headers=headers)

    accepted = await statuses(BURST, send)
    assert 429 not in accepted
    assert is_limited(await send())
    if method == "POST":
        transport = httpx.AsyncHTTPTransport(local_address=ATTACKER)
        async with httpx.AsyncClient(base_url=by_address.url, transport=transport) as other:
            assert (await other.get("/tasks")).json()["total"] == BURST, "nothing was done"


async def test_an_address_that_sends_too_many_does_not_hinder_another(by_address: Served) -> None:
    transport = httpx.AsyncHTTPTransport(local_address=ATTACKER)
    async with httpx.AsyncClient(base_url=by_address.url, transport=transport) as attacker:
        found = await statuses(20, lambda: attacker.get("/queues"))
    assert found == [200] * BURST + [429] * 15
    assert (await by_address.get("/queues")).status_code == 200


async def test_probes_are_never_refused(by_address: Served) -> None:
    await statuses(BURST + 1, lambda: by_address.get("/queues"))
    for path in ("/healthz", "/readyz"):
        assert (await by_address.get(path)).status_code == 200
        assert "ratelimit" not in (await by_address.get(path)).headers


@pytest.mark.parametrize("headers", [{}, LONG_WAY])
async def test_responses_say_what_is_left_once_it_is_less_than_half(
    by_address: Served, headers: dict[str, str]
) -> None:
    said = []
    for _ in range(BURST):
        response = await by_address.get(f"/tasks/{UUID(int=7)}", headers=headers)
        assert response.status_code == 404
        said.append(response.headers.get("ratelimit"))
    first = [None, None]
    assert said == [*first, '"address";r=2;t=3', '"address";r=1;t=4', '"address";r=0;t=5']


async def test_a_request_that_the_fast_path_leaves_to_the_layers_counts_once(
    by_address: Served,
) -> None:
    found = await statuses(BURST + 1, lambda: by_address.post("/tasks", {"name": 7}))
    assert found == [422] * BURST + [429]


async def test_a_batch_is_one_request(by_address: Served) -> None:
    batch = [{"name": f"{number}"} for number in range(20)]
    found = await statuses(BURST + 1, lambda: by_address.post("/tasks/batch", batch))
    assert found == [201] * BURST + [429]


async def test_the_legacy_api_refuses_in_its_own_form(by_address: Served) -> None:
    path = "/task_service/api/v1/task/"
    await statuses(BURST, lambda: by_address.get(path))
    refused = await by_address.get(path)
    assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
    assert list(refused.json()) == ["detail"]


@pytest.mark.parametrize(
    ("language", "title"), [("en", "Too many requests"), ("ru", "Слишком много запросов")]
)
async def test_a_page_of_the_dashboard_is_refused_by_a_page(
    stage: Stage, language: str, title: str
) -> None:
    task = await stage.created()
    async with serving_pages(stage, limited(ADDRESSES)) as served:
        await statuses(BURST, lambda: served.get("/queues"))
        headers = {"accept-language": language, "content-type": "application/x-www-form-urlencoded"}
        for method, path in (
            ("GET", "/"),
            ("GET", f"/ui/tasks/{task.id}"),
            ("GET", "/ui/nowhere"),
            ("POST", f"/ui/tasks/{task.id}/cancel"),
        ):
            refused = await served.http.request(method, path, headers=headers)
            assert refused.status_code == 429
            assert refused.headers["content-type"] == "text/html; charset=utf-8"
            assert refused.headers["retry-after"] == "1"
            assert refused.headers["ratelimit"] == '"address";r=0;t=1'
            assert refused.headers["content-security-policy"]
            assert f"<h1>{title}" in re.sub(r"<h1[^>]*>", "<h1>", refused.text)
            assert f'lang="{language}"' in refused.text
            assert path == "/" or path not in refused.text, "one page serves all addresses"
        part = await served.get("/ui/tasks", headers=headers | HTMX)
        assert (part.status_code, "<html" in part.text) == (429, False)
        assert (await served.get("/tasks")).json()["type"] == "/problems/rate-limit-exceeded"
    assert (await stage.task(task.id)).version == task.version


@pytest.mark.parametrize("headers", [{}, LONG_WAY])
async def test_a_refusal_comes_a_moment_late(by_address: Served, headers: dict[str, str]) -> None:
    path = f"/tasks/{UUID(int=7)}"
    await statuses(BURST, lambda: by_address.get(path))
    began = perf_counter()
    assert is_limited(await by_address.get(path, headers=headers))
    assert perf_counter() - began >= REFUSAL_DELAY_S


async def test_this_machine_without_keys_is_not_limited_unless_set(stage: Stage) -> None:
    narrow = RateLimitSettings(address_rate=1, address_burst=1)
    async with serving(stage.service, limited(narrow)) as served:
        assert set(await statuses(20, lambda: served.get("/queues"))) == {200}


@pytest.mark.parametrize(("method", "path", "headers"), EVERY_WAY[:-1])
async def test_a_key_may_send_a_burst_and_no_more_and_others_are_not_hindered(
    by_key: Served, stage: Stage, method: str, path: str, headers: dict[str, str]
) -> None:
    greedy, other = [await a_new_key(stage.database, "admin") for _ in range(2)]
    body = b'{"name": "a task"}' if method == "POST" else None

    async def send(key: NewApiKey) -> httpx.Response:
        headers_of = {**headers, **shown(key)}
        return await by_key.http.request(method, path, content=body, headers=headers_of)

    await send(greedy)  # its key is looked up, so it counts for the address
    accepted = await statuses(BURST, lambda: send(greedy))
    assert 429 not in accepted
    refused = await send(greedy)
    assert is_limited(refused)
    assert refused.headers["ratelimit"].startswith('"key"')
    assert 429 not in await statuses(BURST + 1, lambda: send(other))


async def test_both_live_keys_of_a_name_share_a_bucket(by_key: Served, stage: Stage) -> None:
    old = await a_new_key(stage.database, "admin", name="rotated")
    new = await api_keys.rotate(
        stage.owner_database, "rotated", environment="test", overlap=timedelta(hours=1)
    )
    for key in (old, new):
        await by_key.get("/queues", headers=shown(key))
    await statuses(BURST, lambda: by_key.get("/queues", headers=shown(old)))
    assert is_limited(await by_key.get("/queues", headers=shown(new)))


async def test_a_key_counts_however_its_header_is_written(by_key: Served, stage: Stage) -> None:
    key = await a_new_key(stage.database, "admin")
    await by_key.get("/queues", headers=shown(key))
    spellings = [f"{scheme} {key.text}" for scheme in ("Bearer", "bearer", "BEARER", "Bearer  ")]
    found = [
        (await by_key.get("/queues", headers=shown_as)).status_code
        for shown_as in [{"authorization": spelling} for spelling in spellings * 2]
    ]
    assert found == [200] * BURST + [429] * (len(found) - BURST)


@asynccontextmanager
async def guarded(stage: Stage) -> AsyncIterator[Served]:
    """A server that requires keys, and limits this machine's addresses, too."""
    limits = ADDRESSES.model_copy(update={"key_rate": 0})
    async with serving(stage.service, limited(limits, auth="required")) as served:
        yield served


async def test_wrong_keys_are_not_looked_up_any_more_and_right_ones_go_on(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    known, unknown = [await a_new_key(stage.database, "admin") for _ in range(2)]
    wrong = format_key("test", known.key.id, b"w" * 32)
    looked_up = []
    load = KeyVerifier._load

    async def counted(self: KeyVerifier, *arguments: Any) -> object:  # noqa: ANN401 - passed on
        looked_up.append(arguments)
        return await load(self, *arguments)

    monkeypatch.setattr(KeyVerifier, "_load", counted)
    async with guarded(stage) as served:
        assert (await served.get("/queues", headers=shown(known))).status_code == 200
        found = await statuses(10, lambda: served.get("/queues", headers=shown(wrong)))
        assert found == [401] * (BURST - 1) + [429] * (11 - BURST)
        assert len(looked_up) == BURST
        right = await statuses(20, lambda: served.get("/queues", headers=shown(known)))
        assert set(right) == {200}
        assert (await served.get("/queues", headers=shown(unknown))).status_code == 429


async def test_a_key_that_is_looked_up_again_does_not_wait_for_its_address(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(stage.clock.now())
    monkeypatch.setattr("tests.support.api.SystemClock", lambda: clock)
    key = await a_new_key(stage.database, "admin")
    async with guarded(stage) as served:
        await served.get("/queues", headers=shown(key))
        await statuses(BURST, lambda: served.get("/docs"))
        clock.advance(timedelta(seconds=FRESH_S + 1))
        for _ in range(2):
            assert (await served.get("/queues", headers=shown(key))).status_code == 200
        await api_keys.revoke(stage.owner_database, key.key.draft.name)
        clock.advance(timedelta(seconds=FRESH_S + 1))
        found = await statuses(3, lambda: served.get("/queues", headers=shown(key)))
        assert found == [401, 429, 429]


async def test_a_change_of_other_keys_makes_no_key_wait_for_its_address(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    verifiers: list[KeyVerifier] = []

    def noted(*arguments: Any) -> KeyVerifier:  # noqa: ANN401 - passed on
        verifiers.append(KeyVerifier(*arguments))
        return verifiers[0]

    monkeypatch.setattr("tests.support.api.KeyVerifier", noted)
    key = await a_new_key(stage.database, "admin")
    async with guarded(stage) as served:
        await served.get("/queues", headers=shown(key))
        await statuses(BURST, lambda: served.get("/docs"))
        verifiers[0].forget()
        assert (await served.get("/queues", headers=shown(key))).status_code == 200
        await api_keys.revoke(stage.owner_database, key.key.draft.name)
        verifiers[0].forget()
        found = await statuses(3, lambda: served.get("/queues", headers=shown(key)))
        assert found == [401, 429, 429]


@pytest.mark.parametrize("path", ["/queues", f"/tasks/{UUID(int=7)}"])
async def test_refusals_are_counted_logged_and_recorded_by_key(
    by_key: Served, stage: Stage, log_lines: LogLines, path: str
) -> None:
    before = REQUESTS_LIMITED.value("key")
    key = await a_new_key(stage.database, "admin", name="greedy")
    await statuses(BURST + 4, lambda: by_key.get(path, headers=shown(key)))
    assert REQUESTS_LIMITED.value("key") - before == 3
    lines = [line for line in log_lines.named("request.served") if line["status"] == 429]
    assert [line["api_key"] for line in lines] == [key.key.id] * 3
    await stage.service.refusals.write()
    [entry] = [one for one in await entries(stage) if one.action == "access.refuse"]
    assert (entry.origin.actor.name, entry.reason) == ("greedy", "rate-limited")
    assert entry.asked == '{"requests":3}'
