"""The plans that PostgreSQL really used for the hot statements, and what they cost."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

from taskmill.storage.database import _HOT, Database
from taskmill.storage.rights import OWNER
from taskmill.storage.statements import statement
from tests.support.polling import eventually
from tests.support.role_database import in_role

# Leases are as few as workers; every other table grows with the tasks.
BIG = (
    *("task", "task_event", "task_log", "dispatch", "idempotency", "change_batch", "rejection"),
    "webhook_delivery",
)


@dataclass(frozen=True)
class Plan:
    """A plan as it was run."""

    root: dict[str, Any]

    def nodes(self) -> Iterator[dict[str, Any]]:
        """All nodes."""
        pending = [self.root]
        while pending:
            node = pending.pop()
            yield node
            pending += node.get("Plans", [])

    @property
    def rows_read(self) -> float:
        """Rows that table scans have read, whether or not they matched."""
        rows: float = sum(
            node["Actual Loops"]
            * (
                node["Actual Rows"]
                + node.get("Rows Removed by Filter", 0)
                + node.get("Rows Removed by Index Recheck", 0)
            )
            for node in self.nodes()
            if "Relation Name" in node and "Scan" in node["Node Type"]
        )
        return rows

    @property
    def pages(self) -> int:
        """Pages touched, triggers aside."""
        return int(self.root["Shared Hit Blocks"] + self.root["Shared Read Blocks"])

    def pages_by_node(self) -> list[str]:
        """Which nodes touched how many pages with all that is below them, the most first."""
        pages = [
            (
                node["Shared Hit Blocks"] + node["Shared Read Blocks"],
                f"{node['Node Type']} {node.get('Relation Name') or node.get('CTE Name') or ''}",
                node["Actual Loops"],
            )
            for node in self.nodes()
        ]
        return [f"{touched} {name} x {loops}" for touched, name, loops in sorted(pages)[:-9:-1]]

    @property
    def faults(self) -> list[str]:
        """Node types that must not occur in a hot statement."""
        return [
            f"{node['Node Type']} on {node.get('Relation Name')}"
            for node in self.nodes()
            if _is_fault(node)
        ]


def _is_fault(node: dict[str, Any]) -> bool:
    kind, table = node["Node Type"], node.get("Relation Name", "")
    is_big = table.startswith(BIG) and not table.endswith(("count", "delta"))
    return kind in {"Hash Join", "Merge Join", "Bitmap Heap Scan"} or (
        kind == "Seq Scan" and is_big
    )


class Explaining:
    """A session like those of the hot pool, in which every statement reports its plan."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.connection = connection
        self._notices: list[str] = []
        connection.add_log_listener(lambda _, message: self._notices.append(message.message))

    async def fetch(
        self, name: str, *arguments: object, for_one: bool = False, for_owned: bool = False
    ) -> tuple[list[asyncpg.Record], Plan]:
        """Run a statement; return its rows and its plan."""
        self._notices.clear()
        text = statement(name, for_one=for_one, for_owned=for_owned)
        rows = await self.connection.fetch(text, *arguments)
        # A plan is reported when its portal is closed, which is when the next statement comes.
        await self.connection.fetchval("SELECT 1")
        plans: list[Plan] = []

        async def probe() -> bool:
            parsed = (orjson.loads(n.split("plan:", 1)[1]) for n in self._notices if "plan:" in n)
            plans[:] = [Plan(p["Plan"]) for p in parsed if p["Query Text"] == text]
            return bool(plans)

        await eventually(probe, f"the plan of {name}")  # the driver delivers notices a little later
        return rows, plans[0]


@asynccontextmanager
async def explaining(database: Database) -> AsyncIterator[Explaining]:
    """Open such a session, as the owner, who may; what it writes is rolled back at the end."""
    connection = await in_role(database, OWNER).connect(**_HOT)
    await connection.execute("LOAD 'auto_explain'")
    for name, value in (
        ("log_min_duration", "0"),
        ("log_analyze", "on"),
        ("log_buffers", "on"),
        ("log_timing", "off"),
        ("log_format", "json"),
    ):
        await connection.execute(f"SET auto_explain.{name} = '{value}'")
    await connection.execute("SET client_min_messages = log")
    await connection.execute("BEGIN")
    try:
        yield Explaining(connection)
    finally:
        await connection.close()


def check(plan: Plan, *, rows: float, pages: int, name: str = "") -> None:
    """Fail when the plan has a part that can cost O(backlog), or has cost more than allowed."""
    assert plan.faults == [], name
    assert plan.rows_read <= rows, f"{name} {plan.rows_read} rows read"
    assert plan.pages <= pages, f"{name} {plan.pages} pages: {plan.pages_by_node()}"
