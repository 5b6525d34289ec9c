"""Both clients, call by call."""

from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, assert_type
from uuid import UUID

from taskmill import AsyncClient, Client
from taskmill.client import (
    ClientError,
    CreateResult,
    InvalidInput,
    NotAccepted,
    NotAllCreated,
    ScheduleFields,
    ServiceUnavailable,
    TaskNotFound,
)
from taskmill.client.views.attention import AttentionView, NoticeView
from taskmill.client.views.audit import AuditEntryView
from taskmill.client.views.doctor import DoctorReportView
from taskmill.client.views.explanations import ExplanationView
from taskmill.client.views.failure_samples import FailureSampleView
from taskmill.client.views.failures import FailureKindDetails, FailureKindView
from taskmill.client.views.feed import ChangeView
from taskmill.client.views.jobs import JobView
from taskmill.client.views.queues import QueueView
from taskmill.client.views.rejections import RejectionSummaryView, RejectionView
from taskmill.client.views.schedule_previews import SchedulePreviewView
from taskmill.client.views.schedule_views import BackfillView, FireView, ScheduleView
from taskmill.client.views.sessions import LoginLinkView, SessionView
from taskmill.client.views.sweeps import SweepView
from taskmill.client.views.system import EventView, StatsView, WorkerView
from taskmill.client.views.task_log import LogLineView, LogPage
from taskmill.client.views.tasks import TaskList, TaskView
from taskmill.client.views.types import TypeSummaryView, TypeView
from taskmill.client.views.webhooks import CallbackView, DeliveryView, WebhookView
from taskmill.domain.lifecycle import Status
from tests.typing.handlers import send_email

ID = UUID(int=7)


def tasks(client: Client) -> None:
    made = client.create(
        "report",
        type="report",
        payload={"month": 1},
        payload_secrets=["/month"],
        queue="reports",
        priority=9,
        delay_s=1.5,
        retry={"base_s": 5},
        expires_at=datetime(2031, 1, 1, tzinfo=UTC),
        labels={"team": "finance"},
        callback_url="https://example.org/done",
        idempotency_key="k",
    )
    assert_type(made, TaskView)
    assert_type(made.id, UUID)
    assert_type(made.status, Status)
    assert_type(made.to_json(), dict[str, Any])
    assert_type(made.replace(name="another"), TaskView)
    assert_type(client.create(**send_email.request(to="ada@example.org")), TaskView)
    assert_type(client.create_batch([{"name": "a"}]), Sequence[UUID])
    assert_type(client.create_many({"name": str(n)} for n in range(9)), Sequence[UUID])
    assert_type(client.create_each([{"name": "a"}], chunk=10), Iterator[CreateResult])
    assert_type(client.get("0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f"), TaskView)
    assert_type(client.wait(ID, timeout_s=5), TaskView)
    assert_type(client.watch(ID, hold_s=5), Iterator[TaskView])
    assert_type(client.list(status=["new", "failed"], label="a=b"), Iterator[TaskView])
    assert_type(client.page(limit=5, cursor=None), TaskList)
    assert_type(client.cancel(ID), TaskView)
    assert_type(client.retry(ID), TaskView)
    assert_type(client.reschedule(ID, priority=9, delay_s=0, version=2), TaskView)
    assert_type(client.cancel_matching(queue="reports", dry_run=True), SweepView)
    assert_type(client.retry_matching(all=True, on_step=print), SweepView)
    assert_type(client.retry_matching(error="E: no", limit=9, per_second=2), SweepView)
    assert_type(client.events(ID), Sequence[EventView])
    assert_type(client.explain(ID), ExplanationView)
    assert_type(client.logs(ID, level="warning"), Iterator[LogLineView])
    assert_type(client.log_page(ID, claim=1, limit=5), LogPage)
    assert_type(client.feed(after="0", status="failed"), Generator[ChangeView, None, None])
    assert_type(client.callback(ID), CallbackView)


def kinds_of_failures(client: Client) -> None:
    kinds = client.failures(window="7d", order="newest", queue="mail")
    assert_type(kinds, Iterator[FailureKindView])
    assert_type(client.failure("0123456789abcdef", window="1h"), FailureKindDetails)
    assert_type(client.failure_sample("5d41402abc4b2a76", task="01a2"), FailureSampleView)
    assert_type(client.resolve_failure("0123456789abcdef"), FailureKindDetails)
    assert_type(client.ignore_failure("0123456789abcdef"), FailureKindDetails)
    assert_type(client.reopen_failure("0123456789abcdef"), FailureKindDetails)


def retention(client: Client) -> None:
    assert_type(client.keep_tasks("reports", "P3D"), QueueView)
    assert_type(client.keep_tasks("reports", timedelta(days=3)), QueueView)
    assert_type(client.keep_tasks("reports", None), QueueView)


def jobs(client: Client) -> None:
    started = client.start_job("retry", queue="reports", status="failed", limit=500, per_second=20)
    assert_type(started, JobView)
    assert_type(client.start_job("cancel", all=True, idempotency_key="k"), JobView)
    assert_type(client.jobs(page_size=5), Iterator[JobView])
    assert_type(client.job(ID), JobView)
    assert_type(client.stop_job(ID), JobView)


