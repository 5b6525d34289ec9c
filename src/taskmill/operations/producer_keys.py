"""Finds the API key that a message's producer has: the key that is named like its user at the broker.

RabbitMQ lets a connection set a message's `user_id` to its own user only, so nobody can use another's rights. A
message needs no secret of a key. From where it comes is not known, so a key's networks don't matter here.
"""

from collections.abc import Mapping
from typing import Final

from taskmill.domain.api_key_errors import NotAuthenticated
from taskmill.domain.api_keys import ApiKey, KeyState
from taskmill.observability.logs import get_logger
from taskmill.operations.verified_cache import VerifiedCache
from taskmill.runtime.clock import Clock
from taskmill.storage import api_keys as rows
from taskmill.storage.database import Database

_ALL: Final = b""
_ADVICE: Final = (
    "no live API key is named like the message's producer: publish with the property user_id, as a user of "
    "RabbitMQ for whose name there is a key (taskmill key create)"
)

_WHY_REQUIRED: Final = (
    "there are API keys, and no setting says whether they are required: set TASKMILL_AUTH as for the API, or "
    "TASKMILL_API__HOST to where it listens"
)

log = get_logger(__name__)


class ProducerKeys(VerifiedCache[str, Mapping[str, ApiKey]]):
    """The live keys by name, the newest of each; all of them are read at once.

    With `only_if_any`, none is required until there is a key, also one that has ended.
    """

    def __init__(self, database: Database, clock: Clock, *, only_if_any: bool = False) -> None:
        super().__init__(clock, lambda used: rows.record_use(database, used))
        self._database = database
        self._is_required = not only_if_any
        self._by_name: Mapping[str, ApiKey] = {}

    async def refresh(self) -> None:
        """Read the keys if they were changed, or were read too long ago. Raises `Unavailable`."""
        if self._fresh(_ALL) is not None:
            return
        reading, now = self._begin_reading(), self._clock.now()
        keys = await rows.all_keys(self._database)
        if keys and not self._is_required:
            self._is_required = True
            log.warning("producer_keys.required", keys=len(keys), advice=_WHY_REQUIRED)
        # They come oldest first.
        self._by_name = {key.draft.name: key for key in keys if key.state(now) is KeyState.LIVE}
        self._remember(_ALL, self._by_name, reading)

    def key_of(self, user_id: str | None) -> ApiKey | None:
        """Return the key of a message's producer, None where none is required.

        Raises:
            NotAuthenticated: One is required, and there is none.
        """
        if not self._is_required:
            return None
        key = self._by_name.get(user_id or "")
        if key is None or key.state(self._clock.now()) is not KeyState.LIVE:
            raise NotAuthenticated(_ADVICE)
        self._note_use(key.id)
        return key
