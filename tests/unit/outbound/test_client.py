"""Requests to endpoints whose addresses come from clients."""

import asyncio
import gzip
import ssl
import subprocess
import threading
from pathlib import Path
from traceback import format_exception

import pytest
from aiohttp import web

from taskmill.outbound.addresses import AddressRules
from taskmill.outbound.errors import AddressRefused, OutboundError, Unreachable
from taskmill.outbound.lookup import Lookup
from taskmill.settings.outgoing import OutboundSettings
from tests.support.endpoint import Received, an_endpoint, ok, status
from tests.support.outbound import a_resolver, an_outbound, sent

NOBODY = AddressRules()


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "localhost", "localhost.", "LOCALHOST", "[::1]", "[::ffff:127.0.0.1]"),
        *("[::ffff:7f00:1]", "[::]", "0.0.0.0", "127.0.0.1.", "ip6-localhost.localdomain"),  # noqa: S104
        *("2130706433", "127.1", "0x7f.1", "0x7f000001", "017700000001", "127.0.1", "0"),
        *("user@127.0.0.1", "example.org@127.0.0.1", "127.0.0.1%00.example.org", "[::1%25lo]"),
        *("127。0。0。1", "①27.0.0.1"),
    ],
)
async def test_this_machine_is_never_called_however_it_is_written(address: str) -> None:
    async with an_endpoint() as endpoint, an_outbound(NOBODY) as outbound:
        port = endpoint.url.rpartition(":")[2]
        with pytest.raises(OutboundError):
            await sent(outbound, f"http://{address}:{port}/")
        assert endpoint.received == []


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["::1"],
        ["169.254.169.254"],
        ["fe80::1%lo"],
        ["::ffff:127.0.0.1"],
        ["64:ff9b::7f00:1"],
        ["10.0.0.1", "192.168.0.1"],
    ],
)
async def test_a_name_that_leads_to_private_addresses_only_is_refused(addresses: list[str]) -> None:
    async with an_outbound(NOBODY, resolve=a_resolver(addresses)) as outbound:
        with pytest.raises(AddressRefused, match=r"^rebind\.example leads to no address"):
            await sent(outbound, "http://rebind.example/secret-path")


async def test_only_the_addresses_of_a_name_that_may_be_called_are() -> None:
    # 127.0.0.1 is allowed here; the other stands for what is not.
    async with (
        an_endpoint() as endpoint,
        an_outbound(resolve=a_resolver(["127.0.0.2", "127.0.0.1"])) as outbound,
    ):
        url = endpoint.url.replace("127.0.0.1", "both.example")
        assert (await sent(outbound, url)).status == 200


async def test_of_a_name_with_thousands_of_addresses_some_are_tried() -> None:
    """Connections to all of them are tried, a quarter of a second apart, until one succeeds."""
    many = [
        *(f"10.0.{n // 250}.{n % 250}" for n in range(2000)),
        *(f"fd00::{n}" for n in range(99)),
    ]
    rules = AddressRules(["10.0.0.0/8", "fd00::/8"])
    found = await Lookup(rules, resolve=a_resolver(many)).resolve("many.example", 80)
    assert [one["host"] for one in found] == [*many[:4], *many[2000:2004]]
    with pytest.raises(Unreachable, match="has no address"):
        await Lookup(rules, resolve=a_resolver([])).resolve("none.example", 80)


async def test_the_address_that_was_checked_is_the_one_that_is_called() -> None:
    """The name leads elsewhere after it was checked: it is not resolved again for that connection."""
    resolved: list[str] = []

    def resolve(host: str) -> list[str]:
        resolved.append(host)
        return ["127.0.0.1"] if len(resolved) == 1 else ["127.0.0.2"]

    async with an_endpoint() as endpoint, an_outbound(resolve=resolve) as outbound:
        url = endpoint.url.replace("127.0.0.1", "rebind.example")
        for _ in range(3):
            assert (await sent(outbound, url)).status == 200
        assert resolved == ["rebind.example"]
        assert endpoint.connections == 1
        # The connection is closed by the endpoint: for a new one the address is checked again.
        endpoint.responds = status(200, Connection="close")
        assert (await sent(outbound, url)).status == 200
        with pytest.raises(AddressRefused):
            await sent(outbound, url)
        assert len(endpoint.received) == 4


async def test_an_allowed_name_may_lead_anywhere_and_others_may_not() -> None:
    rules = AddressRules(["hooks.internal"])
    async with (
        an_endpoint() as endpoint,
        an_outbound(rules, resolve=a_resolver(["127.0.0.1"])) as outbound,
    ):
        assert (
            await sent(outbound, endpoint.url.replace("127.0.0.1", "Hooks.Internal."))
        ).status == 200
        with pytest.raises(AddressRefused):
            await sent(outbound, endpoint.url.replace("127.0.0.1", "other.internal"))


