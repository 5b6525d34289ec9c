"""Ten thousand emulated tasks (5 to 10 s each) at once in one worker process."""

from benchmarks.figures import Figure, at_most
from benchmarks.lab import Lab, connected, producing, until_counted
from benchmarks.programs import ProgramFailed

TITLE = "10,000 tasks emulated at once (5 to 10 s) by one worker process, --concurrency 10000"

_TASKS = 10_000
_ENDED = "SELECT count(*) FROM taskmill.task WHERE status IN ('succeeded', 'failed')"
_TIMEOUT_S = 60.0


async def run(lab: Lab) -> list[Figure]:
    seconds, memory = [], []
    for number in range(lab.rounds):
        taken, peak = await _emulate(lab)
        seconds.append(taken)
        memory.append(peak)
        print(f"  round {number + 1}: all done after {taken:.2f} s, peak {peak:.0f} MB", flush=True)
    return [
        Figure(
            name="from the first start to the last end", unit="s", ours=seconds, target=at_most(13)
        ),
        Figure(name="the worker's largest size", unit="MB", ours=memory, target=at_most(250)),
    ]


async def _emulate(lab: Lab) -> tuple[float, float]:
    async with lab.database() as url, connected(url) as connection:
        async with producing(url) as producer:
            await producer.create(_TASKS, payload=None)
        await lab.settle()
        async with lab.taskmill("worker", url, "--concurrency", str(_TASKS)) as worker:
            await until_counted(connection, _ENDED, _TASKS, timeout_s=_TIMEOUT_S)
            peak = worker.peak_memory_mb()
        if peak is None:
            raise ProgramFailed("this system does not tell a process's largest size")
        seconds = await connection.fetchval(
            "SELECT extract(epoch FROM max(finished_at) - min(started_at))::float8 FROM taskmill.task"
        )
        return seconds, peak