def system(client: Client) -> None:
    assert_type(client.ready(), Mapping[str, str])
    assert_type(client.stats(window="1h", queue="reports", type="report"), StatsView)
    assert_type(client.queues(), Sequence[QueueView])
    assert_type(client.pause_queue("reports"), QueueView)
    assert_type(client.resume_queue("reports"), QueueView)
    client.delete_queue("reports")
    assert_type(client.workers(), Sequence[WorkerView])
    assert_type(client.quiet_worker(ID), WorkerView)
    assert_type(client.stop_worker(ID), WorkerView)
    assert_type(client.stop_worker(ID, when_empty=True), WorkerView)
    assert_type(client.resume_worker(ID), WorkerView)
    assert_type(client.rejections(page_size=5), Iterator[RejectionSummaryView])
    assert_type(client.rejection(ID), RejectionView)
    assert_type(client.resend(ID), TaskView)
    entries = client.audit(action="queue.pause", actor="root", since="2026-11-25T00:00Z")
    assert_type(entries, Iterator[AuditEntryView])
    assert_type(client.types(), Sequence[TypeSummaryView])
    assert_type(client.get_type("report"), TypeView)
    registered = client.register_type("report", {"type": "object"}, {"queue": "reports"})
    assert_type(registered, TypeView)
    client.drop_type("report")
    hook = client.create_webhook("https://example.org", queues=["a"], state="paused")
    assert_type(hook, WebhookView)
    assert_type(client.webhooks(), Sequence[WebhookView])
    assert_type(client.webhook(hook.id), WebhookView)
    assert_type(client.change_webhook(hook.id, rotate_secret=True), WebhookView)
    assert_type(client.test_webhook(hook.id), DeliveryView)
    assert_type(client.deliveries(hook.id, state="failed"), Iterator[DeliveryView])
    assert_type(client.resend_delivery(hook.id, 4711), DeliveryView)
    client.delete_webhook(hook.id)


def sessions(client: Client) -> None:
    assert_type(client.sessions(), Sequence[SessionView])
    client.end_session(ID)
    assert_type(client.login_link(), LoginLinkView)
    assert_type(client.attention(), AttentionView)
    assert_type(client.doctor(), DoctorReportView)
    assert_type(client.acknowledge(ID, "known"), NoticeView)
    assert_type(client.silence(ID), NoticeView)
    assert_type(client.reopen(str(ID)), NoticeView)


def schedules(client: Client) -> None:
    previewed = client.preview_schedule(cron="30 2 * * *", zone="Europe/Moscow", count=3)
    assert_type(previewed, SchedulePreviewView)
    assert_type(
        client.preview_schedule(every="PT15M", after=datetime(2031, 1, 1, tzinfo=UTC)),
        SchedulePreviewView,
    )
    fields: ScheduleFields = {"cron": "30 2 * * *", "zone": "Europe/Moscow", "overlap": "skip"}
    stored = client.put_schedule("nightly", {"name": "report"}, **fields)
    assert_type(stored, ScheduleView)
    client.put_schedule("nightly", {"name": "x"}, every="PT1H", revision=stored.revision)
    assert_type(client.schedules(page_size=5), Iterator[ScheduleView])
    assert_type(client.schedule("nightly").next_tick, datetime | None)
    assert_type(client.pause_schedule("nightly", revision=2), ScheduleView)
    assert_type(client.resume_schedule("nightly", catch_up=True), ScheduleView)
    assert_type(client.run_schedule("nightly", idempotency_key="k"), TaskView)
    day = datetime(2026, 1, 1, tzinfo=UTC)
    filled = client.backfill_schedule("nightly", since=day, until="2026-01-02T00:00Z", dry_run=True)
    assert_type(filled, BackfillView)
    assert_type(client.fires("nightly", outcome=["created", "refused"]), Iterator[FireView])
    client.delete_schedule("nightly")


def errors() -> None:
    with Client("http://127.0.0.1:8000", timeout_s=5, retries=5, api_key="tm_") as client:
        assert_type(client, Client)
        try:
            client.create_many([])
        except TaskNotFound as error:
            assert_type(error.task_id, UUID | None)
        except InvalidInput as error:
            assert_type(error.pointer, str)
        except ServiceUnavailable as error:
            assert_type(error.retry_after_s, float)
        except NotAccepted as error:
            assert_type(error.status, int)
            assert_type(error.retry_after_s, float | None)
        except NotAllCreated as error:
            assert_type(error.ids, Sequence[UUID | None])
            assert_type(error.refused, Mapping[int, NotAccepted])
        except ClientError:
            raise


async def asynchronous() -> None:
    async def named() -> AsyncIterator[Mapping[str, object]]:
        yield {"name": "a"}

    async with AsyncClient("http://127.0.0.1:8000", api_key="tm_") as client:
        assert_type(client, AsyncClient)
        assert_type(await client.create("x", payload={"n": 1}), TaskView)
        assert_type(await client.create_many(named()), Sequence[UUID])
        assert_type(client.create_each([{"name": "a"}]), AsyncIterator[CreateResult])
        assert_type(await client.wait(ID), TaskView)
        assert_type(client.list(queue="a"), AsyncIterator[TaskView])
        assert_type(client.feed(), AsyncGenerator[ChangeView, None])
        assert_type(client.logs(ID), AsyncIterator[LogLineView])
        assert_type(await client.explain(ID), ExplanationView)
        assert_type(await client.webhooks(), Sequence[WebhookView])
        assert_type(await client.get_type("report"), TypeView)
        assert_type(await client.schedule("nightly"), ScheduleView)
        assert_type(client.fires("nightly"), AsyncIterator[FireView])