async def test_connections_are_reused_one_after_the_other() -> None:
    async with an_endpoint() as endpoint, an_outbound() as outbound:
        for _ in range(5):
            response = await sent(outbound, endpoint.url)
            assert (response.status, response.body) == (200, b'{"ok": true}')
        assert endpoint.connections == 1


async def test_an_address_is_called_as_it_was_written() -> None:
    async with an_endpoint() as endpoint, an_outbound() as outbound:
        path = "/a%2Fb/%7Ec/./x?signature=a%2bb%20c&d=e+f"
        await sent(outbound, endpoint.url + path)
        assert endpoint.received[0].path == path


async def test_redirects_are_not_followed() -> None:
    async with an_endpoint() as inner, an_endpoint() as endpoint, an_outbound() as outbound:
        for code in (301, 302, 303, 307, 308):
            endpoint.responds = status(code, Location=inner.url)
            assert (await sent(outbound, endpoint.url)).status == code
        assert inner.received == []


async def test_no_cookie_is_stored_and_no_credential_is_found() -> None:
    async with an_endpoint(status(200, Set_Cookie="a=b")) as endpoint, an_outbound() as outbound:
        for _ in range(2):
            await sent(outbound, endpoint.url)
        for received in endpoint.received:
            assert not {"cookie", "authorization"} & set(received.headers)


async def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with an_endpoint() as proxy, an_endpoint() as endpoint, an_outbound() as outbound:
        for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, proxy.url)
        assert (await sent(outbound, endpoint.url)).status == 200
        assert proxy.received == []


async def test_no_more_is_read_of_a_response_than_allowed() -> None:
    async def endless(_: Received) -> web.StreamResponse:
        return web.Response(body=b"x" * 5_000_000)

    limits = OutboundSettings(response_bytes=1000)
    async with an_endpoint(endless) as endpoint, an_outbound(limits=limits) as outbound:
        response = await sent(outbound, endpoint.url)
        assert (response.body, response.is_cut) == (b"x" * 1000, True)

        async def exact(_: Received) -> web.StreamResponse:
            return web.Response(body=b"x" * 1000)

        endpoint.responds = exact
        response = await sent(outbound, endpoint.url)
        assert (response.body, response.is_cut) == (b"x" * 1000, False)
        assert endpoint.connections == 2, "the one with the rest of the long response is closed"


async def test_what_is_packed_stays_packed() -> None:
    bomb = gzip.compress(b"\0" * 20_000_000)

    async def respond(_: Received) -> web.StreamResponse:
        return web.Response(body=bomb, headers={"Content-Encoding": "gzip"})

    async with an_endpoint(respond) as endpoint, an_outbound() as outbound:
        response = await sent(outbound, endpoint.url)
        assert response.body == bomb
        assert endpoint.received[0].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: " + b"y" * 100_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 50_000 + b"\r\n",
        b"HTTP/1.1 99999 Odd\r\n\r\n",
        b"\0" * 100,
    ],
)
async def test_an_invalid_response_counts_as_none(raw: bytes) -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        writer.close()

    server = await asyncio.start_server(babble, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}/?hidden"
    async with server, an_outbound() as outbound:
        with pytest.raises(Unreachable) as caught:
            await sent(outbound, url)
        # The library's own errors have the address: spans and log lines show causes, too.
        assert "hidden" not in "".join(format_exception(caught.value))


async def test_messages_name_the_host_and_not_the_rest_of_an_address() -> None:
    async with an_outbound() as outbound:
        for url in ("http://127.0.0.1:1/token?key=hidden", "http://a.invalid/hidden"):
            with pytest.raises(Unreachable) as caught:
                await sent(outbound, url)
            assert "hidden" not in "".join(format_exception(caught.value))
            assert url.split("/")[2].split(":")[0] in str(caught.value)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf"])
async def test_the_time_is_for_everything_together(begun: bytes) -> None:
    over = asyncio.Event()

    async def hang(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(begun)
        await over.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, an_outbound() as outbound:
        with pytest.raises(Unreachable, match=r"did not answer within 0\.3 s"):
            await sent(outbound, f"http://127.0.0.1:{port}/", timeout_s=0.3)
        over.set()


async def test_a_resolver_that_hangs_blocks_nobody_else() -> None:
    may_end, threads = threading.Event(), []

    def resolve(host: str) -> list[str]:
        threads.append(host)
        if host == "slow.example":
            may_end.wait(20)
        return ["127.0.0.1"]

    async with an_endpoint() as endpoint, an_outbound(resolve=resolve) as outbound:
        slow, quick = (
            endpoint.url.replace("127.0.0.1", host) for host in ("slow.example", "quick.example")
        )
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(sent(outbound, slow)) for _ in range(40)]
            assert (await sent(outbound, quick)).status == 200
            waiting[0].cancel()
            assert not any(one.done() for one in waiting[1:])
            may_end.set()
        assert [one.result().status for one in waiting[1:]] == [200] * 39
        assert sorted(threads) == ["quick.example", "slow.example"], (
            "a host is resolved once at a time"
        )


