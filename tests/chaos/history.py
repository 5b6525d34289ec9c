"""What clients did and what they were told: the only witness who is not the service itself."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Told(StrEnum):
    """What a client knows of a deed in the end."""

    OK = "ok"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Door(StrEnum):
    """The way that a deed takes."""

    POST = "post"
    BATCH = "batch"
    MESSAGE = "message"


@dataclass(kw_only=True)
class Deed:
    """Something that a client sent. `names` are those of the tasks that it is to make.

    With a key it was repeated until an answer came. `is_bad` ones must be refused; `conflicts` tells that its
    key was used again with another body, which must be refused, too.
    """

    door: Door
    names: Sequence[str]
    key: str | None = None
    told: Told = Told.UNKNOWN
    ids: Sequence[str] = ()
    is_bad: bool = False
    conflicts: bool = False
    told_at: float | None = None


@dataclass(kw_only=True)
class History:
    """All deeds, and what reading showed.

    `due_at` tells by name when a task may begin at the soonest: when it was first sent, and the delay that was
    asked for. `retries_sent` and `retries_answered` tell by id how often an operator asked for a new run.
    """

    deeds: list[Deed] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)
    answers: Counter[str] = field(default_factory=Counter)
    wrongs: list[str] = field(default_factory=list)
    seen: dict[str, int] = field(default_factory=dict)
    due_at: dict[str, float] = field(default_factory=dict)
    retries_sent: Counter[str] = field(default_factory=Counter)
    retries_answered: Counter[str] = field(default_factory=Counter)
    broker_wiped_at: float = 0.0

    def accept(self, deed: Deed, ids: Sequence[str], at: float) -> None:
        """Note that a deed was answered with these tasks."""
        if deed.told is Told.OK and list(deed.ids) != list(ids):
            self.wrongs.append(f"two_tasks_for_a_key: {deed.key} was {deed.ids}, then {ids}")
        if deed.told is not Told.OK:
            self.accepted.extend(ids)
        deed.told, deed.ids, deed.told_at = Told.OK, ids, at

    def read(self, task_id: str, version: int) -> None:
        """Note which version of a task was seen."""
        if version < self.seen.get(task_id, 0):
            self.wrongs.append(
                f"went_back: {task_id} was seen in version {self.seen[task_id]}, then {version}"
            )
        self.seen[task_id] = version
