"""Missing bodies, whatever content type a library sends with them, and bodies of which nothing is stored."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from tests.support.api import Served


async def a_renewal(api: Served) -> str:
    """Take a task, and return the address at which its lease is renewed."""
    await api.create()
    lease = await api.post("/leases", {"worker": "w", "types": ["emulate"]})
    assert lease.status_code == 201
    return f"/leases/{lease.json()['lease_id']}/renew"


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "application/octet-stream"},
        {"content-type": "text/html"},
        {"content-encoding": "gzip"},
    ],
)
async def test_a_renewal_without_a_body_is_accepted_with_any_content_type(
    api: Served, headers: dict[str, str]
) -> None:
    """As HTTP libraries do: aiohttp sends a content type without a body."""
    path = await a_renewal(api)

    response = await api.post(path, headers=headers)
    assert response.status_code == 200, response.text
    assert (await api.post(path, b"{}", headers=headers)).status_code == 415


async def test_a_renewal_without_a_body_may_come_in_no_chunks(api: Served) -> None:
    async def nothing() -> AsyncIterator[bytes]:
        for part in list[bytes]():
            yield part

    headers = {"content-type": "application/octet-stream"}
    response = await api.http.post(await a_renewal(api), content=nothing(), headers=headers)
    assert response.request.headers["transfer-encoding"] == "chunked"
    assert response.status_code == 200, response.text


async def test_aiohttp_renews_a_lease_without_a_body(api: Served) -> None:
    url = api.url + await a_renewal(api)
    async with aiohttp.ClientSession() as session:
        async with session.post(url) as response:
            assert response.status == 200, await response.text()
        async with session.post(url, data=b"") as response:
            assert response.status == 200, await response.text()


async def test_lines_below_the_stored_level_are_left_out_without_a_fault(api: Served) -> None:
    """The settings store none below `info`."""
    task = await api.create()
    lease = (await api.post("/leases", {"worker": "w", "types": ["emulate"]})).json()
    body = {"lease_id": lease["lease_id"], "claim_no": 1, "first": 1}
    lines = {"lines": [{"message": "quiet", "level": "debug"}]}
    response = await api.post(f"/tasks/{task['id']}/logs", {**body, **lines})
    assert (response.status_code, response.json()) == (200, {"left_out": 1})
    stale = await api.post(f"/tasks/{task['id']}/logs", {**body, **lines, "claim_no": 2})
    assert stale.status_code == 409
