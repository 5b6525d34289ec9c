"""The rules of attention for the service itself: broker, database, feed, webhooks, maintenance."""

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Final

from taskmill.domain.attention import Notice, NoticeKind, Severity
from taskmill.domain.attention_process_rules import process_notices
from taskmill.domain.attention_schedule_rules import schedule_notices
from taskmill.domain.attention_snapshot import AttentionSnapshot, FailingWebhook
from taskmill.domain.figures import DatabaseFigures, SystemFigures
from taskmill.domain.system import BrokerPresence, Liveness

_WEBHOOKS: Final = "webhooks"
_NO_SPACE: Final = "No space left on device"
_LATE_S: Final = 60.0
_UNNUMBERED_S: Final = 10.0
_OLD_SNAPSHOT_S: Final = 300.0
_OLD_XMIN: Final = 5_000_000
_FEWEST_WEEKS: Final = 2
_MOST_PARTITIONS: Final = 65
# A lease that ran out is closed within a lease time, unless no maintenance runs.
_OVERDUE: Final = timedelta(minutes=1)


def system_notices(snapshot: AttentionSnapshot) -> Iterator[Notice]:
    """Yield what concerns the service itself.

    Who sees some queues only sees its schedules, the broker, and that nothing is written.
    """
    yield from _broker(snapshot)
    yield from schedule_notices(snapshot)
    if snapshot.unwritable is not None:
        is_full = _NO_SPACE in snapshot.unwritable
        case = "full" if is_full else "other"
        yield _notice(NoticeKind.DATABASE_UNWRITABLE, case, Severity.TROUBLE)
    if not snapshot.is_whole:
        return
    yield from _webhooks(snapshot)
    yield from _maintenance(snapshot)
    yield from process_notices(snapshot)
    if snapshot.figures is None:
        yield _notice(NoticeKind.DATABASE_SLOW, "slow", Severity.TROUBLE)
    else:
        yield from _figures(snapshot.figures)


def _notice(
    kind: NoticeKind, case: str, severity: Severity, subject: str = "", **facts: object
) -> Notice:
    return Notice(kind=kind, case=case, severity=severity, subject=subject, facts=facts)


def _broker(snapshot: AttentionSnapshot) -> Iterator[Notice]:
    broker = snapshot.broker
    if broker.presence is BrokerPresence.AWAY and not broker.is_starting:
        is_waited_for = broker.policy == "rabbitmq"
        yield _notice(
            NoticeKind.BROKER_AWAY,
            "awaited" if is_waited_for else "replaced",
            Severity.TROUBLE if is_waited_for else Severity.WARNING,
            trouble=broker.trouble or "",
        )


def _webhooks(snapshot: AttentionSnapshot) -> Iterator[Notice]:
    hosts = Counter(one.host for one in snapshot.webhooks)
    for one in snapshot.webhooks:
        which = f" ({one.description or str(one.id)[-12:]})" if hosts[one.host] > 1 else ""
        yield Notice(
            kind=NoticeKind.WEBHOOK_FAILING,
            case=_case_of_webhook(one),
            severity=Severity.TROUBLE,
            subject=str(one.id),
            facts={
                "webhook": one.host + which,
                "n": one.deliveries,
                "span": snapshot.ago(one.since),
                "reason": one.reason or "",
            },
            since=one.since,
        )


def _case_of_webhook(one: FailingWebhook) -> str:
    if one.is_disabled:
        return "disabled"
    return "failing_many" if one.are_more else "failing"


def _maintenance(snapshot: AttentionSnapshot) -> Iterator[Notice]:
    overdue = [one for one in snapshot.workers if one.state is Liveness.EXPIRED]
    since = min((one.expires_at for one in overdue), default=snapshot.at)
    if snapshot.ago(since) >= _OVERDUE:
        yield Notice(
            kind=NoticeKind.NO_MAINTENANCE,
            case="overdue",
            severity=Severity.TROUBLE,
            facts={"n": len(overdue), "span": snapshot.ago(since)},
            since=since,
            tasks=sum(one.running for one in overdue),
        )


def _figures(figures: SystemFigures) -> Iterator[Notice]:
    deliveries = figures.deliveries
    for kind, seconds in (
        (NoticeKind.DELIVERIES_LATE, deliveries.late_s),
        (NoticeKind.DELIVERIES_UNREAD, deliveries.unread_s),
    ):
        if seconds >= _LATE_S:
            yield _notice(kind, "late", Severity.TROUBLE, span=timedelta(seconds=seconds))
    yield from _feed(figures)
    yield from _old_snapshot(figures.database)
    yield from _partitions(figures)


def _feed(figures: SystemFigures) -> Iterator[Notice]:
    if (unnumbered_s := figures.database.unnumbered_s) >= _UNNUMBERED_S:
        span = timedelta(seconds=unnumbered_s)
        yield _notice(NoticeKind.FEED_BEHIND, "behind", Severity.TROUBLE, span=span)
    for follower, lag_s in sorted(figures.lags_s.items()):
        # How far behind webhooks are is said by their deliveries.
        if follower != _WEBHOOKS and lag_s >= _LATE_S:
            span = timedelta(seconds=lag_s)
            yield _notice(
                NoticeKind.FOLLOWER_BEHIND,
                "behind",
                Severity.TROUBLE,
                follower,
                follower=follower,
                span=span,
            )


def _old_snapshot(database: DatabaseFigures) -> Iterator[Notice]:
    if database.snapshot_s >= _OLD_SNAPSHOT_S:
        span = timedelta(seconds=database.snapshot_s)
        yield _notice(NoticeKind.OLD_SNAPSHOT, "old", Severity.WARNING, span=span)
    elif database.xmin_age >= _OLD_XMIN:
        yield _notice(NoticeKind.OLD_SNAPSHOT, "far", Severity.WARNING, n=database.xmin_age)


def _partitions(figures: SystemFigures) -> Iterator[Notice]:
    if figures.weeks_ahead < _FEWEST_WEEKS:
        weeks = figures.weeks_ahead
        yield _notice(NoticeKind.PARTITIONS_MISSING, "missing", Severity.TROUBLE, n=weeks)
    if figures.partitions > _MOST_PARTITIONS:
        count = figures.partitions
        yield _notice(NoticeKind.PARTITIONS_MANY, "many", Severity.WARNING, n=count)
