"""The English sentences of notices, and what ends each: by kind and case. `{name}` stands for a fact.

A sentence about a number has two forms, chosen by the fact `n`. Other languages have texts of the same names
(`dashboard/texts/attention/`).
"""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Final, NamedTuple

from taskmill.domain.attention import MORE, Notice
from taskmill.domain.blockers import a_few, span

_LONGEST: Final = 160

Forms = str | tuple[str, str]


class NoticeText(NamedTuple):
    """A sentence, or its forms for one and for many; and the action that ends it."""

    sentence: Forms
    action: str


def _many(one: str, many: str) -> Forms:
    return one, many


_SEE_FAILURES: Final = "Look at an example; when its cause is removed, run what failed again."

TEXTS: Final[Mapping[str, NoticeText]] = {
    "database_slow.slow": NoticeText(
        "PostgreSQL does not answer in time: what else needs attention is not known.",
        "See what keeps it: its load, its disk, locks.",
    ),
    "database_unwritable.full": NoticeText(
        "PostgreSQL takes no writes: its disk is full. Nothing is created, and no result is recorded.",
        "Make room on its disk. Tasks that have ended are recorded then.",
    ),
    "database_unwritable.other": NoticeText(
        "PostgreSQL answers, but takes no writes. Nothing is created, and no result is recorded.",
        "See why with taskmill health: a lock, a standby that is missing, a read-only server.",
    ),
    "no_maintenance.overdue": NoticeText(
        _many(
            "A lease ran out {span} ago and is not closed: no maintenance runs.",
            "{n} leases ran out, the first {span} ago, and are not closed: no maintenance runs.",
        ),
        "Start maintenance: taskmill run maintenance",
    ),
    "no_workers.waiting": NoticeText(
        _many("No worker is alive, and {n} task waits.", "No worker is alive, and {n} tasks wait."),
        "Start a worker: taskmill run worker",
    ),
    "no_workers.idle": NoticeText(
        "No worker is alive: what is created now would wait.", "Start a worker: taskmill run worker"
    ),
    "broker_away.awaited": NoticeText(
        "RabbitMQ is away, and workers wait for it: {trouble}.",
        "Bring it back, or start workers with TASKMILL_BROKER=auto.",
    ),
    "broker_away.replaced": NoticeText(
        "RabbitMQ is away, workers claim from PostgreSQL meanwhile: {trouble}.", "Bring it back."
    ),
    "unserved.due": NoticeText(
        _many(
            "No worker runs type {type} of queue {queue}, and {n} task is due.",
            "No worker runs type {type} of queue {queue}, and {n} tasks are due.",
        ),
        "Start a worker that has the type {type} and serves the queue {queue}.",
    ),
    "unserved.many": NoticeText(
        "No worker runs type {type} of queue {queue}, and more than {n} tasks are due.",
        "Start a worker that has the type {type} and serves the queue {queue}.",
    ),
    "backlog_growing.growing": NoticeText(
        "Queue {queue} gets {rate} tasks a minute more than leave it; the oldest one waits for {span}.",
        "Start more workers for it, or have less sent to it.",
    ),
    "late.waiting": NoticeText(
        "Queue {queue}: the oldest due task waits for {span}.",
        "Start more workers for it, or free slots of those that serve it.",
    ),
    "late.shrinking": NoticeText(
        "Queue {queue}: the oldest due task waits for {span}; at this rate all are gone in {gone_in}.",
        "It ends by itself; more workers make it faster.",
    ),
    "losses_exhausted.failed": NoticeText(
        _many(
            "{n} task of type {type} failed in 24 h because its workers were lost too often.",
            "{n} tasks of type {type} failed in 24 h because their workers were lost too often.",
        ),
        "Find what ends the workers, such as too little memory, before they run again.",
    ),
    "worker_lost.running": NoticeText(
        _many(
            "Worker {worker} was lost with {n} task, which was taken back.",
            "Worker {worker} was lost with {n} tasks, which were taken back.",
        ),
        "Find out why its process ended. It is shown for 24 h, or until it is acknowledged.",
    ),
    "worker_lost.idle": NoticeText(
        "Worker {worker} was lost while it ran nothing.",
        "Find out why its process ended. It is shown for 24 h, or until it is acknowledged.",
    ),
    "worker_silent.silent": NoticeText(
        _many(
            "Worker {worker} has not renewed its lease for {span}; it runs {n} task.",
            "Worker {worker} has not renewed its lease for {span}; it runs {n} tasks.",
        ),
        "See whether its process and its network live; maintenance takes back what it runs.",
    ),
    "failures_up.up": NoticeText(
        "Type {type} of queue {queue}: {share} of the last {ended} ends failed, {usual} the day before.",
        _SEE_FAILURES,
    ),
    "failing.failing": NoticeText(
        "Type {type} of queue {queue}: {share} of the last {ended} ends failed.", _SEE_FAILURES
    ),
    "webhook_failing.failing": NoticeText(
        _many(
            "The webhook to {webhook} has failed for {span}; {n} delivery waits.",
            "The webhook to {webhook} has failed for {span}; {n} deliveries wait.",
        ),
        "Have its endpoint accept requests again; what waits is sent then.",
    ),
    "webhook_failing.failing_many": NoticeText(
        "The webhook to {webhook} has failed for {span}; more than {n} deliveries wait.",
        "Have its endpoint accept requests again; what waits is sent then.",
    ),
    "webhook_failing.disabled": NoticeText(
        "The webhook to {webhook} is disabled and misses what happens: {reason}.",
        "When its endpoint accepts requests again: taskmill webhook enable",
    ),
    "deliveries_late.late": NoticeText(
        "Webhooks and callbacks are late: a delivery has been due for {span}, though its endpoint is healthy.",
        "Start more processes of the webhooks role.",
    ),
    "deliveries_unread.late": NoticeText(
        "No webhooks role reads the feed: webhooks and callbacks are {span} behind.",
        "Start it: taskmill run webhooks",
    ),
    "schedule_refused.refused": NoticeText(
        _many(
            "Schedule {schedule}: its latest tick made no task, as that was refused.",
            "Schedule {schedule}: its latest {n} ticks made no task, as that was refused.",
        ),
        "See why with taskmill schedule fires {schedule}, and correct its task.",
    ),
    "schedule_request_refused.refused": NoticeText(
        "Schedule {schedule} was asked for in SQL {span} ago, and refused.",
        "See why with taskmill schedule show {schedule}; ask for one that is allowed, or delete it.",
    ),
    "schedule_unreadable.unreadable": NoticeText(
        "Schedule {schedule}: its tick has been due for {span}, and only a later release knows its spec.",
        "Finish the upgrade of maintenance, or put it anew: taskmill schedule put {schedule}",
    ),
    "schedule_slow.slow": NoticeText(
        "Schedule {schedule} makes a task every {real} instead of every {asked}.",
        "See why with taskmill schedule fires {schedule}: its tasks may take longer than its interval.",
    ),
    "schedule_slow.none": NoticeText(
        "Schedule {schedule}: none of its latest {n} ticks made a task.",
        "See why with taskmill schedule fires {schedule}: its task may not end.",
    ),
    "schedule_late.late": NoticeText(
        "Schedule {schedule}: its tick has been due for {span}.",
        "See whether maintenance runs, and whether its log has errors.",
    ),
    "feed_behind.behind": NoticeText(
        "The feed is {span} behind: changes have no position yet.",
        "See whether maintenance runs, and whether an old transaction is open.",
    ),
    "follower_behind.behind": NoticeText(
        "The feed's follower {follower} is {span} behind.",
        "See whether its role runs, and whether it reaches what it delivers to.",
    ),
    "partitions_missing.missing": NoticeText(
        _many(
            "Only {n} week has its partitions ahead.", "Only {n} weeks have their partitions ahead."
        ),
        "See why maintenance makes none: its log has partition.delayed or duty.failed.",
    ),
    "partitions_many.many": NoticeText(
        "{n} weeks have partitions, and each makes statements slower.",
        "Keep tasks for a shorter time: TASKMILL_RETENTION__TASKS_DAYS.",
    ),
    "slots_full.full": NoticeText(
        "{running} of {slots} slots are taken while tasks wait in {queues}.",
        "Start more workers, or give them more slots: --concurrency.",
    ),
    "error_came_back.again": NoticeText(
        "A kind of error was resolved {span} ago, and tasks fail in this way again: {error}.",
        "Look at an example: the cause is still there. Resolve the kind again when it is removed.",
    ),
    "new_error.new": NoticeText(
        _many(
            "Type {type} fails with a new kind of error, {n} time: {error}.",
            "Type {type} fails with a new kind of error, {n} times: {error}.",
        ),
        _SEE_FAILURES,
    ),
    "expiries.expired": NoticeText(
        _many(
            "{n} task of type {type} in queue {queue} expired before a worker was free.",
            "{n} tasks of type {type} in queue {queue} expired before a worker was free.",
        ),
        "Start more workers for the queue, or give tasks a later expires_at.",
    ),
    "refused.queue": NoticeText(
        _many(
            "{n} message for queue {queue} was refused in 24 h and not sent again.",
            "{n} messages for queue {queue} were refused in 24 h and not sent again.",
        ),
        "Correct what their producer sends, then send them again.",
    ),
    "refused.queue_many": NoticeText(
        "More than {n} messages for queue {queue} were refused in 24 h and not sent again.",
        "Correct what their producer sends, then send them again.",
    ),
    "refused.unknown": NoticeText(
        _many(
            "{n} message was refused in 24 h and not sent again.",
            "{n} messages were refused in 24 h and not sent again.",
        ),
        "Correct what their producer sends, then send them again.",
    ),
    "refused.unknown_many": NoticeText(
        "More than {n} messages were refused in 24 h and not sent again.",
        "Correct what their producer sends, then send them again.",
    ),
    "paused.paused": NoticeText(
        _many(
            "Queue {queue} is paused, {n} task waits.", "Queue {queue} is paused, {n} tasks wait."
        ),
        "Resume it: taskmill queue resume {queue}",
    ),
    "worker_stopping.quiet": NoticeText(
        "Worker {worker} takes no more tasks; those that it runs: {n}.",
        "Have it take tasks again: taskmill worker resume {worker}",
    ),
    "worker_stopping.stop": NoticeText(
        _many(
            "Worker {worker} is to stop; it runs {n} task.",
            "Worker {worker} is to stop; it runs {n} tasks.",
        ),
        "It ends by itself.",
    ),
    "old_snapshot.old": NoticeText(
        "A transaction has been open for {span}: PostgreSQL can't clean up, and gets slower.",
        "Find it in pg_stat_activity by backend_xmin, and end it.",
    ),
    "old_snapshot.far": NoticeText(
        "A snapshot is {n} transactions old: PostgreSQL can't clean up, and gets slower.",
        "Find it in pg_stat_activity, pg_replication_slots or pg_prepared_xacts, and end it.",
    ),
    "role_missing.missing": NoticeText(
        "No process has the role {role}: {process} was last seen {span} ago.",
        "Start it: taskmill run {role}",
    ),
    "duty_failing.failing": NoticeText(
        _many(
            "Duty {duty} of {process} has failed {n} time in a row: {error}.",
            "Duty {duty} of {process} has failed {n} times in a row: {error}.",
        ),
        "See duty.failed in the log of that process.",
    ),
    "clock_skew.ahead": NoticeText(
        "The clock of {process}'s machine is {span} ahead of PostgreSQL's.",
        "Have its machine set its clock by the network.",
    ),
    "clock_skew.behind": NoticeText(
        "The clock of {process}'s machine is {span} behind PostgreSQL's.",
        "Have its machine set its clock by the network.",
    ),
    "versions_differ.processes": NoticeText(
        "Processes run different versions: {versions}.",
        "Finish the upgrade; while one is under way this is as it should be.",
    ),
}


