"""Clients that create, read, cancel and retry tasks at random, by all doors, and keep a record of it."""

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
from tests.chaos.history import Deed, Door, History, Told
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
        """Do deeds until told to stop; deeds that were begun are done to their end."""
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

    # Creating over HTTP.

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
        deed = self._deed(Door.POST, 1, is_bad=True)
        body = {**self._body(deed.names[0]), "priority": 99}
        answer = await self._send("POST", "/tasks", body)
        deed.told = Told.UNKNOWN if answer is None or _asks_again(answer) else Told.FAIL
        if answer is not None and answer.status_code not in {422, 503}:
            self._history.wrongs.append(f"bad_accepted: {answer.status_code} for {body}")

    async def _post_once(self) -> None:
        """Create without a key: when the answer is lost nobody knows."""
        deed = self._deed(Door.POST, 1)
        self._note(deed, await self._send("POST", "/tasks", self._body(deed.names[0])))

    async def _post_batch(self) -> None:
        deed = self._deed(Door.BATCH, self._dice.randint(2, 20))
        bodies = [self._body(name) for name in deed.names]
        self._note(deed, await self._send("POST", "/tasks/batch", bodies))

    async def _post_keyed(self, stop: asyncio.Event) -> None:
        """Create with a key, again and again until an answer tells; sometimes once more after that."""
        deed = self._deed(Door.POST, 1, with_key=True)
        body = self._body(deed.names[0])
        headers = {"Idempotency-Key": str(deed.key)}
        while deed.told is Told.UNKNOWN:
            self._note(deed, await self._send("POST", "/tasks", body, headers))
            if deed.told is Told.UNKNOWN:
                await asyncio.sleep(_PAUSE_S)
                if stop.is_set() and self._site.api_url is None:
                    return
        if self._dice.random() < 0.05:
            self._note(deed, await self._send("POST", "/tasks", body, headers))
            await self._reuse_key(body, headers)

    async def _reuse_key(self, body: dict[str, Any], headers: dict[str, str]) -> None:
        other = {**body, "description": "another body"}
        answer = await self._send("POST", "/tasks", other, headers)
        if answer is not None and answer.status_code != 422 and not _asks_again(answer):
            self._history.wrongs.append(f"key_reused: {answer.status_code} for another body")

    # Creating by messages.

    async def _publish(self, _: asyncio.Event) -> None:
        """Publish some messages, some of them twice, some bad, some with a key that another body has."""
        deeds = [
            self._deed(Door.MESSAGE, 1, with_key=True) for _ in range(self._dice.randint(3, 12))
        ]
        messages: list[SentMessage] = []
        owners: list[Deed] = []
        for deed in deeds:
            for body in self._message_bodies(deed):
                owners.append(deed)
                messages.append(
                    SentMessage(number=len(owners), body=body, message_id=str(deed.key))
                )
        order = list(range(len(messages)))
        self._dice.shuffle(order)
        await self._deliver([messages[n] for n in order], owners)

    def _message_bodies(self, deed: Deed) -> list[bytes]:
        kind = self._dice.random()
        body = self._body(deed.names[0])
        if kind < 0.1:
            deed.is_bad = True
            return [orjson.dumps(body)[:-3]]
        if kind < 0.2:
            deed.conflicts = True
            return [orjson.dumps(body), orjson.dumps({**body, "description": "another body"})]
        return [orjson.dumps(body)] * (2 if kind < 0.4 else 1)

    async def _deliver(self, messages: list[SentMessage], owners: list[Deed]) -> None:
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
        for deed in owners:
            if id(deed) not in doubtful:
                deed.told, deed.told_at = Told.OK, sent_at

    # Looking, and meddling.

    async def _read(self, _: asyncio.Event) -> None:
        if not self._history.accepted:
            return
        task_id = self._dice.choice(self._history.accepted[-400:])
        answer = await self._send("GET", f"/tasks/{task_id}")
        if answer is None:
            return
        if answer.status_code == 200:
            self._history.read(task_id, answer.json()["version"])
        elif answer.status_code != 503:
            self._history.wrongs.append(f"unreadable: {answer.status_code} for {task_id}")

    async def _operate(self, _: asyncio.Event) -> None:
        if not self._history.accepted:
            return
        task_id = self._dice.choice(self._history.accepted)
        kind = self._dice.random()
        if kind < 0.55:
            answer = await self._send("POST", f"/tasks/{task_id}/cancel")
            if answer is not None and answer.status_code == 200:
                self._history.cancelled.add(task_id)
        elif kind < 0.9:
            self._history.retries_sent[task_id] += 1
            answer = await self._send("POST", f"/tasks/{task_id}/retry")
            if answer is not None and answer.status_code == 200:
                self._history.retries_answered[task_id] += 1
        else:
            is_paused = self._dice.random() < 0.5
            await self._send("PATCH", f"/queues/{QUEUES[-1]}", {"paused": is_paused})

    async def resume(self) -> None:
        """Let all queues run again."""
        async with httpx.AsyncClient(timeout=_TIMEOUT_S) as http:
            answer = await http.patch(
                f"{self._site.api_url}/queues/{QUEUES[-1]}", json={"paused": False}
            )
            assert answer.status_code in {200, 404}, answer.text

    # What all of them do.

    def _deed(
        self, door: Door, count: int, *, with_key: bool = False, is_bad: bool = False
    ) -> Deed:
        names = [f"t{next(self._numbers)}" for _ in range(count)]
        deed = Deed(
            door=door, names=names, key=f"key-{names[0]}" if with_key else None, is_bad=is_bad
        )
        self._history.deeds.append(deed)
        return deed

    def _body(self, name: str) -> dict[str, Any]:
        """Draw a task that is sent at once."""
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

    def _note(self, deed: Deed, answer: httpx.Response | None) -> None:
        """Keep what an answer tells of a deed."""
        if answer is None or _asks_again(answer):
            return
        if answer.status_code in {200, 201}:
            told = answer.json()
            ids = told["ids"] if deed.door is Door.BATCH else [told["id"]]
            self._history.accept(deed, ids, asyncio.get_running_loop().time())
        else:
            self._history.wrongs.append(f"refused: {answer.status_code} {answer.text[:200]}")
            deed.told = Told.FAIL

    async def _send(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response | None:
        """Ask the service; None when no answer came."""
        url = self._site.api_url
        if url is None:
            await asyncio.sleep(_PAUSE_S)
            self._history.answers["none"] += 1
            return None
        content = None if body is None else orjson.dumps(body)
        try:
            answer = await self._http.request(
                method, f"{url}{path}", content=content, headers=headers
            )
        except httpx.TransportError:
            await asyncio.sleep(_PAUSE_S)
            self._history.answers["none"] += 1
            return None
        self._history.answers[f"{answer.status_code // 100}xx"] += 1
        if answer.status_code >= 500 and answer.status_code != 503:
            self._history.wrongs.append(f"server_error: {method} {path}: {answer.text[:200]}")
        if answer.status_code == 503 and "Retry-After" not in answer.headers:
            self._history.wrongs.append(f"no_retry_after: {method} {path}")
        return answer


def _asks_again(answer: httpx.Response) -> bool:
    """Tell whether nothing is decided yet: a 503, or a key whose first request is still being answered."""
    return answer.status_code in {409, 503} and "Retry-After" in answer.headers
