"""An attempt alone: which changes it takes and refuses, in every order."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

import pytest

from taskmill.domain.lifecycle import Cancelled, Failed, Lost, Permanent, Succeeded
from taskmill.worker.attempt import Attempt, AttemptState, InvalidChange
from taskmill.worker.execution import describe
from tests.support.attempts import an_attempt

OUTCOME: Final = Succeeded(result="1")
REPLACED: Final = Permanent(error=describe(ValueError("refused")))


def stop(attempt: Attempt) -> None:
    if not attempt.request_stop(Cancelled()):
        raise InvalidChange


EVENTS: Final[dict[str, Callable[[Attempt], None]]] = {
    "begin": lambda a: a.begin(),
    "stop": stop,
    "abandon": lambda a: a.abandon(),
    "settle": lambda a: a.settle(OUTCOME, at=2.0),
    "replace": lambda a: a.replace(REPLACED),
    "record": lambda a: a.record(),
    "lose": lambda a: a.lose(),
}


class Expected:
    """What an attempt should be, by rules that are written down a second time."""

    def __init__(self) -> None:
        self.state = "claimed"
        self.is_stopped = self.is_abandoned = self.is_replaced = False

    def takes(self, event: str) -> bool:
        match event:
            case "begin":
                return self.state == "claimed"
            case "stop":
                return self.state in {"claimed", "running"} and not self.is_stopped
            case "abandon":
                return self.state == "running" and not self.is_abandoned
            case "settle":
                return self.state in {"claimed", "running"}
            case "replace":
                return self.state == "settled" and not self.is_replaced
            case _:
                return self.state == "settled"

    def apply(self, event: str) -> None:
        match event:
            case "begin":
                self.state = "running"
            case "stop":
                self.is_stopped = True
            case "abandon":
                self.is_abandoned = True
            case "settle":
                self.state = "settled"
            case "replace":
                self.is_replaced = True
            case _:
                self.state = {"record": "recorded", "lose": "lost"}[event]

    @property
    def facts(self) -> tuple[object, ...]:
        return (self.state, self.is_stopped, self.is_abandoned, self.is_replaced)

    def equals(self, attempt: Attempt) -> bool:
        return (
            attempt.state == self.state
            and (attempt.stop_reason is not None) is self.is_stopped
            and attempt.is_abandoned is self.is_abandoned
            and attempt.is_replaced is self.is_replaced
            and attempt.is_open is (self.state in {"claimed", "running"})
            and (attempt.outcome is None) is (self.state in {"claimed", "running"})
        )


def after(path: Sequence[str]) -> tuple[Attempt, Expected]:
    attempt, expected = an_attempt(), Expected()
    for event in path:
        EVENTS[event](attempt)
        expected.apply(event)
    return attempt, expected


def test_an_attempt_takes_events_in_every_order_as_its_rules_say() -> None:
    """Every event is tried wherever the rules lead to: what it was before does not matter to an attempt."""
    paths: dict[tuple[object, ...], tuple[str, ...]] = {Expected().facts: ()}
    waiting = [*paths.values()]
    while waiting:
        path = waiting.pop()
        for event in EVENTS:
            attempt, expected = after(path)
            if not expected.takes(event):
                with pytest.raises(InvalidChange):
                    EVENTS[event](attempt)
                assert expected.equals(attempt), (
                    f"{event} after {path} is refused and changes nothing"
                )
                continue
            EVENTS[event](attempt)
            expected.apply(event)
            assert expected.equals(attempt), f"{event} after {path}: {attempt}"
            if expected.facts not in paths:
                paths[expected.facts] = (*path, event)
                waiting.append(paths[expected.facts])
    assert {facts[0] for facts in paths} == set(AttemptState)


@pytest.mark.parametrize(
    ("events", "state"),
    [
        (("begin", "settle", "record"), AttemptState.RECORDED),
        (("begin", "stop", "settle", "record"), AttemptState.RECORDED),
        (("begin", "stop", "abandon", "settle", "record"), AttemptState.RECORDED),
        (("stop", "settle", "record"), AttemptState.RECORDED),
        (("begin", "settle", "lose"), AttemptState.LOST),
        (("begin", "settle", "replace", "record"), AttemptState.RECORDED),
    ],
)
def test_the_usual_courses_of_attempts(events: Sequence[str], state: AttemptState) -> None:
    attempt = an_attempt()
    for event in events:
        EVENTS[event](attempt)
    assert attempt.state is state
    assert attempt.ran_s == 2.0


def test_the_first_reason_to_stop_counts() -> None:
    attempt, first = an_attempt(), Lost()
    assert attempt.request_stop(first)
    assert not attempt.request_stop(Cancelled())
    assert attempt.stop_reason is first


def test_an_attempt_takes_as_long_as_from_its_claim_until_it_is_settled() -> None:
    attempt = an_attempt()
    attempt.began_at = 1.5
    attempt.settle(OUTCOME, at=4.0)
    assert attempt.ran_s == 2.5


def test_an_outcome_that_is_refused_is_replaced() -> None:
    attempt = an_attempt()
    attempt.settle(OUTCOME, at=1.0)
    attempt.replace(REPLACED)
    assert attempt.outcome is REPLACED


@pytest.mark.parametrize("event", ["stop", "settle", "abandon"])
async def test_an_attempts_timer_ends_when_it_is_stopped_settled_or_abandoned(event: str) -> None:
    attempt = an_attempt()
    attempt.begin()
    attempt.timer = timer = asyncio.get_running_loop().call_later(60, pytest.fail)
    EVENTS[event](attempt)
    assert timer.cancelled()
    assert attempt.timer is None


def test_an_attempt_is_identified_by_its_task_and_its_claim() -> None:
    attempt = an_attempt(7)
    assert attempt.key == (attempt.task.id, attempt.task.claim_no)
    failed = Failed(error=describe(ValueError("no")))
    attempt.settle(failed, at=1.0)
    for event, refusal in (
        ("begin", "is settled, and can't be running"),
        ("abandon", "can't be abandoned: it is settled"),
    ):
        with pytest.raises(InvalidChange, match=refusal):
            EVENTS[event](attempt)
    attempt.record()
    with pytest.raises(InvalidChange, match="can't be replaced: it is recorded"):
        attempt.replace(REPLACED)
