"""No-op tasks that wait, drained over RabbitMQ by one relay and one worker process, against Celery.

All tasks are there before a worker starts, on both sides, and starting is not measured: from the start of
the first task to the end of the last. Taskmill's end is in PostgreSQL, with history, counters and a line of
log for every transition, by PostgreSQL's clock; Celery keeps nothing, and its tasks count themselves.
"""

import asyncio

from benchmarks.celery_worker import NOOP as CELERY_NOOP, application
from benchmarks.figures import Figure, at_least
from benchmarks.lab import Lab, connected, producing, until_counted, until_told
from benchmarks.scenarios.noop_drain import NOOP, SUCCEEDED

TITLE = "20,000 no-op tasks end to end over RabbitMQ, one worker process and its relay"

_TASKS = 20_000
_TIMEOUT_S = 60.0


async def run(lab: Lab) -> list[Figure]:
    drains = {"taskmill": _drain_taskmill, "celery": _drain_celery}
    rates: dict[str, list[float]] = {side: [] for side in drains}
    async with lab.broker():
        for number in range(lab.rounds):
            for side in lab.turn(number, *drains):
                rate = _TASKS / await drains[side](lab)
                rates[side].append(rate)
                print(f"  round {number + 1}: {side} {rate:,.0f} tasks/s", flush=True)
    return [
        Figure(
            name="drained",
            unit="tasks/s",
            ours=rates["taskmill"],
            against="Celery",
            theirs=rates["celery"],
            target=at_least(2),
        )
    ]


async def _drain_taskmill(lab: Lab) -> float:
    async with lab.database() as url, lab.vhost() as amqp_url, connected(url) as connection:
        async with producing(url) as producer:
            await producer.create(_TASKS, NOOP)
        await lab.settle()
        # Its policy keeps it from claiming without hints while its connection is still being made.
        over_broker = {"broker_url": amqp_url, "broker": "rabbitmq"}
        async with (
            lab.taskmill("relay", url, **over_broker),
            lab.taskmill("worker", url, **over_broker),
        ):
            await until_counted(connection, SUCCEEDED, _TASKS, timeout_s=_TIMEOUT_S)
        seconds: float = await connection.fetchval(
            "SELECT extract(epoch FROM max(finished_at) - min(started_at))::float8 FROM taskmill.task"
        )
        return seconds


async def _drain_celery(lab: Lab) -> float:
    done = lab.result_file("celery")
    async with lab.vhost() as amqp_url:
        await asyncio.to_thread(_enqueue, amqp_url)
        await lab.settle()
        options = ("--url", amqp_url, "--count", str(_TASKS), "--done", str(done))
        async with lab.script("benchmarks.celery_worker", *options):
            return await until_told(done, timeout_s=_TIMEOUT_S)


def _enqueue(url: str) -> None:
    with application(url) as app, app.producer_pool.acquire(block=True) as producer:
        for _ in range(_TASKS):
            app.send_task(CELERY_NOOP, producer=producer)
