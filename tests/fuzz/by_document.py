"""The part by the documents: each role sends variants of a pool of cases, and each response is documented."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.fuzz.document import Documents
from tests.fuzz.exchange import PersistentConnection, Request, Response, UnreadableResponse
from tests.fuzz.findings import Tally
from tests.fuzz.seeds import seeded
from tests.fuzz.variants import KnownIds, a_variant

_CONNECTIONS = 4
_SHOWN_BYTES = 600


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the service listens, and a key for each role; the empty one for none."""

    host: str
    port: int
    keys: Mapping[str, str]


def counted_as(role: str) -> str:
    """Return the name under which a role's requests are counted."""
    return f"document/{role}"


async def send_by_document(
    target: Target, documents: Documents, pool: Sequence[Request], tally: Tally, *, number: int
) -> None:
    """Send the requests of all roles at once, until each role has reached its goal or the time is over."""
    ids = KnownIds()
    async with asyncio.TaskGroup() as group:
        for role in target.keys:
            for index in range(_CONNECTIONS):
                client = _Client(target, role, documents, tally, ids)
                group.create_task(client.run(pool, seeded(number, role, index)))


class _Client:
    """A connection on which one role's requests are sent."""

    def __init__(
        self, target: Target, role: str, documents: Documents, tally: Tally, ids: KnownIds
    ) -> None:
        self._connection = PersistentConnection(target.host, target.port)
        self._key = target.keys[role].encode()
        self._role = role
        self._documents = documents
        self._tally = tally
        self._ids = ids

    async def run(self, pool: Sequence[Request], rng: random.Random) -> None:
        """Send variants until the goal of the role is reached."""
        name = counted_as(self._role)
        try:
            while self._tally.counts[name] < self._tally.goals[name] and not self._tally.is_late:
                await self._send(name, a_variant(self._with_key(rng.choice(pool)), self._ids, rng))
        finally:
            self._connection.close()

    def _with_key(self, request: Request) -> Request:
        return (
            request.with_headers((b"Authorization", b"Bearer " + self._key))
            if self._key
            else request
        )

    async def _send(self, name: str, request: Request) -> None:
        try:
            response = await self._connection.send(request)
        except (OSError, EOFError, UnreadableResponse) as error:
            self._connection.close()
            self._tally.add(name, type(error).__name__)
            evidence = f"{self._shown(request)} -> {error!r}"
            self._tally.report(name, f"no response: {type(error).__name__}", evidence)
            return
        self._tally.add(name, str(response.status))
        if response.status < 300:
            self._ids.learn(request.target, response.body)
        for violation in self._documents.violations(request, response, self._role):
            self._tally.report(name, violation, f"{self._shown(request)} -> {_seen(response)}")

    def _shown(self, request: Request) -> str:
        """Return the request as bytes, without the key: the next run has another one."""
        raw = request.raw()
        if self._key:
            raw = raw.replace(self._key, b"KEY-OF-" + self._role.encode())
        return repr(raw)


def _seen(response: Response) -> str:
    return f"{response.status} {response.headers} {response.body[:_SHOWN_BYTES]!r}"
