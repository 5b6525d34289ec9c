"""What requests are sent by in tests, and resolvers that answer as they are told."""

import ssl
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from taskmill.outbound.addresses import AddressRules
from taskmill.outbound.client import Outbound, OutboundLimits, Reply, Request
from taskmill.outbound.lookup import Ask, ask_system

HERE = AddressRules(["127.0.0.1"])


@asynccontextmanager
async def an_outbound(
    rules: AddressRules = HERE,
    *,
    ask: Ask = ask_system,
    trust: ssl.SSLContext | None = None,
    limits: OutboundLimits | None = None,
) -> AsyncIterator[Outbound]:
    outbound = Outbound(rules, limits or OutboundLimits(), ask=ask, trust=trust)
    try:
        yield outbound
    finally:
        await outbound.close()


def answering(*answers: Sequence[str]) -> Ask:
    """A resolver that gives one answer after the other, and the last one for ever."""
    left = list(answers)

    def ask(_: str) -> Sequence[str]:
        return left.pop(0) if len(left) > 1 else left[0]

    return ask


async def sent(outbound: Outbound, url: str, *, timeout_s: float = 10) -> Reply:
    return await outbound.send(Request(url=url), timeout_s=timeout_s)
