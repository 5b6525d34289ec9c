"""Clients that create, read, cancel and retry tasks at random, at all entry points, and record it."""

import asyncio
import itertools
import random
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Any

import httpx
import orjson

from taskmill.amqp.confirmed_publisher import ConfirmedPublisher, SentMessage
from taskmill.amqp.names import CREATE_KEY, EXCHANGE
from taskmill.domain.errors import BrokerAway
from tests.chaos import pullers
from tests.chaos.history import EntryPoint, History, Operation, Result
from tests.chaos.site import Site

QUEUES = ("q0", "q1", "q2")
_CREATORS = 6
_TIMEOUT_S = 6.0
_PAUSE_S = 0.15


class Clients:
    """All clients of one seed. `run` ends when `enough` tasks are accepted and `stop` is set."""

    def __init__(
        self,
        site: Site,
        seed: int,
        history: History,
        *,
        posts_per_s: float,
        delays_s: Sequence[float],
    ) -> None:
        self._site = site
        self._dice = random.Random(f"clients {seed}")  # noqa: S311 - no secret
        self._history = history
        self._numbers = itertools.count(1)
        self._pause_s = _CREATORS / posts_per_s
        self._delays_s = delays_s
        self._http = httpx.AsyncClient(timeout=_TIMEOUT_S)
        self._stopping = False

    async def run(self, stop: asyncio.Event) -> None:
        """Perform operations until stopped; those that were started are completed."""
        async with self._http, asyncio.TaskGroup() as group:
            for _ in range(_CREATORS):
                group.create_task(self._repeat(self._create, self._pause_s, stop))
            group.create_task(self._repeat(self._read, 0.02, stop))
            group.create_task(self._repeat(self._operate, 0.2, stop))
            if self._site.broker is not None:
                group.create_task(self._repeat(self._publish, 0.8, stop))

    async def _repeat(
        self, act: Callable[[asyncio.Event], Awaitable[None]], pause_s: float, stop: asyncio.Event
    ) -> None:
        while not stop.is_set():
            await act(stop)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause_s * self._dice.uniform(0.5, 1.5)):
                    await stop.wait()

    # Creation over HTTP.

    async def _create(self, stop: asyncio.Event) -> None:
        kind = self._dice.random()
        if kind < 0.03:
            await self._post_bad()
        elif kind < 0.08:
            await self._post_batch()
        elif kind < 0.16:
            await self._post_once()
        else:
            await self._post_keyed(stop)

    async def _post_bad(self) -> None:
        operation = self._operation(EntryPoint.POST, 1, is_bad=True)
        body = {**self._body(operation.names[0]), "priority": 99}
        response = await self._send("POST", "/tasks", body)
        operation.result = (
            Result.UNKNOWN if response is None or _is_undecided(response) else Result.FAIL
        )
        if response is not None and response.status_code not in {422, 503}:
            self._history.violations.append(f"bad_accepted: {response.status_code} for {body}")

    async def _post_once(self) -> None:
        """Create without a key: if the response is lost the result is unknown."""
        operation = self._operation(EntryPoint.POST, 1)
        self._note(operation, await self._send("POST", "/tasks", self._body(operation.names[0])))

    async def _post_batch(self) -> None:
        operation = self._operation(EntryPoint.BATCH, self._dice.randint(2, 20))
        bodies = [self._body(name) for name in operation.names]
        self._note(operation, await self._send("POST", "/tasks/batch", bodies))

    async def _post_keyed(self, stop: asyncio.Event) -> None:
        """Create with a key, and retry until the result is known; sometimes once more after that."""
        operation = self._operation(EntryPoint.POST, 1, with_key=True)
        body = self._body(operation.names[0])
        headers = {"Idempotency-Key": str(operation.key)}
        while operation.result is Result.UNKNOWN:
            self._note(operation, await self._send("POST", "/tasks", body, headers))
            if operation.result is Result.UNKNOWN:
                await asyncio.sleep(_PAUSE_S)
                if stop.is_set() and self._site.api_url is None:
                    return
        if self._dice.random() < 0.05:
            self._note(operation, await self._send("POST", "/tasks", body, headers))
            await self._reuse_key(body, headers)

    async def _reuse_key(self, body: dict[str, Any], headers: dict[str, str]) -> None:
        other = {**body, "description": "another body"}
        response = await self._send("POST", "/tasks", other, headers)
        if response is not None and response.status_code != 422 and not _is_undecided(response):
            self._history.violations.append(f"key_reused: {response.status_code} for another body")

    # Creation by messages.

    async def _publish(self, _: asyncio.Event) -> None:
        """Publish some messages, some of them twice, some invalid, some with the key of another body."""
        operations = [
            self._operation(EntryPoint.MESSAGE, 1, with_key=True)
            for _ in range(self._dice.randint(3, 12))
        ]
        messages: list[SentMessage] = []
        owners: list[Operation] = []
        for operation in operations:
            for body in self._message_bodies(operation):
                owners.append(operation)
                messages.append(
                    SentMessage(number=len(owners), body=body, message_id=str(operation.key))
                )
        order = list(range(len(messages)))
        self._dice.shuffle(order)
        await self._deliver([messages[n] for n in order], owners)

    def _message_bodies(self, operation: Operation) -> list[bytes]:
        kind = self._dice.random()
        body = self._body(operation.names[0])
        if kind < 0.1:
            operation.is_bad = True
            return [orjson.dumps(body)[:-3]]
        if kind < 0.2:
            operation.conflicts = True
            return [orjson.dumps(body), orjson.dumps({**body, "description": "another body"})]
        return [orjson.dumps(body)] * (2 if kind < 0.4 else 1)

    async def _deliver(self, messages: list[SentMessage], owners: list[Operation]) -> None:
        assert self._site.broker is not None
        confirmed_publisher = ConfirmedPublisher(
            self._site.broker.url, exchange=EXCHANGE, routing_key=CREATE_KEY, timeout_s=2
        )
        sent_at = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(20):
                failed = {one.number for one in await confirmed_publisher.deliver(messages)}
        except (BrokerAway, TimeoutError):
            failed = {message.number for message in messages}
        doubtful = {id(owners[number - 1]) for number in failed}
        for operation in owners:
            if id(operation) not in doubtful:
                operation.result, operation.confirmed_at = Result.OK, sent_at

    # Reading and operating.

    async def _read(self, _: asyncio.Event) -> None:
        if not self._history.accepted:
            return
        task_id = self._dice.choice(self._history.accepted[-400:])
        response = await self._send("GET", f"/tasks/{task_id}")
        if response is None:
            return
        if response.status_code == 200:
            self._history.read(task_id, response.json()["version"])
        elif response.status_code != 503:
            self._history.violations.append(f"unreadable: {response.status_code} for {task_id}")

    async def _operate(self, _: asyncio.Event) -> None:
        if not self._history.accepted:
            return
        task_id = self._dice.choice(self._history.accepted)
        kind = self._dice.random()
        if kind < 0.55:
            response = await self._send("POST", f"/tasks/{task_id}/cancel")
            if response is not None and response.status_code == 200:
                self._history.cancelled.add(task_id)
        elif kind < 0.9:
            self._history.retries_sent[task_id] += 1
            response = await self._send("POST", f"/tasks/{task_id}/retry")
            if response is not None and response.status_code == 200:
                self._history.retries_confirmed[task_id] += 1
        else:
            is_paused = self._dice.random() < 0.5
            await self._send("PATCH", f"/queues/{QUEUES[-1]}", {"paused": is_paused})

    async def resume(self) -> None:
        """Resume all queues."""
        async with httpx.AsyncClient(timeout=_TIMEOUT_S) as http:
            response = await http.patch(
                f"{self._site.api_url}/queues/{QUEUES[-1]}", json={"paused": False}
            )
            assert response.status_code in {200, 404}, response.text

    # Shared by all of them.

    def _operation(
        self, entry_point: EntryPoint, count: int, *, with_key: bool = False, is_bad: bool = False
    ) -> Operation:
        names = [f"t{next(self._numbers)}" for _ in range(count)]
        operation = Operation(
            entry_point=entry_point,
            names=names,
            key=f"key-{names[0]}" if with_key else None,
            is_bad=is_bad,
        )
        self._history.operations.append(operation)
        return operation

    def _body(self, name: str) -> dict[str, Any]:
        """Make a random task, which must be sent at once."""
        dice = self._dice
        payload: dict[str, Any] = {"delay_s": dice.choice(self._delays_s)}
        body: dict[str, Any] = {
            "name": name,
            "type": dice.choices(("work", pullers.TYPE), (9, 1))[0],
            "queue": dice.choice(QUEUES),
            "priority": dice.randrange(10),
            "max_attempts": dice.choice((1, 2, 3)),
            "max_losses": dice.choice((0, 3, 50, 50, 50)),
            "payload": payload,
        }
        if dice.random() < 0.1:
            payload["failures"] = dice.randint(1, 3)
        if dice.random() < 0.03:
            payload["is_hopeless"] = True
        if dice.random() < 0.1:
            body["delay_s"] = round(dice.uniform(0.2, 3), 3)
        if dice.random() < 0.05:
            body["timeout_s"] = 0.3
        sent_at = asyncio.get_running_loop().time()
        self._history.due_at[name] = sent_at + body.get("delay_s", 0)
        return body

    def _note(self, operation: Operation, response: httpx.Response | None) -> None:
        """Record the result of an operation."""
        if response is None or _is_undecided(response):
            return
        if response.status_code in {200, 201}:
            body = response.json()
            ids = body["ids"] if operation.entry_point is EntryPoint.BATCH else [body["id"]]
            self._history.accept(operation, ids, asyncio.get_running_loop().time())
        else:
            self._history.violations.append(
                f"refused: {response.status_code} {response.text[:200]}"
            )
            operation.result = Result.FAIL

    async def _send(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response | None:
        """Send a request; None if there was no response."""
        url = self._site.api_url
        if url is None:
            await asyncio.sleep(_PAUSE_S)
            self._history.responses["none"] += 1
            return None
        content = None if body is None else orjson.dumps(body)
        try:
            response = await self._http.request(
                method, f"{url}{path}", content=content, headers=headers
            )
        except httpx.TransportError:
            await asyncio.sleep(_PAUSE_S)
            self._history.responses["none"] += 1
            return None
        self._history.responses[f"{response.status_code // 100}xx"] += 1
        if response.status_code >= 500 and response.status_code != 503:
            self._history.violations.append(f"server_error: {method} {path}: {response.text[:200]}")
        if response.status_code == 503 and "Retry-After" not in response.headers:
            self._history.violations.append(f"no_retry_after: {method} {path}")
        return response


def _is_undecided(response: httpx.Response) -> bool:
    """Whether the result is still open: a 503, or a key whose first request is still being processed."""
    return response.status_code in {409, 503} and "Retry-After" in response.headers
