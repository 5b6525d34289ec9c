"""Finds the API key that a message's producer has: the key that is named like its user at the broker.

RabbitMQ lets a connection set a message's `user_id` to its own user only, so nobody can use another's rights. A
message needs no secret of a key. From where it comes is not known, so a key's networks don't matter here.
"""

from collections.abc import Callable, Mapping
from typing import Final

from taskmill.domain.api_key_errors import NotAuthenticated
from taskmill.domain.api_keys import ApiKey, KeyState
from taskmill.operations.key_verification import FRESH_S
from taskmill.runtime.clock import Clock
from taskmill.storage import api_keys as rows
from taskmill.storage.database import Database

_ADVICE: Final = (
    "no live API key is named like the message's producer: publish with the property user_id, as a user of "
    "RabbitMQ for whose name there is a key (taskmill key create)"
)


class ProducerKeys:
    """The keys by name, read again after a notification; `on_use` is called when there is use of one to record."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self.on_use: Callable[[], None] = lambda: None
        self._database = database
        self._clock = clock
        self._by_name: Mapping[str, ApiKey] = {}
        self._stale_at = float("-inf")
        self._used: set[str] = set()
        # Grows with each notification: what was read before it counts for one batch only.
        self._revision = 0

    async def refresh(self) -> None:
        """Read the keys if they were changed, or were read too long ago. Raises `Unavailable`."""
        read_at = self._clock.monotonic()
        if read_at < self._stale_at:
            return
        revision, now = self._revision, self._clock.now()
        keys = await rows.all_keys(self._database)
        # The newest of each name counts, as they come oldest first.
        self._by_name = {key.draft.name: key for key in keys if key.state(now) is KeyState.LIVE}
        if revision == self._revision:
            self._stale_at = read_at + FRESH_S

    def key_of(self, user_id: str | None) -> ApiKey:
        """Return the key of a message's producer. Raises `NotAuthenticated` when there is none."""
        key = self._by_name.get(user_id or "")
        if key is None or key.state(self._clock.now()) is not KeyState.LIVE:
            raise NotAuthenticated(_ADVICE)
        if key.id not in self._used:
            self._used.add(key.id)
            self.on_use()
        return key

    def forget(self) -> None:
        """Read the keys again: some were changed."""
        self._revision += 1
        self._stale_at = float("-inf")

    async def record_use(self) -> None:
        """Store which keys were used since the last call."""
        used, self._used = self._used, set()
        if used:
            try:
                await rows.record_use(self._database, used)
            except BaseException:
                self._used |= used
                raise
