"""An outbound client for tests, and resolvers that return what the test chooses."""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from taskmill.outbound.addresses import AddressRules
from taskmill.outbound.client import Outbound
from taskmill.outbound.http_messages import Request, Response
from taskmill.outbound.lookup import Resolve, resolve_by_system
from taskmill.outbound.own_services import NONE, OwnServices
from taskmill.settings.outgoing import OutboundSettings

HERE = AddressRules(["127.0.0.1"])


@asynccontextmanager
async def an_outbound(
    rules: AddressRules = HERE,
    *,
    own_services: OwnServices = NONE,
    resolve: Resolve = resolve_by_system,
    trust: ssl.SSLContext | None = None,
    limits: OutboundSettings | None = None,
) -> AsyncIterator[Outbound]:
    outbound = Outbound(
        rules, limits or OutboundSettings(), own_services=own_services, resolve=resolve, trust=trust
    )
    try:
        yield outbound
    finally:
        await outbound.close()


def a_resolver(*results: Sequence[str]) -> Resolve:
    """A resolver that returns one result after the other, and the last one from then on."""
    remaining = list(results)

    def resolve(_: str) -> Sequence[str]:
        return remaining.pop(0) if len(remaining) > 1 else remaining[0]

    return resolve


async def sent(outbound: Outbound, url: str, *, timeout_s: float = 10) -> Response:
    return await outbound.send(Request(url=url), timeout_s=timeout_s)
