"""Handlers of programs: every way to take a payload, and all members of a context."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypedDict, assert_type

from pydantic import BaseModel

from taskmill import (
    Context,
    PermanentFailure,
    RetryLater,
    RetryPolicy,
    ScheduledTick,
    Stopped,
    Taskmill,
    TaskType,
)
from taskmill.app import Fence, Isolation

app = Taskmill()


class Order(BaseModel):
    number: int
    note: str | None = None


@dataclass
class Address:
    street: str


class Totals(TypedDict):
    net: float
    gross: float


@app.task(
    "send-email",
    queue="mail",
    priority=7,
    max_attempts=5,
    max_losses=0,
    retry=RetryPolicy(base=timedelta(seconds=5)),
    timeout=timedelta(seconds=30),
    exclusive=True,
)
async def send_email(to: str, subject: str = "Hello", *, context: Context) -> Totals:
    assert_type(context.attempt, int)
    assert_type(context.fence, Fence)
    assert_type(context.payload, Mapping[str, Any])
    assert_type(context.cancelled, bool)
    context.progress(0.5, f"{subject} to {to}")
    context.logger.info("sent", to=to)
    return {"net": 1.0, "gross": 1.19}


@app.task(timeout=2.5)
def ships(order: Order) -> int:
    return order.number


isolated: Isolation = "process"


@app.task("computes", isolation=isolated)
def computes(address: Address, context: Context) -> None:
    context.raise_if_cancelled()
    raise RetryLater(f"nobody at {address.street}", after=timedelta(minutes=1))


@app.task("adds")
def adds(totals: Totals) -> float:
    if totals["net"] < 0:
        raise PermanentFailure("a negative net")
    raise Stopped("asked to")


managed = Taskmill("shop")


@managed.task(
    "nightly",
    queue="reports",
    cron="30 2 * * *",
    zone="Europe/Moscow",
    overlap="skip",
    catch_up="latest",
    within=timedelta(hours=2),
)
def nightly(context: Context) -> str:
    tick = context.schedule
    assert_type(tick, ScheduledTick | None)
    if tick is None:
        return "by hand"
    assert_type(tick.previous_tick, datetime | None)
    return f"{tick.name} {tick.tick} {tick.is_catch_up}"


@managed.task(every=timedelta(minutes=15), jitter_s=30, starts_at=datetime(2031, 1, 1, tzinfo=UTC))
def refresh() -> None: ...


class Mailer:
    def send(self, to: str) -> bool:
        return bool(to)


bound = app.task("bound")(Mailer().send)

takes_an_order: Callable[[Order], int] = ships
assert_type(ships(Order(number=1)), int)
assert_type(ships.name, str)
assert_type(ships.json_schema(), dict[str, Any])
assert_type(bound("ada"), bool)
assert_type(app.get("adds"), TaskType[..., Any] | None)
assert_type(len(app), int)
for task_type in app:
    assert_type(task_type, TaskType[..., Any])


async def calls_it(context: Context) -> None:
    assert_type(await send_email("ada@example.org", context=context), Totals)