OTHERS: Final = NoticeText(
    "And {n} more of this kind: {kind}.",
    "The list of what is shown above comes first; end these, and the others follow.",
)
"""The text of the notice that stands for the others of its kind."""


def text_of(notice: Notice) -> NoticeText:
    """Return a notice's text, not filled in."""
    return OTHERS if notice.case == MORE else TEXTS[notice.text]


def filled(form: Forms, notice: Notice, shown: Callable[[str, object], object]) -> str:
    """Return an English text with the facts in it, each as `shown` by name and value."""
    text = form if isinstance(form, str) else form[notice.facts.get("n") != 1]
    facts = {"kind": notice.kind.replace("_", " "), **notice.facts}
    return text.format_map({name: shown(name, value) for name, value in facts.items()})


def sentence(notice: Notice) -> str:
    """Return what is the matter, in English."""
    return filled(text_of(notice).sentence, notice, _shown)


def action(notice: Notice) -> str:
    """Return what ends it, in English."""
    return filled(text_of(notice).action, notice, _shown)


def _shown(name: str, value: object) -> object:
    match value:
        case timedelta():
            return span(value)
        case float():
            return f"{value:.0%}" if name in SHARES else f"{value:,.1f}"
        case int():
            return f"{value:,}"
        case list():
            return a_few(value)
        case str() if len(value) > _LONGEST:
            return value[: _LONGEST - 1] + "…"
        case _:
            return value


SHARES: Final = frozenset({"share", "usual"})
"""The facts that are shares of 1."""
