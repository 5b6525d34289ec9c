"""Builds the scene in a `taskmill up` of its own, in about a minute and a half."""

import asyncio
import random
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from tests.support.processes import Program
from tools.scene import incidents
from tools.scene.loading import load
from tools.scene.plan import TASKS

EXPECTED: Final = frozenset(
    {
        *("unserved", "losses_exhausted", "worker_lost", "failures_up", "webhook_failing"),
        *("slots_full", "new_error", "expiries", "refused", "paused"),
    }
)
"""The kinds of what needs attention in the end; the backlog is one of two more."""
BACKLOGS: Final = frozenset({"backlog_growing", "late"})
PASSING: Final = frozenset({"deliveries_unread", "follower_behind", "feed_behind"})
"""What is true until the changes of the past tasks have been followed."""

_ENV: Final[Mapping[str, str]] = {
    "TASKMILL_WORKER__APP": "shop:app",
    "TASKMILL_WORKER__NAME": "worker-1",
    "TASKMILL_WORKER__CONCURRENCY": "60",
    "TASKMILL_LEASE__TTL_S": incidents.LEASE_S,
    "TASKMILL_OUTBOUND__ALLOW": "127.0.0.1",
    "TASKMILL_LIMITS__REQUEST_TIMEOUT_S": "30",
}
_SEED: Final = 11
_LONGEST_S: Final = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A running service in which all has happened; `report` is the id of a task that runs for ten minutes."""

    url: str
    http: httpx.Client
    data: Path
    database_url: str
    report: str


@contextmanager
def a_scene(folder: Path, *, port: int = 0) -> Iterator[Scene]:
    """Start everything in a folder, have it all happen, and stop it in the end."""
    data = folder / "data"
    shutil.copy(Path(__file__).with_name("shop.py"), folder)
    words: list[str | Path] = ["up", "--port", str(port), "--data", data]
    with (
        Program(*words, folder=folder, env=_ENV) as program,
        httpx.Client(base_url=program.facts["url"], timeout=60) as http,
    ):
        report = _build(program, http, data)
        yield Scene(
            url=program.facts["url"],
            http=http,
            data=data,
            database_url=program.facts["database_url"],
            report=report,
        )


def _build(program: Program, http: httpx.Client, data: Path) -> str:
    incidents.make_queues(http)
    incidents.lose_an_endpoint(http)
    incidents.create_waiting(http)
    folder = data.parent / incidents.DOOMED
    folder.mkdir()
    shutil.copy(Path(__file__).with_name("shop.py"), folder)
    with incidents.a_doomed_worker(program.facts, data, folder) as worker:
        incidents.print_labels(http)
        draw = random.Random(_SEED)  # noqa: S311 - the same tasks in each run
        asyncio.run(load(program.facts["database_url"], TASKS - sum(incidents.MADE), draw))
        incidents.kill(http, worker)
    incidents.until(lambda: _takes_messages(program.facts), "messages are taken", timeout_s=120)
    asyncio.run(incidents.publish_refused(program.facts["amqp_url"]))
    incidents.fail_to_charge(http)
    report = incidents.create_last(http)
    incidents.until(lambda: _is_complete(http), "all needs attention", timeout_s=_LONGEST_S)
    return report


def _takes_messages(facts: Mapping[str, Any]) -> bool:
    return bool((facts["broker"], facts["intake"]) == ("ok", "ok"))


def _is_complete(http: httpx.Client) -> bool:
    """Return whether all that is wrong has been noticed, and nothing else is."""
    found = kinds(http)
    return found >= EXPECTED and bool(found & BACKLOGS) and not found & PASSING


def kinds(http: httpx.Client) -> set[str]:
    """Return the kinds of what needs attention."""
    return {one["kind"] for one in http.get("/attention").raise_for_status().json()["items"]}
