"""This installation's own services, which are never called, whatever the settings allow.

A service is found by its address and port. Of two addresses of this machine each leads to the same services: a
database that is reached at 127.0.0.1 mostly listens at the machine's other addresses, too.
"""

import errno
import socket
from collections.abc import Awaitable, Callable, Iterable, Sequence
from ipaddress import ip_address
from typing import Final, NamedTuple, TypeAlias

from taskmill.outbound.addresses import Address, forms_of
from taskmill.outbound.errors import Unreachable

Resolver: TypeAlias = Callable[[str], Awaitable[Sequence[str]]]
"""Returns all addresses of a host. Raises `OSError`."""

_NO_SUCH_NAME: Final = (socket.EAI_NONAME, socket.EAI_NODATA)


class OwnService(NamedTuple):
    """What it is ("the database"), and where: a name or an address, and a port."""

    what: str
    host: str
    port: int


class OwnServices:
    """The services that `known` returns. Their names are resolved when something is called on their port."""

    def __init__(self, known: Callable[[], Iterable[OwnService]] = tuple) -> None:
        self._known = known

    async def find(self, address: str, port: int, resolve: Resolver) -> OwnService | None:
        """Return the service that is at an IP address and port; None if there is none.

        Raises:
            Unreachable: the name of a service on that port can't be resolved now.
        """
        for service in self._known():
            if service.port != port:
                continue
            if any(_is_same(address, own) for own in await _addresses(service, resolve)):
                return service
        return None


NONE: Final = OwnServices()
"""No services of one's own."""


async def _addresses(service: OwnService, resolve: Resolver) -> Sequence[str]:
    """Return a service's addresses: none if its name does not exist, as nothing can be there then."""
    try:
        return [str(ip_address(service.host))]
    except ValueError:
        pass
    try:
        return await resolve(service.host)
    except OSError as error:
        if isinstance(error, socket.gaierror) and error.errno in _NO_SUCH_NAME:
            return ()
        raise Unreachable(
            f"whether {service.what} of this Taskmill is there is unknown: the name {service.host} was not found"
        ) from None


def _is_same(one: str, other: str) -> bool:
    """Whether two addresses are the same, or both of this machine."""
    ours, theirs = _forms(one), _forms(other)
    return bool(set(ours) & set(theirs)) or (_is_local(one, ours) and _is_local(other, theirs))


def _forms(text: str) -> tuple[Address, ...]:
    return forms_of(ip_address(text.partition("%")[0]))


def _is_local(text: str, forms: Iterable[Address]) -> bool:
    return _can_bind(text) or any(_can_bind(str(form)) for form in forms)


def _can_bind(text: str) -> bool:
    """Whether an address is one of this machine: others can't be bound, and 0.0.0.0 leads here."""
    family = socket.AF_INET6 if ":" in text else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.bind((text, 0))
    except OSError as error:
        # Any other fault, as too many open files, says nothing: then it is not called.
        return error.errno != errno.EADDRNOTAVAIL
    return True
