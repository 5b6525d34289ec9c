"""Texts of blockers in another language than their own: complete, and with the facts."""

import re
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson

from taskmill.dashboard import blocker_text, texts
from taskmill.dashboard.wording import Words
from taskmill.domain.blockers import BlockerName, BlockerState
from taskmill.domain.explain_snapshot import ExplainSnapshot, QueuePosition
from taskmill.domain.explanation import explain
from taskmill.domain.lifecycle import EventType, Reason, Status
from taskmill.domain.system import BrokerPresence, BrokerState
from taskmill.domain.task import Task
from tests.support.builders import ERROR
from tests.support.every import every
from tests.support.explain_snapshots import (
    BROKER,
    NOON,
    WORKER_ID,
    a_last,
    a_lease,
    a_worker,
    ended,
    in_progress,
    s,
    waiting,
)

RU = Words("ru", NOON)
EN = Words("en", NOON)
AWAY = BrokerState(presence=BrokerPresence.AWAY, policy="auto", trouble="refused")
LATE = s(3_600)
SILENT = a_lease(expires_at=NOON - s(1), renewed_at=NOON - s(16))
FORGOTTEN = a_lease(expires_at=NOON - LATE, renewed_at=NOON - LATE - s(15))
CASES = (
    *(
        ended(Status.FAILED, error=ERROR, last=a_last(EventType.FAILED, one))
        for one in [*Reason, None]
    ),
    *(ended(status) for status in (Status.SUCCEEDED, Status.CANCELLED)),
    in_progress(),
    in_progress(cancel_requested=True, timeout=timedelta(minutes=1)),
    in_progress(lease=None),
    in_progress(lease=SILENT),
    in_progress(lease=SILENT, losses=3),
    in_progress(lease=SILENT, cancel_requested=True),
    in_progress(lease=FORGOTTEN),
    *(
        in_progress(lease=a_lease(closed_at=NOON - s(1), close_reason=why))
        for why in ("stopped", None)
    ),
    in_progress(
        lease=FORGOTTEN,
        leases=(a_worker(expires_at=NOON - LATE, renewed_at=NOON - LATE - s(15)),),
    ),
    waiting(),
    waiting(is_enqueued=False),
    waiting(queue_paused_at=NOON - s(60)),
    waiting(run_at=NOON + s(60)),
    waiting(run_at=NOON + s(60), error=ERROR, last=a_last(EventType.RETRY_SCHEDULED)),
    *(
        waiting(run_at=NOON + s(60), last=a_last(EventType.HANDED_BACK, why))
        for why in (Reason.NO_HANDLER, Reason.WORKER_STOPPED, "something new", None)
    ),
    waiting(expires_at=NOON + s(60)),
    waiting(expires_at=NOON - s(1)),
    waiting(expires_at=NOON - LATE),
    waiting(leases=()),
    waiting(leases=(a_worker(is_quiet=True),)),
    waiting(leases=(a_worker(queues=frozenset({"other"})),)),
    waiting(leases=tuple(a_worker(types=frozenset({f"t{n}"}), worker=f"w{n}") for n in range(9))),
    waiting(broker=AWAY),
    waiting(broker=replace(AWAY, policy="rabbitmq")),
    waiting(position=QueuePosition(running={WORKER_ID: 4}, ahead=0)),
    *(
        waiting(position=QueuePosition(running={}, ahead=ahead, is_more=more, per_second=rate))
        for ahead in (None, 0, 1, 3, 12, 10_000)
        for more in (False, True)
        for rate in (None, 0.0, 0.02, 250.0)
    ),
    waiting(broker=BROKER),
)


def task_of(c: ExplainSnapshot) -> Task:
    given: dict[str, Any] = {one.name: None for one in fields(Task)}
    if c.error is not None:
        given["error"] = orjson.dumps({"type": c.error.type, "message": c.error.message}).decode()
    return Task(**given | {"id": c.task_id, "queue": c.queue, "type": c.type})


@every("case", CASES)
def test_every_blocker_has_its_text_in_russian(case: ExplainSnapshot) -> None:
    explanation = explain(case)
    found = blocker_text.blocker_texts(RU, task_of(case), explanation)
    reached = [
        blocker for blocker in explanation.blockers if blocker.state is not BlockerState.NOT_REACHED
    ]
    assert [one.blocker for one in found] == reached
    for one in found:
        assert one.language == "ru", one
        assert re.search("[\u0430-\u044f]{3}", one.sentence)
        assert "{" not in one.sentence + (one.todo or "")
        assert (one.todo is None) is (one.blocker.todo is None)


def keys_of(case: ExplainSnapshot) -> Iterator[str]:
    """Return the keys of the texts of a case."""
    explanation = explain(case)
    for one in blocker_text.blocker_texts(RU, task_of(case), explanation):
        about = blocker_text._Case(blocker=one.blocker, task=task_of(case), explanation=explanation)
        sentences, todo = blocker_text._CASES[one.blocker.name](about)
        yield from (f"{one.blocker.name}.{key}" for key in [*sentences, todo] if key)


def test_every_text_is_used_by_some_case() -> None:
    used = {key for case in CASES for key in keys_of(case)}
    path = Path(texts.__file__).parent / "why" / "ru.json"
    assert set(orjson.loads(path.read_bytes())) == used


def test_the_text_of_a_blocker_has_its_facts() -> None:
    case = waiting(position=QueuePosition(running={}, ahead=12_345, per_second=10.0))
    found = blocker_text.blocker_texts(RU, task_of(case), explain(case))
    [ahead] = [one for one in found if one.blocker.name is BlockerName.TASKS_AHEAD]
    assert ahead.sentence == (
        "Перед ней в очереди mail примерно 12\u202f345 задач. "
        "При нынешней скорости (10 в секунду) это займёт примерно 20\u00a0мин 34\u00a0\u0441."
    )
    case = ended(Status.FAILED, error=ERROR, last=a_last(EventType.FAILED, Reason.ERROR))
    [end] = blocker_text.blocker_texts(RU, task_of(case), explain(case))
    assert "2030-01-31T11:59:00Z (1\u00a0мин назад)" in end.sentence
    assert "ValueError: no such customer" in end.sentence
    assert f"`taskmill task retry {UUID(int=7)}`" in (end.todo or "")


def test_a_name_is_never_taken_for_a_placeholder() -> None:
    case = in_progress(lease=a_lease(worker="{id}{nothing}{0}"))
    [_, running] = blocker_text.blocker_texts(RU, task_of(case), explain(case))
    assert "Её выполняет {id}{nothing}{0}," in running.sentence


def test_facts_newer_than_the_texts_are_shown_in_english() -> None:
    case = in_progress()
    explanation = explain(case)
    blockers = tuple(
        replace(blocker, facts={k: v for k, v in blocker.facts.items() if k != "worker"})
        for blocker in explanation.blockers
    )
    found = blocker_text.blocker_texts(RU, task_of(case), replace(explanation, blockers=blockers))
    assert [one.language for one in found] == ["ru", "en"]
    assert found[1].sentence == explanation.holding.sentence


def test_in_english_the_sentences_are_those_of_the_blockers() -> None:
    explanation = explain(waiting())
    for one in blocker_text.blocker_texts(EN, task_of(waiting()), explanation):
        assert (one.sentence, one.todo, one.language) == (
            one.blocker.sentence,
            one.blocker.todo,
            "en",
        )
