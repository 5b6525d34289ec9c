"""Finds out from the settings where this installation's own services are, which are never called."""

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from taskmill.composition.process_context import ProcessContext
from taskmill.settings import Settings

if TYPE_CHECKING:
    from taskmill.outbound.own_services import OwnService, OwnServices

_POSTGRES_PORT = 5432
_AMQP_PORTS = {"amqp": 5672, "amqps": 5671}
_EVERYWHERE = "0.0.0.0"  # noqa: S104 - not bound: it stands for this machine


def own_services(context: ProcessContext) -> "OwnServices":
    """Return the database, the broker and the API, as far as this process knows them."""
    # Imported here: most roles call nothing.
    from taskmill.outbound.own_services import OwnService, OwnServices  # noqa: PLC0415

    servers = list(_servers(context.settings))

    def known() -> Iterable[OwnService]:
        host, port = context.api_address()
        return (*servers, OwnService("the API", host or _EVERYWHERE, port))

    return OwnServices(known)


def _servers(settings: Settings) -> Iterator["OwnService"]:
    from taskmill.outbound.own_services import OwnService  # noqa: PLC0415 - as above

    for host, port in addresses_of(settings.require_database_url(), default_port=_POSTGRES_PORT):
        yield OwnService("the database", host, port)
    if settings.broker_url is not None:
        url = settings.broker_url.get_secret_value()
        for host, port in addresses_of(url, default_port=_AMQP_PORTS[urlsplit(url).scheme]):
            yield OwnService("the broker", host, port)


def addresses_of(url: str, *, default_port: int) -> Iterator[tuple[str, int]]:
    """Yield host and port of each server that an address names; not those behind Unix sockets."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    hosts = parts.netloc.rpartition("@")[2] or query.get("host", ["localhost"])[-1]
    ports = query.get("port", [""])[-1].split(",")
    for number, text in enumerate(hosts.split(",")):
        host, _, port = text.rpartition(":") if _has_port(text) else (text, "", "")
        host = unquote(host).removeprefix("[").removesuffix("]") or "localhost"
        if not host.startswith("/"):
            port = port or ports[min(number, len(ports) - 1)]
            yield host, int(port) if port else default_port


def _has_port(text: str) -> bool:
    """Whether a host has a port behind it; the colons of an IPv6 address are in brackets."""
    return ":" in text.rpartition("]")[2]
