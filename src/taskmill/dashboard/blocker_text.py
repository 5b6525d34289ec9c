"""Texts of blockers in the reader's language: a blocker's own sentence, or one made from its facts.

The sentences of blockers are English. Another language has texts of its own (`texts/why/`), by the blocker and its
facts. Where it has none, as for facts newer than the texts, the English sentence is shown.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from taskmill.dashboard.texts import DEFAULT, text, why
from taskmill.dashboard.wording import NOTHING, Words, shortened
from taskmill.domain.blockers import Blocker, BlockerName, BlockerState, DelayKind, moment
from taskmill.domain.explanation import Explanation
from taskmill.domain.lifecycle import Reason, Status
from taskmill.domain.system import Liveness
from taskmill.domain.task import Task

_LONGEST_ERROR: Final = 200
_DURATIONS: Final = frozenset({"about_s", "ready_for_s"})
_EVERY: Final = "*"
_MOST_NAMES: Final = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockerText:
    """What is shown of a blocker, and its language."""

    blocker: Blocker
    sentence: str
    todo: str | None
    language: str


class _Keys(NamedTuple):
    """The keys of the sentences, in order, and of the text that says what to do."""

    sentences: Sequence[str]
    todo: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """A blocker with its task and explanation."""

    blocker: Blocker
    task: Task
    explanation: Explanation

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.blocker.facts

    @property
    def holds(self) -> bool:
        return self.blocker.state is BlockerState.HOLDS

    def other(self, name: BlockerName) -> Blocker:
        return next(blocker for blocker in self.explanation.blockers if blocker.name is name)


def blocker_texts(words: Words, task: Task, explanation: Explanation) -> list[BlockerText]:
    """Return the texts of all blockers that were reached, in their order."""
    reached = (
        blocker for blocker in explanation.blockers if blocker.state is not BlockerState.NOT_REACHED
    )
    return [
        _text_of(words, _Case(blocker=blocker, task=task, explanation=explanation))
        for blocker in reached
    ]


def _text_of(words: Words, case: _Case) -> BlockerText:
    blocker = case.blocker
    if words.language != DEFAULT:
        keys = _CASES[blocker.name](case)
        values = _values(words, case)
        sentences = [why(words.language, f"{blocker.name}.{key}", values) for key in keys.sentences]
        todo = keys.todo and why(words.language, f"{blocker.name}.{keys.todo}", values)
        if None not in sentences and (todo is None) is (blocker.todo is None):
            sentence = " ".join(filter(None, sentences))
            return BlockerText(
                blocker=blocker, sentence=sentence, todo=todo, language=words.language
            )
    return BlockerText(
        blocker=blocker, sentence=blocker.sentence, todo=blocker.todo, language=DEFAULT
    )


def _values(words: Words, case: _Case) -> dict[str, object]:
    """Return the facts as they are shown. Times have two forms: with how far away they are, and alone."""
    shown: dict[str, object] = {}
    for name, value in case.facts.items():
        if isinstance(value, datetime):
            shown |= {name: f"{moment(value)} ({words.ago(value)})", f"{name}_alone": moment(value)}
        elif name in _DURATIONS and isinstance(value, int | float):
            shown[name] = words.span(value)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            shown[name] = words.number(value)
        elif name == "reason" and value in set(Reason):
            shown[name] = text(words.language, f"reason.{value}", {})
        else:
            shown[name] = NOTHING if value is None else value
    task = case.task
    error = NOTHING if task.error is None else shortened(words.error(task.error), _LONGEST_ERROR)
    counted = next((case.facts[one] for one in _COUNTED if case.facts.get(one) is not None), 0)
    own = {"id": task.id, "queue": task.queue, "type": task.type, "error": error, "n": counted}
    return shown | own | _workers(case)


_COUNTED: Final = ("ahead", "slots", "leases_to_close")


def _workers(case: _Case) -> dict[str, str]:
    """Return the names and types of the workers among the facts, and the queues of those that run this type."""
    workers = case.facts.get("workers", [])
    of_type = [one for one in workers if {case.task.type, _EVERY} & set(one["types"])]
    return {
        "names": _few(one["name"] for one in workers),
        "types": _few({name for one in workers for name in one["types"]}),
        "queues": _few({name for one in of_type for name in one["queues"]}),
    }


def _few(names: Iterable[str]) -> str:
    known = sorted(names)
    more = [f"+{len(known) - _MOST_NAMES}"] if len(known) > _MOST_NAMES else []
    return ", ".join(known[:_MOST_NAMES] + more) or NOTHING


def _finished(case: _Case) -> _Keys:
    end = case.facts.get("end")
    return _Keys([f"{end}"], f"{end}.todo") if end else _Keys(["not"])


def _running(case: _Case) -> _Keys:
    if not case.holds:
        return _Keys(["not" if case.explanation.status is Status.NEW else "lost"])
    is_cancelling = case.facts["cancel_requested"]
    more = ["timeout"] * (case.facts["timeout_at"] is not None) + ["cancelling"] * is_cancelling
    return _Keys(["on", *more], "cancelling.todo" if is_cancelling else "on.todo")


def _lease_ended(case: _Case) -> _Keys:
    facts = case.facts
    if not case.holds:
        return _Keys(["none"])
    how = {"missing": "missing", Liveness.CLOSED: "closed"}.get(facts["lease"], "silent")
    why_closed = ["closed.reason"] * (how == "closed" and facts["close_reason"] is not None)
    rescue_at, at = facts["rescue_at"], case.explanation.at
    rescue = "rescue" if rescue_at is None else "rescue.due" if rescue_at > at else "rescue.late"
    is_away = case.other(BlockerName.MAINTENANCE_AWAY).state is BlockerState.HOLDS
    todo = "away.todo" if is_away else "todo"
    return _Keys([how, *why_closed, rescue, f"then.{facts['next_status']}"], todo)


def _not_due(case: _Case) -> _Keys:
    if not case.holds:
        return _Keys(["passed"])
    delay = case.facts["delay"]
    lacks_handler = delay == DelayKind.HANDED_BACK and case.facts["reason"] == Reason.NO_HANDLER
    return _Keys([f"{delay}"], "no_handler.todo" if lacks_handler else f"{delay}.todo")


def _expired(case: _Case) -> _Keys:
    if case.holds:
        return _Keys(["holds"], "holds.todo")
    return _Keys(["passed" if case.facts.get("expires_at") else "never"])


def _no_worker(case: _Case) -> _Keys:
    facts = case.facts
    if not case.holds:
        return _Keys(["passed"])
    kinds = (
        ("none", not facts["workers_alive"]),
        ("quiet", facts["workers_for_both"]),
        ("queue", facts["workers_for_type"]),
        ("type", True),
    )
    kind = next(name for name, is_so in kinds if is_so)
    return _Keys([kind], f"{kind}.todo")


def _broker_away(case: _Case) -> _Keys:
    if case.holds:
        return _Keys(["holds"], "holds.todo")
    return _Keys([f"{case.facts['state']}"])


def _tasks_ahead(case: _Case) -> _Keys:
    facts = case.facts
    if facts["ahead"] == 0 and not facts["is_more"]:
        return _Keys(["none"])
    many = "many" if facts["ahead"] is None else "at_least" if facts["is_more"] else "about"
    if not case.holds:
        return _Keys([many, "free"])
    if facts["about_s"] is not None:
        return _Keys([many, "takes"], "todo")
    return _Keys([many, *["stands"] * (facts["claimed_per_second"] == 0)], "todo")


def _maintenance_away(case: _Case) -> _Keys:
    if not case.holds:
        return _Keys(["passed"])
    return _Keys(["holds", *["leases"] * bool(case.facts["leases_to_close"])], "holds.todo")


def _plain(case: _Case) -> _Keys:
    return _Keys(["holds"], "holds.todo") if case.holds else _Keys(["passed"])


_CASES: Final[Mapping[BlockerName, Callable[[_Case], _Keys]]] = {
    BlockerName.FINISHED: _finished,
    BlockerName.RUNNING: _running,
    BlockerName.LEASE_ENDED: _lease_ended,
    BlockerName.NOT_ENQUEUED: _plain,
    BlockerName.QUEUE_PAUSED: _plain,
    BlockerName.NOT_DUE: _not_due,
    BlockerName.EXPIRED: _expired,
    BlockerName.NO_WORKER: _no_worker,
    BlockerName.BROKER_AWAY: _broker_away,
    BlockerName.NO_FREE_SLOT: _plain,
    BlockerName.TASKS_AHEAD: _tasks_ahead,
    BlockerName.NOT_CLAIMED: _plain,
    BlockerName.MAINTENANCE_AWAY: _maintenance_away,
}
