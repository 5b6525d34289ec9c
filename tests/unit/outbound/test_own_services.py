"""This installation's own services are never called, whatever is allowed and however they are written."""

import socket
from collections.abc import Sequence

import pytest

from taskmill.outbound.addresses import AddressRules
from taskmill.outbound.client import Outbound
from taskmill.outbound.errors import OwnServiceRefused, Unreachable
from taskmill.outbound.lookup import Resolve
from taskmill.outbound.own_services import OwnService, OwnServices
from taskmill.settings.outgoing import OutboundSettings
from tests.support.endpoint import Endpoint, an_endpoint
from tests.support.outbound import an_outbound, sent

EVERYTHING = AddressRules(["0.0.0.0/0", "::/0", "*.example"])


def at(host: str, port: int = 1) -> OwnServices:
    """A database at a host."""
    return OwnServices(lambda: [OwnService("the database", host, port)])


def names(**addresses: Sequence[str]) -> Resolve:
    """A resolver that knows these names below `.example`, and no others."""

    def resolve(host: str) -> Sequence[str]:
        try:
            return addresses[host.removesuffix(".example")]
        except KeyError:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known") from None

    return resolve


def port_of(endpoint: Endpoint) -> int:
    return int(endpoint.url.rpartition(":")[2])


@pytest.mark.parametrize(
    "written",
    [
        *("127.0.0.1", "127.0.0.2", "0.0.0.0", "localhost", "[::1]", "[::]"),  # noqa: S104 - called, not bound
        *("[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "127.0.0.1.", "LOCALHOST."),
    ],
)
@pytest.mark.parametrize("own", ["127.0.0.1", "0.0.0.0", "::", "::1", "localhost"])  # noqa: S104 - compared
async def test_a_service_of_this_machine_is_never_called_however_it_is_written(
    written: str, own: str
) -> None:
    async with an_endpoint() as endpoint:
        services = at(own, port_of(endpoint))
        async with an_outbound(EVERYTHING, own_services=services) as outbound:
            with pytest.raises(OwnServiceRefused, match="it is the database of this Taskmill"):
                await sent(outbound, f"http://{written}:{port_of(endpoint)}/")
        assert endpoint.received == []


@pytest.mark.parametrize(
    ("own", "called"),
    [
        ("db.example", "10.0.0.5"),
        ("db.example", "other.example"),
        ("10.0.0.5", "other.example"),
        ("db.example", "[::ffff:10.0.0.5]"),
        ("v6.example", "[2001:db8:0::5]"),
        ("db.example", "db.example"),
    ],
)
async def test_a_service_elsewhere_is_known_by_its_addresses(own: str, called: str) -> None:
    resolve = names(db=["10.0.0.4", "10.0.0.5"], other=["10.0.0.5"], v6=["2001:db8::5"])
    async with an_outbound(EVERYTHING, own_services=at(own), resolve=resolve) as outbound:
        with pytest.raises(OwnServiceRefused, match=r"port 1 of .* it is the database"):
            await sent(outbound, f"http://{called}:1/")


async def test_other_ports_and_other_addresses_are_called() -> None:
    resolve = names(db=["192.0.2.1"])
    async with an_endpoint() as endpoint:
        port = port_of(endpoint)
        for services in (at("127.0.0.1", port + 1), at("192.0.2.1", port), at("db.example", port)):
            async with an_outbound(own_services=services, resolve=resolve) as outbound:
                assert (await sent(outbound, endpoint.url)).status == 200


async def test_of_a_name_only_the_addresses_of_others_are_called() -> None:
    """The service's address comes first, and is left out."""
    async with an_endpoint() as endpoint:
        services = at("192.0.2.1", port_of(endpoint))
        resolve = names(both=["192.0.2.1", "127.0.0.1"])
        async with an_outbound(EVERYTHING, own_services=services, resolve=resolve) as outbound:
            url = endpoint.url.replace("127.0.0.1", "both.example")
            assert (await sent(outbound, url)).status == 200


async def test_the_name_of_a_service_is_resolved_only_for_calls_on_its_port() -> None:
    resolved: list[str] = []

    def resolve(host: str) -> list[str]:
        resolved.append(host)
        return ["127.0.0.1"]

    async with an_endpoint() as endpoint:
        services = at("db.example", port_of(endpoint) + 1)
        async with an_outbound(EVERYTHING, own_services=services, resolve=resolve) as outbound:
            await sent(outbound, endpoint.url.replace("127.0.0.1", "shop.example"))
            assert resolved == ["shop.example"]
            with pytest.raises(OwnServiceRefused):
                await sent(outbound, f"http://shop.example:{port_of(endpoint) + 1}/")
            assert resolved == ["shop.example", "shop.example", "db.example"]


async def test_a_name_that_can_not_be_resolved_now_keeps_its_port_from_being_called() -> None:
    def resolve(_: str) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    async with an_endpoint() as endpoint:
        services = at("db.example", port_of(endpoint))
        async with an_outbound(own_services=services, resolve=resolve) as outbound:
            with pytest.raises(Unreachable, match=r"name db\.example was not found"):
                await sent(outbound, endpoint.url)
        assert endpoint.received == []


async def test_a_name_that_does_not_exist_keeps_nothing_from_being_called() -> None:
    async with an_endpoint() as endpoint:
        services = at("gone.example", port_of(endpoint))
        async with an_outbound(own_services=services, resolve=names()) as outbound:
            assert (await sent(outbound, endpoint.url)).status == 200


async def test_services_that_become_known_later_are_refused_then() -> None:
    known: list[OwnService] = []
    async with an_endpoint() as endpoint:
        outbound = Outbound(EVERYTHING, OutboundSettings(), own_services=OwnServices(lambda: known))
        assert (await sent(outbound, endpoint.url)).status == 200
        known.append(OwnService("the API", "127.0.0.1", port_of(endpoint)))
        with pytest.raises(OwnServiceRefused, match="the API"):
            await sent(outbound, endpoint.url)
        await outbound.close()
