"""Remembers for which routing keys a queue is bound, and chooses accordingly which changes are published.

It publishes nothing. A message is returned when no queue is bound for its key: of that key's changes the first is
enough to find out whether one is bound by now. If it is returned too, the others are not published.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from taskmill.amqp.events import Confirm, key_of
from taskmill.domain.feed import Change, Cursor

# Existing queues have fewer keys than this; keys of removed queues are dropped together with all others.
_MOST_KEYS: Final = 20_000


class Wave(NamedTuple):
    """What is published next, and what is held back until its confirms are known: changes of returned keys."""

    sent: Sequence[Change]
    held: Sequence[Change]


class Routes:
    """The known routing keys, for as long as a relay holds the cursor lease."""

    def __init__(self) -> None:
        self._taken: dict[str, bool] = {}

    def is_taken(self, key: str) -> bool:
        """Whether a queue took the latest message of a key."""
        return self._taken.get(key, False)

    def wave(self, changes: Sequence[Change]) -> Wave:
        """Split changes: of each returned key only the first is sent; those of unknown keys are all sent."""
        sent: list[Change] = []
        held: list[Change] = []
        tried: set[str] = set()
        for change in changes:
            key = key_of(change)
            if key not in tried or self._taken.get(key, True):
                sent.append(change)
                tried.add(key)
            else:
                held.append(change)
        return Wave(sent, held)

    def note(self, sent: Sequence[Change], confirms: Sequence[Confirm | None]) -> None:
        """Record the confirms of messages; the latest of each key counts."""
        if len(self._taken) > _MOST_KEYS:
            self._taken.clear()
        for change, confirm in zip(sent, confirms, strict=False):
            if confirm is not None:
                self._taken[key_of(change)] = confirm is not Confirm.RETURNED

    def owed(self, wave: Wave, confirms: Sequence[Confirm | None]) -> Sequence[Change]:
        """Return what is still to be published of a wave, in order.

        That is what the broker has not confirmed, and what was held back for keys whose first message was not
        returned this time.
        """
        settled = {
            change.cursor: confirm
            for change, confirm in zip(wave.sent, confirms, strict=False)
            if confirm in {Confirm.ACKED, Confirm.RETURNED}
        }
        first = {key_of(change): change.cursor for change in reversed(wave.sent)}
        owed = [change for change in wave.sent if change.cursor not in settled]
        owed += [c for c in wave.held if settled.get(first[key_of(c)]) is not Confirm.RETURNED]
        return sorted(owed, key=lambda change: change.cursor)


def before(change: Change) -> Cursor:
    """Return the cursor just before this change."""
    return Cursor(change.cursor.position, change.cursor.ordinal - 1)
