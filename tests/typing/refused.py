"""Wrong uses, each of which both checkers must refuse: an unused ignore is an error."""

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import Session

from taskmill import AsyncClient, Client, Context, RetryLater, RetryPolicy, Taskmill, enqueue
from taskmill.client import InvalidInput, TaskNotFound
from taskmill.testing import ServiceInMemory, attempt
from tests.typing.handlers import Order, send_email, ships

app = Taskmill()

app.task("a", priority="high")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.task("a", isolation="thread")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.task("a", retry=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.task("a", retries=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
app.task("a", cron=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.task("a", overlap="never")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
app.task("a")(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ships(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ships()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
ships(Order(number=1)).upper()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]
RetryPolicy(base=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
RetryLater("x", after="5")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
attempt(Order)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
ServiceInMemory("app")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def handler(context: Context) -> None:
    context.attempt = 2  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    context.progress("half")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    context.nothing  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # noqa: B018 - the point
    send_email("ada@example.org", context=context)  # type: ignore[unused-coroutine]  # pyright: ignore[reportUnusedCoroutine]


def synchronous(client: Client, session: Session, error: InvalidInput | TaskNotFound) -> None:
    client.create()  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.create("x", priority="high")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.create("x", when=5)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.create("x", payload=[1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.create_many(["a"])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    client.get(5.0)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.list(state="failed")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.cancel_matching(queue=["a"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.change_webhook("x", state="disabled")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.create_webhook("https://example.org", queue="a")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.put_schedule("x", {"name": "x"}, overlap="wait")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    client.put_schedule("x", {"name": "x"}, crontab="@daily")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    client.register_type("x", {}, {"queues": "a"})  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    error.task_id  # type: ignore[union-attr]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # noqa: B018 - the point
    enqueue(session)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    enqueue(session, "x", priority="high")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    enqueue("postgresql://", "x")  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue, reportArgumentType]
    enqueue(session, "x").lower()  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]


async def asynchronous(
    client: AsyncClient,
    session: AsyncSession,
    connection: "asyncpg.Connection[asyncpg.Record]",
) -> None:
    client.get("x").status  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # noqa: B018 - the point
    for _ in client.list():  # type: ignore[attr-defined]  # pyright: ignore[reportGeneralTypeIssues, reportUnknownVariableType]
        pass
    enqueue(session, "x").hex  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue, reportUnknownMemberType]  # noqa: B018 - the point
    await enqueue(connection, "x", when=5)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
