"""The part by the documents: each role sends variants of a pool of cases, and each response is documented."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.fuzz.document import Documents
from tests.fuzz.exchange import PersistentConnection, Request, Response, UnreadableResponse
from tests.fuzz.findings import Tally
from tests.fuzz.seeds import seeded
from tests.fuzz.variants import KnownIds, a_variant

_CONNECTIONS = 24
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
    clients = _Clients(target, documents, pool, tally, number)
    async with asyncio.TaskGroup() as group:
        for _ in range(_CONNECTIONS):
            group.create_task(clients.run())


class _Clients:
    """Connections, on which the requests of all roles are mixed. Those of a role come in the order of its seed."""

    def __init__(
        self,
        target: Target,
        documents: Documents,
        pool: Sequence[Request],
        tally: Tally,
        number: int,
    ) -> None:
        self._target = target
        self._documents = documents
        self._pool = pool
        self._tally = tally
        self._ids = KnownIds()
        self._dice = {role: seeded(number, role) for role in target.keys}

    async def run(self) -> None:
        """Send one request after the other on a connection: each is of the role that has sent the fewest."""
        connection = PersistentConnection(self._target.host, self._target.port)
        try:
            while (role := self._next_role()) is not None:
                rng = self._dice[role]
                request = self._with_key(rng.choice(self._pool), role)
                await self._send(connection, role, a_variant(request, self._ids, rng))
        finally:
            connection.close()

    def _next_role(self) -> str | None:
        if self._tally.is_late:
            return None
        names = {role: counted_as(role) for role in self._target.keys}
        role = min(names, key=lambda role: self._tally.counts[names[role]])
        name = names[role]
        return role if self._tally.counts[name] < self._tally.goals[name] else None

    def _with_key(self, request: Request, role: str) -> Request:
        key = self._target.keys[role]
        return (
            request.with_headers((b"Authorization", b"Bearer " + key.encode())) if key else request
        )

    async def _send(self, connection: PersistentConnection, role: str, request: Request) -> None:
        name = counted_as(role)
        try:
            response = await connection.send(request)
        except (OSError, EOFError, UnreadableResponse) as error:
            connection.close()
            self._tally.add(name, type(error).__name__)
            evidence = f"{self._shown(request, role)} -> {error!r}"
            self._tally.report(name, f"no response: {type(error).__name__}", evidence)
            return
        self._tally.add(name, str(response.status))
        if response.status < 300:
            self._ids.learn(request.target, response.body)
        for violation in self._documents.violations(request, response, role):
            evidence = f"{self._shown(request, role)} -> {_seen(response)}"
            self._tally.report(name, violation, evidence)

    def _shown(self, request: Request, role: str) -> str:
        """Return the request as bytes, without the key: the next run has another one."""
        raw, key = request.raw(), self._target.keys[role].encode()
        return repr(raw.replace(key, b"KEY-OF-" + role.encode()) if key else raw)


def _seen(response: Response) -> str:
    return f"{response.status} {response.headers} {response.body[:_SHOWN_BYTES]!r}"
