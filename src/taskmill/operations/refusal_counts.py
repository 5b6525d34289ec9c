"""Counts requests that may not be served, and writes the counts to the audit log once a minute.

An entry for each would let anybody fill the disk, so memory and entries are bounded: beyond so many actors, and
beyond the most frequent ones, refusals are counted together.
"""

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import Final, NamedTuple

import asyncpg

from taskmill.domain.audit import (
    Actor,
    ActorKind,
    AuditAction,
    AuditOutcome,
    Origin,
    RefusalReason,
)
from taskmill.domain.errors import Unavailable
from taskmill.operations.audit import AuditLog, current_origin
from taskmill.runtime.connections import address_group
from taskmill.runtime.periodic import Periodic

MOST_COUNTED: Final = 1_000
"""So many actors and reasons are counted apart."""
MOST_WRITTEN: Final = 20
"""So many of them get an entry of their own, the most frequent."""
INTERVAL_S: Final = 60.0


class _Refused(NamedTuple):
    actor: Actor
    reason: RefusalReason


_OTHERS: Final = _Refused(Actor(kind=ActorKind.ANONYMOUS), RefusalReason.OTHERS)


class RefusalCounts:
    """A service: what this process has refused for reasons of access. What is not written yet is lost with it."""

    name = "refusal-counts"

    def __init__(self, audit: AuditLog) -> None:
        self._audit = audit
        self._counts: Counter[_Refused] = Counter()

    def record(self, reason: RefusalReason, actor: Actor | None = None) -> None:
        """Count a refused request, by default of this context's actor. Addresses of one IPv6 network are one."""
        actor = actor or current_origin().actor
        if actor.address is not None:
            actor = replace(actor, address=address_group(actor.address))
        self._add(_Refused(actor, reason), 1)

    async def run(self, stop: asyncio.Event) -> None:
        """Write the counts once a minute, and once more in the end."""
        await Periodic(self.name, self.write, interval_s=INTERVAL_S).run(stop)
        with suppress(Unavailable, asyncpg.PostgresError):
            await self.write()

    async def write(self) -> None:
        """Write what was counted; nothing if there is nothing. What can't be written is counted on."""
        counted, self._counts = self._counts, Counter()
        others = counted.pop(_OTHERS, 0)
        try:
            for refused, requests in counted.most_common(MOST_WRITTEN):
                await self._write(refused, requests)
                del counted[refused]
            others, counted = others + counted.total(), Counter()
            if others:
                await self._write(_OTHERS, others)
                others = 0
        finally:
            self._add(_OTHERS, others)
            for refused, requests in counted.items():
                self._add(refused, requests)

    async def _write(self, refused: _Refused, requests: int) -> None:
        await self._audit.write(
            AuditAction.ACCESS_REFUSE,
            Origin(actor=refused.actor),
            AuditOutcome.REFUSED,
            refused.reason,
            {"requests": requests},
        )

    def _add(self, refused: _Refused, requests: int) -> None:
        has_room = refused in self._counts or len(self._counts) < MOST_COUNTED
        if requests:
            self._counts[refused if has_room else _OTHERS] += requests