async def test_unresolvable_names_hold_up_no_other_and_are_not_looked_up_once_nobody_waits() -> (
    None
):
    may_end, resolved = threading.Event(), []

    def resolve(host: str) -> list[str]:
        resolved.append(host)
        if host.startswith("dead"):
            may_end.wait(20)
        return ["127.0.0.1"]

    async with an_endpoint() as endpoint, an_outbound(resolve=resolve) as outbound:

        def at(host: str) -> str:
            return endpoint.url.replace("127.0.0.1", host)

        async def given_up(number: int) -> None:
            with pytest.raises(Unreachable):
                await sent(outbound, at(f"dead{number}.example"), timeout_s=1)

        async with asyncio.TaskGroup() as group:
            for number in range(100):
                group.create_task(given_up(number))
            assert (await sent(outbound, at("quick.example"))).status == 200
        async with asyncio.TaskGroup() as group:
            for number in range(100, 300):
                group.create_task(given_up(number))
        may_end.set()
        assert (await sent(outbound, at("later.example"))).status == 200
        assert len(resolved) == 258, "256 dead ones, and the two that were there"


async def test_a_name_that_is_not_there_is_unreachable() -> None:
    def resolve(_: str) -> list[str]:
        raise OSError(-2, "Name or service not known")

    async with an_outbound(resolve=resolve) as outbound:
        for _ in range(2):
            with pytest.raises(Unreachable, match=r"name a\.example was not found"):
                await sent(outbound, "http://a.example/")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of its own authority, for hooks.example only."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(  # noqa: S603 - our own arguments
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", "2", "-subj", "/CN=hooks.example"),
            *("-addext", "subjectAltName=DNS:hooks.example"),
            *("-keyout", str(folder / "pem"), "-out", str(folder / "certificate.pem")),
        ],
        check=True,
        capture_output=True,
    )
    with (folder / "pem").open("a") as pem:
        pem.write((folder / "certificate.pem").read_text())
    return folder / "pem"


async def test_tls_is_checked_against_the_name_not_the_address(certificate: Path) -> None:
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(certificate)
    trust = ssl.create_default_context(cafile=str(certificate))
    resolve = a_resolver(["127.0.0.1"])
    async with an_endpoint(ok, tls=served) as endpoint:
        right = endpoint.url.replace("127.0.0.1", "hooks.example")
        async with an_outbound(resolve=resolve, trust=trust) as outbound:
            assert (await sent(outbound, right)).status == 200
            for host in ("other.example", "127.0.0.1"):
                with pytest.raises(Unreachable, match="its certificate was not accepted"):
                    await sent(outbound, endpoint.url.replace("127.0.0.1", host))
        async with an_outbound(resolve=resolve) as outbound:
            with pytest.raises(Unreachable, match="its certificate was not accepted"):
                await sent(outbound, right)
        assert len(endpoint.received) == 1


async def test_no_more_connections_are_opened_to_one_host_than_allowed() -> None:
    may_end, are_inside, inside = asyncio.Event(), asyncio.Event(), []

    async def wait_for_end(received: Received) -> web.StreamResponse:
        inside.append(received)
        if len(inside) == 3:
            are_inside.set()
        await may_end.wait()
        return await ok(received)

    limits = OutboundSettings(connections=10, connections_per_host=3)
    async with an_endpoint(wait_for_end) as endpoint, an_outbound(limits=limits) as outbound:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(sent(outbound, endpoint.url)) for _ in range(9)]
            await are_inside.wait()
            may_end.set()
        assert [task.result().status for task in tasks] == [200] * 9
        assert endpoint.connections == 3


async def test_waiting_for_a_connection_does_not_use_the_endpoints_time_or_hold_up_another_host() -> (
    None
):
    async def slow(received: Received) -> web.StreamResponse:
        await asyncio.sleep(0.2)
        return await ok(received)

    limits = OutboundSettings(connections=4, connections_per_host=2)
    async with (
        an_endpoint(slow) as endpoint,
        an_endpoint() as other,
        an_outbound(limits=limits) as outbound,
        asyncio.TaskGroup() as group,
    ):
        tasks = [group.create_task(sent(outbound, endpoint.url, timeout_s=0.9)) for _ in range(12)]
        assert (await sent(outbound, other.url)).status == 200
        assert not any(task.done() for task in tasks)
    assert [task.result().status for task in tasks] == [200] * 12
