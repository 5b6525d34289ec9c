"""What the broker did with the latest message of each routing key, and which changes are published because of it.

It publishes nothing. A key that came back is one that no queue is bound for: of its changes the first is enough to
find out whether one is by now. When that comes back, too, whoever binds a queue later has no claim to the others.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

from taskmill.amqp.events import Confirm, key_of
from taskmill.domain.feed import Change, Cursor

# There are fewer keys of queues that exist; names that came and went are forgotten with all others.
_MOST_KEYS: Final = 20_000


class Wave(NamedTuple):
    """What is published next, and what is held back until that is known: changes of keys that came back."""

    sent: Sequence[Change]
    held: Sequence[Change]


class Routes:
    """The keys that are known, for as long as a relay has the turn."""

    def __init__(self) -> None:
        self._taken: dict[str, bool] = {}

    def is_taken(self, key: str) -> bool:
        """Whether the latest message of a key was taken by a queue."""
        return self._taken.get(key, False)

    def wave(self, changes: Sequence[Change]) -> Wave:
        """Part changes: of each key that came back the first is sent. What is not known yet is sent."""
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
        """Remember what became of messages, the latest of each key."""
        if len(self._taken) > _MOST_KEYS:
            self._taken.clear()
        for change, confirm in zip(sent, confirms, strict=False):
            if confirm is not None:
                self._taken[key_of(change)] = confirm is not Confirm.RETURNED

    def owed(self, wave: Wave, confirms: Sequence[Confirm | None]) -> Sequence[Change]:
        """Return what is still to be published of a wave, in order: what it held back of keys that are taken now.

        And what the broker has not confirmed; nothing is known of its keys then, and what was held back of them is
        owed, too.
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
    """Return the cursor of who has seen all changes but this one and what follows it."""
    return Cursor(change.cursor.position, change.cursor.ordinal - 1)
