"""Makes up how past tasks went: when they were created, how long they waited and ran, how each attempt ended."""

import math
import random
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from taskmill.domain.lifecycle import ErrorInfo, Failed, Outcome, Permanent, Retry, Succeeded
from taskmill.domain.retry import RetryPolicy
from tools.scene.plan import (
    BACKLOG,
    BY_TYPE,
    CAUSES,
    LATE,
    LATELY,
    NEW_CAUSE,
    PAST,
    RETRYING,
    WORKS,
    Work,
)

MAX_ATTEMPTS: Final = 3
RETRY: Final = RetryPolicy()
JITTER: Final = 0.5
NUMBERS: Final = range(1_001, 10_000)

_SURGING = "charge-card"
_SURGING_SHARE = 0.6
_CANCELLED_SHARE = 0.01
_RETRIED_SHARE = 0.04
_PERMANENT_SHARE = 0.7
_WAITS_S = 0.3
_UNTIL_CANCELLED = timedelta(seconds=30)
_SPREAD = 0.5
_RETRIES_WITHIN = timedelta(hours=6)


class Step(NamedTuple):
    """An attempt: how long it waited once it was due, how long it ran, and how it ended."""

    waits: timedelta
    runs: timedelta
    outcome: Outcome


class Course(NamedTuple):
    """How a task went. Without steps it waits, unless it was cancelled `cancelled_after` its creation."""

    created_at: datetime
    work: Work
    number: int
    steps: Sequence[Step] = ()
    cancelled_after: timedelta | None = None


def courses(now: datetime, tasks: int, draw: random.Random) -> list[Course]:
    """Return how so many tasks went until now, with those of the backlog and of retries, the oldest first."""
    past = tasks - BACKLOG - RETRYING
    works = draw.choices(WORKS, [work.share for work in WORKS], k=past)
    found = [_ended(now, work, draw) for work in works]
    found += [_late(now, number / BACKLOG, draw) for number in range(BACKLOG)]
    found += [_retrying(now, draw) for _ in range(RETRYING)]
    return sorted(found, key=lambda course: course.created_at)


def _ended(now: datetime, work: Work, draw: random.Random) -> Course:
    back = PAST * draw.random()
    number = draw.choice(NUMBERS)
    if draw.random() < _CANCELLED_SHARE:
        created_at = now - back - _UNTIL_CANCELLED
        return Course(created_at, work, number, cancelled_after=_UNTIL_CANCELLED)
    outcomes = _outcomes(work, number, is_recent=back < LATELY, draw=draw)
    steps = [_step(work, outcome, draw) for outcome in outcomes]
    return Course(now - back - _lasted(steps), work, number, steps)


def _outcomes(
    work: Work, number: int, *, is_recent: bool, draw: random.Random
) -> Sequence[Outcome]:
    """Return how the attempts of a task ended."""
    is_surging = is_recent and work.type == _SURGING
    chance = draw.random()
    if chance < (_SURGING_SHARE if is_surging else work.fails):
        error = CAUSES[NEW_CAUSE if is_surging else draw.choice(work.causes)].of(number)
        if is_surging or draw.random() < _PERMANENT_SHARE:
            return [Permanent(error=error)]
        return [Failed(error=error)] * MAX_ATTEMPTS
    success = Succeeded(result=f'{{"customer": {number}}}')
    if chance > 1 - _RETRIED_SHARE:
        return [Failed(error=_error(work, number, draw)), success]
    return [success]


def _error(work: Work, number: int, draw: random.Random) -> ErrorInfo:
    return CAUSES[draw.choice(work.causes)].of(number)


def _step(work: Work, outcome: Outcome, draw: random.Random) -> Step:
    return Step(
        timedelta(seconds=draw.expovariate(1 / _WAITS_S)),
        timedelta(seconds=work.runs_s * math.exp(draw.gauss(0, _SPREAD))),
        outcome,
    )


def _lasted(steps: Sequence[Step]) -> timedelta:
    """Return how long they lasted, with the pauses before the second attempt and further ones."""
    pauses = (RETRY.delay(attempt, JITTER) for attempt in range(1, len(steps)))
    return sum((step.waits + step.runs for step in steps), sum(pauses, timedelta(0)))


def _late(now: datetime, part: float, draw: random.Random) -> Course:
    """Return one of the backlog, which is longer the more of them came before."""
    return Course(now - LATE * (1 - part), BY_TYPE["plan-delivery"], draw.choice(NUMBERS))


def _retrying(now: datetime, draw: random.Random) -> Course:
    """Return a task whose first attempt failed, and whose second is hours away."""
    work, number = BY_TYPE["sync-crm"], draw.choice(NUMBERS)
    pause = timedelta(hours=1) + _RETRIES_WITHIN * draw.random()
    step = _step(work, Retry(error=_error(work, number, draw), after=pause), draw)
    created_at = now - timedelta(hours=1) * draw.random() - _lasted([step])
    return Course(created_at, work, number, [step])
