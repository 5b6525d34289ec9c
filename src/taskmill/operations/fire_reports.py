"""Counts and logs what became of ticks, after that was committed."""

from collections import Counter
from collections.abc import Iterable

import orjson

from taskmill.domain.fires import Fire, FireCause, FireOutcome, StoredSchedule
from taskmill.domain.schedules.ticks import Tick, due_at
from taskmill.domain.system import CancelResult
from taskmill.observability.flow import CANCELS
from taskmill.observability.logs import get_logger
from taskmill.observability.schedules import FIRES, LATENESS
from taskmill.operations.creation_reports import LogFacts
from taskmill.wire.stored_schedules import read_spec

log = get_logger(__name__)


def report_fires(fires: Iterable[tuple[StoredSchedule, Fire]]) -> None:
    """Count fires of schedules as they were read before, and log those that have made no task."""
    ticks: Counter[FireOutcome] = Counter()
    for schedule, fire in fires:
        ticks[fire.outcome] += fire.ticks
        if fire.outcome is FireOutcome.CREATED:
            _observe_lateness(schedule, fire)
        elif fire.outcome is FireOutcome.REFUSED:
            problem = orjson.loads(fire.problem or "{}")
            log.warning("schedule.refused", problem=problem.get("detail"), **_facts(schedule, fire))
        elif fire.outcome is FireOutcome.HELD:
            log.info("schedule.held", **_facts(schedule, fire))
        else:
            until = None if fire.until_tick is None else fire.until_tick.isoformat()
            log.info(
                "schedule.skipped",
                outcome=fire.outcome,
                ticks=fire.ticks,
                until_tick=until,
                **_facts(schedule, fire),
            )
    for outcome, number in ticks.items():
        FIRES.add(number, (outcome,))


def report_cancels(results: Iterable[CancelResult]) -> None:
    """Count cancels of earlier tasks."""
    for result in results:
        CANCELS.add(1, ("done" if result is CancelResult.CANCELLED else "requested",))


def facts_of_tasks(fires: Iterable[tuple[StoredSchedule, Fire]]) -> LogFacts:
    """Return what the log lines of the tasks that fires have made say of them."""
    return {
        fire.task_id: {**_facts(schedule, fire), "cause": fire.cause}
        for schedule, fire in fires
        if fire.task_id is not None
    }


def _observe_lateness(schedule: StoredSchedule, fire: Fire) -> None:
    if fire.cause is FireCause.TICK and fire.tick != schedule.held_tick:
        spec, _ = read_spec(schedule.content.spec)
        late = schedule.moment - due_at(schedule.name, spec, Tick(at=fire.tick))
        LATENESS.observe(late.total_seconds())


def _facts(schedule: StoredSchedule, fire: Fire) -> dict[str, str]:
    return {"schedule": schedule.name, "tick": fire.tick.isoformat()}
