"""The duties of the maintenance role."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from taskmill.composition.process_context import ProcessContext
from taskmill.composition.retries import retry_policy
from taskmill.maintenance.deliveries import prune_deliveries
from taskmill.maintenance.duty_trigger import LONGEST_REST_S, Duties, DutyTrigger
from taskmill.maintenance.expiry import expire_waiting
from taskmill.maintenance.rescue import Rescue
from taskmill.maintenance.retention import Housekeeping, numbering
from taskmill.maintenance.time_out import TimeOut
from taskmill.operations.queues import tidy
from taskmill.runtime.periodic import Periodic
from taskmill.runtime.services import Service
from taskmill.storage import counts, failures, minutes, unserved_types

_HOUSEKEEPING_S = 60.0
# Rows of the roll-up are kept for a day at least.
_PRUNING_S = 300.0
# How often to look what is to be done while anything happens: what expires does so in time.
_LOOK_S = 0.5
# Whoever follows the feed waits for its numbering, also after an outage.
_LONGEST_SILENCE_S = 2.0


def maintenance_services(parts: ProcessContext) -> list[Service]:
    """Return the services of the maintenance role."""
    duties, duty_trigger = _looked_after(parts)
    return [*duties.all(), duty_trigger, _numbering(parts), *_seldom(parts)]


def _looked_after(parts: ProcessContext) -> tuple[Duties, Periodic]:
    """Return the duties that are woken when they have something to do, and what wakes them."""
    settings, database = parts.settings, parts.database
    interval_s = settings.maintenance.interval_s
    look_s = min(_LOOK_S, interval_s)
    name = f"rescue@{settings.worker.name}"
    rescue = Rescue(
        database,
        ttl_s=settings.lease.ttl_s,
        interval_s=interval_s,
        name=name,
        clock=parts.clock,
    )

    def duty(
        name: str, work: Callable[[], Awaitable[bool | None]], least_s: float = interval_s
    ) -> Periodic:
        return Periodic(name, work, interval_s=least_s, on_demand=True)

    duties = Duties(
        rescue=duty("rescue", rescue),
        time_out=duty("time-out", TimeOut(database, policy=retry_policy(parts), name=name)),
        expiry=duty("expiry", lambda: expire_waiting(database), look_s),
        fold_counts=duty("fold-counts", lambda: counts.fold(database)),
        roll_up=duty("roll-up", lambda: minutes.roll_up(database)),
        fold_failures=duty("fold-failures", lambda: failures.fold(database)),
    )
    look = DutyTrigger(database, rescue, duties, look_s=interval_s, clock=parts.clock)
    duty_trigger = Periodic(
        "duty_trigger",
        look,
        interval_s=look_s,
        longest_s=LONGEST_REST_S,
        rest_s=lambda quick_s: max(parts.idle_backoff.pause_s(quick_s, interval_s), look.rest_s),
    )
    parts.idle_backoff.on_wake(duty_trigger.wake)
    return duties, duty_trigger


def _numbering(parts: ProcessContext) -> Periodic:
    number = Periodic(
        "number-changes",
        numbering(parts.database, parts.tell_feed),
        interval_s=parts.settings.maintenance.numbering_s,
        longest_s=_LONGEST_SILENCE_S,
        rest_s=parts.idle_backoff.pause_s,
    )
    parts.idle_backoff.on_wake(number.wake)
    return number


def _seldom(parts: ProcessContext) -> list[Service]:
    settings, database = parts.settings, parts.database
    housekeeping = Housekeeping(
        database,
        clock=parts.clock,
        keep_tasks=timedelta(days=settings.retention.tasks_days),
        keep_changes=timedelta(days=settings.retention.change_days),
        keep_rejections=timedelta(days=settings.retention.rejection_days),
    )
    return [
        Periodic("prune-minutes", lambda: minutes.prune(database), interval_s=_PRUNING_S),
        Periodic("prune-failures", lambda: failures.prune(database), interval_s=_PRUNING_S),
        Periodic("tidy-queues", lambda: tidy(database), interval_s=_HOUSEKEEPING_S),
        Periodic(
            "forget-types", lambda: unserved_types.forget(database), interval_s=_HOUSEKEEPING_S
        ),
        Periodic("housekeeping", housekeeping, interval_s=_HOUSEKEEPING_S),
        Periodic(
            "prune-deliveries",
            lambda: prune_deliveries(database, settings.webhooks.keep_days),
            interval_s=_HOUSEKEEPING_S,
        ),
    ]
