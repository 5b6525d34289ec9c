"""One seed: a site, clients and a nemesis; then recovery, and a check of everything."""

import asyncio
import shutil
import tempfile
import traceback
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx

from taskmill.amqp.names import CREATE_QUEUE, HINTS
from tests.chaos.checker import Sql, findings, found_by_verify
from tests.chaos.clients import Clients
from tests.chaos.history import History
from tests.chaos.nemesis import Nemesis
from tests.chaos.pullers import Pullers
from tests.chaos.recovery import not_back
from tests.chaos.schedules import Schedules, fire_findings
from tests.chaos.site import Site
from tests.support.polling import eventually

SETTLE_S = 120.0
_MOST_FILES = 300
_SCHEDULERS = 3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a seed does. `broken` names what is broken on purpose.

    `only` limits the faults to these kinds; `roles` limits faults of processes and edges to these roles. With
    `schedules` there are so many, each with a tick every second, and three processes of maintenance.
    """

    seed: int
    with_broker: bool
    policy: str = "auto"
    faults: int = 16
    tasks: int = 2000
    posts_per_s: float = 60.0
    delays_s: Sequence[float] = (0, 0, 0.02, 0.1, 0.4, 1.2)
    broken: str = ""
    only: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    settle_s: float = SETTLE_S
    schedules: int = 0


@dataclass(kw_only=True)
class Report:
    """What a seed did and found."""

    plan: Plan
    faults: Counter[str] = field(default_factory=Counter)
    deaths: Counter[str] = field(default_factory=Counter)
    absent: list[str] = field(default_factory=list)
    accepted: int = 0
    terminal: int = 0
    stale_refused: int = 0
    responses: Counter[str] = field(default_factory=Counter)
    back_s: float = 0.0
    settled_s: float = 0.0
    violations: list[str] = field(default_factory=list)
    timeline: list[str] = field(default_factory=list)
    logs: Path | None = None
    """Where the logs of all processes are, with the timeline of the faults, if anything was violated."""

    def __str__(self) -> str:
        """Summarize it in one line."""
        transport = f"{self.plan.policy} broker" if self.plan.with_broker else "no broker"
        if self.plan.schedules:
            transport += f", {self.plan.schedules} ticks/s"
        return (
            f"seed {self.plan.seed} ({transport}): {sum(self.faults.values())} faults, "
            f"{self.accepted} accepted, {self.terminal} ended, {self.stale_refused} stale ends refused, "
            f"all back in {self.back_s:.1f} s, "
            f"settled in {self.settled_s:.1f} s, absent: {', '.join(self.absent) or 'nothing'}, "
            f"{len(self.violations)} violations"
        )


async def run(plan: Plan) -> Report:
    """Run the seed and return its report; a failure to run it is a violation, too."""
    report, history = Report(plan=plan), History()
    with tempfile.TemporaryDirectory(
        prefix="taskmill-chaos-", ignore_cleanup_errors=True
    ) as folder:
        site = Site(
            Path(folder),
            with_broker=plan.with_broker,
            policy=plan.policy,
            broken=plan.broken,
            schedulers=_SCHEDULERS if plan.schedules else 1,
        )
        try:
            async with site:
                await under_load(site, history, report, lambda: _do_harm(site, history, report))
                await _count(site, report)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is reported, and the other seeds go on
            last = "".join(traceback.format_exception(error)).strip()
            report.violations.append(f"not_carried_through: {last}")
        if report.violations and not plan.broken:
            report.logs = _copied_logs(Path(folder), report)
    return report


def _copied_logs(folder: Path, report: Report) -> Path:
    """Copy the logs of a seed to a folder that stays, and return it."""
    kept = Path(tempfile.mkdtemp(prefix=f"taskmill-chaos-logs-{report.plan.seed}-"))
    for log in [*folder.glob("*/start-*/*"), *folder.glob("rabbitmq/log/*")]:
        if log.is_file():
            target = kept / log.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(log, target)
    (kept / "faults.txt").write_text("".join(f"{line}\n" for line in report.timeline))
    return kept


async def _do_harm(site: Site, history: History, report: Report) -> None:
    plan = report.plan
    nemesis = Nemesis(
        site,
        plan.seed,
        history,
        only=plan.only,
        roles=plan.roles,
        pause_s=_pause_s(plan),
    )
    report.absent, report.timeline = nemesis.absent, nemesis.timeline
    await nemesis.run(plan.faults)
    await nemesis.heal()
    report.faults, report.deaths = nemesis.done, nemesis.deaths
    report.violations.extend(await _recovery(site, report))
    await accepts(history, plan.tasks)


async def under_load(
    site: Site, history: History, report: Report, happen: Callable[[], Awaitable[None]]
) -> None:
    """Have clients and workers at work while something happens; then let all settle, and check everything."""
    plan = report.plan
    clients = Clients(
        site, plan.seed, history, posts_per_s=plan.posts_per_s, delays_s=plan.delays_s
    )
    schedules = Schedules(site, plan.seed, plan.schedules)
    async with asyncio.TaskGroup() as pulling:
        settled = asyncio.Event()
        pulling.create_task(Pullers(site).run(settled))
        async with asyncio.TaskGroup() as group:
            stop = asyncio.Event()
            group.create_task(clients.run(stop))
            if plan.schedules:
                group.create_task(schedules.run(stop))
            await happen()
            stop.set()
        if plan.schedules:
            report.violations.extend(await schedules.end())
        report.responses, report.accepted = history.responses, len(history.accepted)
        await clients.resume()
        report.violations.extend(await _settled(site, plan, report))
        settled.set()
    sql = await asyncpg.connect(site.database_url)
    try:
        report.violations.extend(await findings(sql, history, site.effects))
        report.violations.extend(await found_by_verify(site.database_url))
        report.violations.extend(await fire_findings(sql))
        report.violations.extend(await _leaks(sql, site))
        report.terminal = await sql.fetchval(
            "SELECT count(*) FROM taskmill.task WHERE finished_at IS NOT NULL"
        )
    finally:
        await sql.close()


async def _recovery(site: Site, report: Report) -> list[str]:
    loop = asyncio.get_running_loop()
    healed_at = loop.time()
    violations = await not_back(site)
    report.back_s = loop.time() - healed_at
    return violations


def _pause_s(plan: Plan) -> float:
    """Spread the faults over the time that the tasks take."""
    return plan.tasks / plan.posts_per_s / plan.faults


async def accepts(history: History, tasks: int) -> None:
    """Wait until so many tasks are accepted."""

    async def probe() -> bool:
        return len(history.accepted) >= tasks

    await eventually(probe, f"{tasks} tasks to be accepted", timeout_s=SETTLE_S)


async def _settled(site: Site, plan: Plan, report: Report) -> list[str]:
    """Check that everything due has ended, no expired lease is open, and the broker holds nothing."""
    loop = asyncio.get_running_loop()
    began_at = loop.time()
    sql = await asyncpg.connect(site.database_url)
    checks: list[tuple[str, Callable[[], Awaitable[bool]]]] = [
        (
            "unfinished: tasks are not terminal",
            lambda: _none(sql, "task WHERE finished_at IS NULL"),
        ),
        (
            "lease_left: leases that ran out are open",
            lambda: _none(
                sql, "lease WHERE closed_at IS NULL AND expires_at < now() - interval '1 second'"
            ),
        ),
    ]
    if site.broker is not None:
        checks.append(("undrained: the broker holds messages", lambda: _drained(site)))
    violations = []
    try:
        for what, probe in checks:
            remaining_s = max(began_at + plan.settle_s - loop.time(), 1.0)
            try:
                await eventually(probe, what, timeout_s=remaining_s)
            except AssertionError:
                violations += [what, *await _describe_unfinished(sql)]
    finally:
        await sql.close()
    report.settled_s = loop.time() - began_at
    return violations


async def _describe_unfinished(sql: Sql) -> list[str]:
    """Describe some of the tasks that are not terminal."""
    rows = await sql.fetch(
        "SELECT t.id, t.type, t.queue, t.status, t.claim_no, t.run_at, t.lease_id, d.task_id "
        "FROM taskmill.current_task AS t LEFT JOIN taskmill.dispatch AS d ON d.task_id = t.id "
        "WHERE t.finished_at IS NULL ORDER BY t.id LIMIT 5"
    )
    return [f"left: {dict(row)}" for row in rows]


async def _none(sql: Sql, rows: str) -> bool:
    return not await sql.fetchval(f"SELECT count(*) FROM taskmill.{rows}")  # noqa: S608 - our own words


async def _drained(site: Site) -> bool:
    assert site.broker is not None
    try:
        queues = await asyncio.to_thread(site.broker.management().queues)
    except httpx.TransportError:
        return False  # once in hundreds of seeds it closes a connection without a response
    return not any(
        queue.get("messages")
        for name, queue in queues.items()
        if name == CREATE_QUEUE or name.startswith(HINTS)
    )


async def _leaks(sql: Sql, site: Site) -> list[str]:
    """Check that no transaction is idle, and that no process leaks open files."""
    idle = await sql.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction' "
        "AND state_change < now() - interval '1 second'"
    )
    violations = [f"idle_transaction: {idle} of them"] if idle else []
    violations += [
        f"leak: {member.name} has {member.open_files} open files"
        for member in site.members.values()
        if member.open_files > _MOST_FILES
    ]
    return violations


async def _count(site: Site, report: Report) -> None:
    """Count how the site reacted to the faults."""
    report.stale_refused = sum(len(member.logged("lease.lost")) for member in site.of("worker"))
