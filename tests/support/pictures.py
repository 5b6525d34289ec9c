"""What `taskmill top` draws, of data that tests make up."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from textual.pilot import Pilot

from taskmill.cli.top.app import Top
from taskmill.cli.top.picture import Picture
from taskmill.cli.top.reading import Failure, Snapshot
from taskmill.cli.top.summary import Options
from taskmill.client.asynchronous.client import AsyncTaskmillClient
from taskmill.client.views.activity import ActivityView
from taskmill.client.views.attention import AttentionView, NoticeView
from taskmill.client.views.queues import QueueView
from taskmill.client.views.system import StatsView, WorkerView
from taskmill.domain.activity import COUNTED
from taskmill.domain.attention import NoticeKind, Severity
from taskmill.domain.lifecycle import EventType, Status
from tests.support.fake_service import unused_url
from tests.support.polling import eventually
from tests.support.views import a_view

NOW = datetime(2030, 1, 31, 9, 0, 30, tzinfo=UTC)
_TIMES = {"tasks": 9, "mean_s": 1.0, "p50_s": 0.012, "p95_s": 4.5, "p99_s": 90.0}


def before(**parts: float) -> datetime:
    """Return a moment before now."""
    return NOW - timedelta(**parts)


def a_flow(**counts: int) -> dict[str, Any]:
    every = {str(one): counts.get(one, 0) for one in COUNTED}
    rates = {name: number / 900 for name, number in every.items()}
    return {"counts": every, "waiting": _TIMES, "running": _TIMES, "per_second": rates}


def an_activity(
    queues: Mapping[str, Mapping[str, int]] | None = None,
    *,
    at: datetime = NOW,
    since: datetime | None = None,
    points: Sequence[Mapping[str, int]] = (),
    **total: int,
) -> ActivityView:
    """The activity of 15 minutes; the points end with the current minute."""
    minute = at.replace(second=0)
    begins = [minute - timedelta(minutes=back) for back in range(len(points))][::-1]
    return a_view(
        ActivityView,
        {
            "window": "15m",
            "queue": None,
            "type": None,
            "since": since or minute - timedelta(minutes=15),
            "until": at,
            "step_s": 60,
            "total": a_flow(**total),
            "queues": [
                {**a_flow(**counts), "queue": name, "types": [{**a_flow(**counts), "type": "t"}]}
                for name, counts in (queues or {}).items()
            ],
            "points": [
                {**a_flow(**point), "at": begin}
                for begin, point in zip(begins, points, strict=True)
            ],
        },
    )


def a_queue(
    name: str = "mail",
    *,
    waiting: int = 0,
    running: int = 0,
    paused: bool = False,
    oldest_s: float | None = None,
) -> QueueView:
    return QueueView(
        name=name,
        paused=paused,
        paused_at=NOW if paused else None,
        created_at=NOW,
        counts={**dict.fromkeys(Status, 0), Status.NEW: waiting, Status.IN_PROGRESS: running},
        oldest_due_at=None if oldest_s is None else before(seconds=oldest_s),
    )


def a_worker_view(name: str = "host-1", number: int = 1, **parts: Any) -> WorkerView:  # noqa: ANN401 - its fields
    return a_view(
        WorkerView,
        {
            "id": UUID(int=number),
            "name": name,
            "queues": [],
            "types": ["*"],
            "slots": 100,
            "running": 7,
            "started_at": before(hours=5),
            "renewed_at": before(seconds=3),
            "expires_at": NOW,
            "closed_at": None,
            "close_reason": None,
            "state": "alive",
            **parts,
        },
    )


def a_failure(name: str = "monthly report", number: int = 1, **parts: Any) -> Failure:  # noqa: ANN401 - its fields
    usual: dict[str, Any] = {
        "task_id": str(UUID(int=number)),
        "version": 3,
        "at": before(seconds=number),
        "queue": "mail",
        "type": "send",
        "name": name,
        "attempt": 1,
        "error_type": "ValueError",
        "message": "no such customer",
    }
    return Failure(**{**usual, **parts})


def a_snapshot(
    queues: Sequence[QueueView] = (),
    workers: Sequence[WorkerView] = (),
    failures: Sequence[Failure] = (),
    activity: ActivityView | None = None,
    notices: Sequence[NoticeView] = (),
    **stats: Any,  # noqa: ANN401 - the fields of the response
) -> Snapshot:
    """The system with these queues and workers; `stats` overrides what follows from them."""
    by_status = {status: sum(queue.counts[status] for queue in queues) for status in Status}
    alive = [one for one in workers if one.state == "alive"]
    values = {
        "total": sum(by_status.values()),
        "by_status": by_status,
        "by_queue": {queue.name: queue.counts for queue in queues},
        "workers_alive": len(alive),
        "slots": sum(one.slots for one in alive),
        "running": sum(one.running for one in alive),
        "broker": {"state": "ok", "trouble": None, "policy": "auto"},
        **stats,
    }
    return Snapshot(
        stats=a_view(StatsView, values),
        activity=activity or an_activity(),
        queues=queues,
        workers=workers,
        failures=failures,
        attention=AttentionView(
            at=NOW,
            verdict="warning" if notices else "well",
            count=len(notices),
            items=list(notices),
        ),
    )


def a_notice(sentence: str, kind: NoticeKind = NoticeKind.PAUSED, **parts: Any) -> NoticeView:  # noqa: ANN401 - its fields
    """A notice with a sentence of its own."""
    usual: dict[str, Any] = {
        "id": UUID(int=7),
        "kind": kind,
        "severity": Severity.WARNING,
        "sentence": sentence,
        "action": "wait",
        "queue": None,
        "since": None,
        "tasks": None,
        "are_more": False,
        "count": 1,
        "page": None,
        "facts": {},
    }
    return a_view(NoticeView, {**usual, **parts})


def a_picture(snapshot: Snapshot) -> Picture:
    """What is known of a service with only this snapshot."""
    picture = Picture()
    picture.take(snapshot)
    return picture


@asynccontextmanager
async def a_top(
    snapshot: Snapshot | None = None, *, url: str | None = None, width: int = 80, height: int = 24
) -> AsyncIterator[tuple[Top, Pilot[int]]]:
    """The live view of a service, or of a snapshot, which stays as it is."""
    options = Options(
        url=url or "http://127.0.0.1:8000", window="15m", interval_s=0.2 if url else 1
    )
    async with AsyncTaskmillClient(url or unused_url(), retries=0) as client:
        app = Top(client, options)
        app.is_frozen = url is None
        if snapshot is not None:
            app.picture.take(snapshot)
        async with app.run_test(size=(width, height), notifications=True) as pilot:

            async def has_keys() -> bool:
                await pilot.pause()
                return bool(app.query("FooterKey"))

            await eventually(has_keys, "the line of keys is there")
            yield app, pilot


def lines(app: Top) -> list[str]:
    """Return the lines on the screen, as text."""
    return [strip.text.rstrip() for strip in app.screen._compositor.render_strips()]


def created(number: int) -> dict[str, int]:
    """Return a point at which so many tasks were created."""
    return {str(EventType.CREATED): number}
