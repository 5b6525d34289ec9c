"""The duties of the maintenance role."""

from collections.abc import Awaitable, Callable
from datetime import timedelta

from taskmill.composition.creation import message_limits, task_creation
from taskmill.composition.process_context import ProcessContext
from taskmill.maintenance.deliveries import delivery_duties
from taskmill.maintenance.duty_trigger import LONGEST_PAUSE_S, Duties, DutyTrigger
from taskmill.maintenance.expiry import expire_waiting
from taskmill.maintenance.firing import FireSchedules, TickTimer
from taskmill.maintenance.rescue import Rescue
from taskmill.maintenance.retention import Duty, Retention, numbering
from taskmill.maintenance.schedule_requests import DoScheduleRequests
from taskmill.maintenance.time_out import TimeOut
from taskmill.maintenance.zone_updates import ZoneUpdates
from taskmill.observability.logs import get_logger
from taskmill.operations.firing import Firing
from taskmill.operations.queues import tidy
from taskmill.operations.ready_schedules import ScheduleReading
from taskmill.operations.schedule_requests import ScheduleRequests
from taskmill.runtime.periodic import Periodic
from taskmill.runtime.services import Service
from taskmill.storage import archive_files, counts, failures, minutes, unserved_types
from taskmill.storage.week_archive import WeekArchive

log = get_logger(__name__)

_INTERVAL_S = 60.0
_INTERVALS_S = {
    # A week is dropped with one more or less.
    "drop-weeks": 300.0,
    # Months are made two ahead.
    "audit-months": 300.0,
    # What they delete is retained for a day at least.
    "prune-minutes": 300.0,
    "prune-failures": 300.0,
    "prune-changes": 300.0,
    "prune-jobs": 300.0,
    "prune-rejections": 300.0,
    "prune-fires": 300.0,
    "prune-schedule-requests": 300.0,
    "prune-deliveries": 300.0,
    # It is for the start.
    "update-zones": 3600.0,
}
# They begin one after the other: those that run at the same time need a connection each, 6 to 9 MB.
_APART_S = 0.1
# How often duties are checked for while the system is active, so that tasks expire in time.
_POLL_S = 0.5
# A schedule may have a tick every second, and others in between; a tick must not wait for the one before.
_FIRE_PAUSE_S = 0.01
_LONGEST_FIRE_PAUSE_S = 2.0
# Followers of the feed wait for its numbering, also after an outage.
_LONGEST_NUMBERING_S = 2.0


def maintenance_services(context: ProcessContext) -> list[Service]:
    """Return the services of the maintenance role."""
    duties, trigger = _triggered_duties(context)
    return [*duties.all(), trigger, _numbering(context), *_periodic_duties(context)]


def _triggered_duties(context: ProcessContext) -> tuple[Duties, Periodic]:
    """Return the duties that run when there is work for them, and the service that triggers them."""
    settings, database = context.settings, context.maintenance_database
    interval_s = settings.maintenance.interval_s
    poll_s = min(_POLL_S, interval_s)
    name = f"rescue@{settings.worker.name}"
    rescue = Rescue(
        database,
        ttl_s=settings.lease.ttl_s,
        interval_s=interval_s,
        name=name,
        clock=context.clock,
    )

    def duty(
        name: str, work: Callable[[], Awaitable[bool | None]], least_s: float = interval_s
    ) -> Periodic:
        return Periodic(name, work, interval_s=least_s, on_demand=True)

    tick_timer = TickTimer()
    duties = Duties(
        rescue=duty("rescue", rescue),
        time_out=duty("time-out", TimeOut(database, policy=context.retry_policy, name=name)),
        expiry=duty("expiry", lambda: expire_waiting(database), poll_s),
        fold_counts=duty("fold-counts", lambda: counts.fold(database)),
        roll_up=duty("roll-up", lambda: minutes.roll_up(database)),
        fold_failures=duty("fold-failures", lambda: failures.fold(database)),
        fire_schedules=_firing(context, tick_timer),
        schedule_requests=duty("schedule-requests", _schedule_requests(context)),
    )
    trigger = DutyTrigger(
        database, rescue, duties, tick_timer, interval_s=interval_s, clock=context.clock
    )
    trigger_service = Periodic(
        "duty-trigger",
        trigger,
        interval_s=poll_s,
        longest_s=LONGEST_PAUSE_S,
        pause_s=lambda quick_s: max(
            context.idle_backoff.pause_s(quick_s, interval_s), trigger.min_pause_s
        ),
    )
    context.idle_backoff.on_wake(trigger_service.wake)
    return duties, trigger_service


def _schedule_requests(context: ProcessContext) -> DoScheduleRequests:
    creation, limits = task_creation(context), message_limits(context).input
    reading = ScheduleReading(creation, context.contracts, limits)
    database, contracts = context.maintenance_database, context.contracts
    requests = ScheduleRequests(database, Firing(creation, reading), reading, contracts, limits)
    return DoScheduleRequests(database, requests, contracts)


def _firing(context: ProcessContext, timer: TickTimer) -> Periodic:
    creation = task_creation(context)
    reading = ScheduleReading(creation, context.contracts, message_limits(context).input)
    duty = FireSchedules(
        context.maintenance_database,
        Firing(creation, reading),
        context.contracts,
        timer,
        soon_s=max(context.settings.maintenance.interval_s, LONGEST_PAUSE_S),
    )
    service = Periodic(
        "fire-schedules",
        duty,
        interval_s=_FIRE_PAUSE_S,
        longest_s=_LONGEST_FIRE_PAUSE_S,
        on_demand=True,
    )
    timer.wake = service.wake
    return service


def _numbering(context: ProcessContext) -> Periodic:
    number = Periodic(
        "number-changes",
        numbering(context.maintenance_database, context.notify_feed),
        interval_s=context.settings.maintenance.numbering_s,
        longest_s=_LONGEST_NUMBERING_S,
        pause_s=context.idle_backoff.pause_s,
    )
    context.idle_backoff.on_wake(number.wake)
    return number


def _archive(context: ProcessContext) -> WeekArchive | None:
    folder = context.settings.retention.archive_path
    if folder is None:
        return None
    # The first week may go in a year: whoever set it should not wait for that.
    if (trouble := archive_files.trouble_with(folder)) is not None:
        log.warning("archive.unusable", folder=str(folder), reason=trouble)
    return WeekArchive(context.maintenance_database, folder, context.clock)


def _periodic_duties(context: ProcessContext) -> list[Service]:
    settings, database = context.settings, context.maintenance_database
    retention = Retention(
        database,
        clock=context.clock,
        keep_tasks=timedelta(days=settings.retention.tasks_days),
        keep_changes=timedelta(days=settings.retention.change_days),
        keep_rejections=timedelta(days=settings.retention.rejection_days),
        keep_audit=timedelta(days=settings.retention.audit_days),
        keep_fires=timedelta(days=settings.retention.fire_days),
        archive=_archive(context),
    )
    duties: dict[str, Duty] = {
        "prune-minutes": lambda: minutes.prune(database),
        "prune-failures": lambda: failures.prune(database),
        "tidy-queues": lambda: tidy(database),
        "update-zones": ZoneUpdates(database),
        "forget-types": lambda: unserved_types.prune(database),
        **retention.duties(),
        **delivery_duties(database, settings.webhooks.keep_days),
    }
    return [
        Periodic(
            name,
            duty,
            interval_s=_INTERVALS_S.get(name, _INTERVAL_S),
            first_after_s=number * _APART_S,
        )
        for number, (name, duty) in enumerate(duties.items())
    ]
