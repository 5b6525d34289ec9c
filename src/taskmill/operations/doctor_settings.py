"""Settings that contradict each other, PostgreSQL's, or what the service promises. It reads nothing itself."""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final
from urllib.parse import parse_qs, urlsplit

from taskmill.domain.doctor_rules import more_connections
from taskmill.domain.doctor_snapshot import ConnectionUse, LeaseLength, SettingConflict
from taskmill.settings import Settings

# A lease is measured between two moments of the same statement.
_TTL_TOLERANCE: Final = 0.05
_MOST_NAMED: Final = 5
# Beside its two pools a process has connections for notifications and, a worker, for its lease.
_BESIDE_POOLS: Final = 2
_FEWEST: Final = 2
# Of a server some are reserved for superusers, and one is for who looks.
_SPARE: Final = 10
_PORT: Final = "5432"
_SERVER: Final = re.compile(r"(.*?)(?::([0-9]*))?", re.DOTALL)
_HERE: Final = frozenset({"", "localhost", "127.0.0.1", "[::1]"})

_NOT_DURABLE: Final[Mapping[str, str]] = {
    "fsync": "A crash of PostgreSQL's machine may lose or break what was accepted",
    "full_page_writes": "A crash of PostgreSQL's machine may break pages",
    "synchronous_commit": "A crash of PostgreSQL may lose tasks that were accepted",
}


def find_conflicts(
    settings: Settings,
    *,
    server: Mapping[str, str],
    leases: Iterable[LeaseLength] = (),
    connections: Iterable[ConnectionUse] = (),
    processes: int = 0,
) -> list[SettingConflict]:
    """Return the contradictions of this process's settings with each other and with what was found.

    Args:
        settings: of this process.
        server: PostgreSQL's settings.
        leases: for how long the leases of live workers are renewed.
        connections: how many connections there may be.
        processes: how many processes live.
    """
    return [
        *_of_server(server),
        *(one for rule in _OWN for one in rule(settings)),
        *_of_leases(settings, leases),
        *_of_pools(settings, connections, processes),
    ]


def _of_server(server: Mapping[str, str]) -> Iterator[SettingConflict]:
    for name, sentence in _NOT_DURABLE.items():
        if server.get(name) == "off":
            yield SettingConflict(
                names=[f"{name} = off"],
                sentence=f"{sentence}: PostgreSQL's {name} is off.",
                command=f"ALTER SYSTEM SET {name} = on; SELECT pg_reload_conf()",
                is_trouble=True,
            )


def _retention(settings: Settings) -> Iterator[SettingConflict]:
    keep = settings.retention
    if keep.change_days > keep.tasks_days:
        yield _conflict(
            f"TASKMILL_RETENTION__CHANGE_DAYS={keep.change_days}",
            f"TASKMILL_RETENTION__TASKS_DAYS={keep.tasks_days}",
            sentence="Changes are kept for longer than the tasks that they are about.",
            better=f"TASKMILL_RETENTION__CHANGE_DAYS={keep.tasks_days}",
        )


def _broker(settings: Settings) -> Iterator[SettingConflict]:
    if settings.broker == "postgres" and settings.broker_url is not None:
        yield _conflict(
            "TASKMILL_BROKER=postgres",
            "TASKMILL_BROKER_URL",
            sentence="RabbitMQ has an address, and nobody uses it.",
            better="TASKMILL_BROKER=auto",
        )


def _sizes(settings: Settings) -> Iterator[SettingConflict]:
    limits, lines = settings.limits, settings.task_log
    if limits.batch_bytes < limits.body_bytes:
        yield _conflict(
            f"TASKMILL_LIMITS__BATCH_BYTES={limits.batch_bytes}",
            f"TASKMILL_LIMITS__BODY_BYTES={limits.body_bytes}",
            sentence="A task that may be created alone is too large for a batch.",
            better=f"TASKMILL_LIMITS__BATCH_BYTES={limits.body_bytes}",
        )
    if lines.claim_bytes < lines.fields_bytes:
        yield _conflict(
            f"TASKMILL_TASK_LOG__CLAIM_BYTES={lines.claim_bytes}",
            f"TASKMILL_TASK_LOG__FIELDS_BYTES={lines.fields_bytes}",
            sentence="The fields of one line may be larger than all lines of its claim.",
            better=f"TASKMILL_TASK_LOG__FIELDS_BYTES={lines.claim_bytes}",
        )


def _times(settings: Settings) -> Iterator[SettingConflict]:
    statement_s, ttl_s = settings.database.statement_timeout_s, settings.lease.ttl_s
    if statement_s >= ttl_s:
        yield _conflict(
            f"TASKMILL_DATABASE__STATEMENT_TIMEOUT_S={statement_s:g}",
            f"TASKMILL_LEASE__TTL_S={ttl_s:g}",
            sentence="A statement may take longer than the lease of the worker that waits for it.",
            better=f"TASKMILL_DATABASE__STATEMENT_TIMEOUT_S={ttl_s * 2 / 3:g}",
        )
    pull = settings.pull
    if pull.ttl_s > pull.longest_ttl_s:
        yield _conflict(
            f"TASKMILL_PULL__TTL_S={pull.ttl_s:g}",
            f"TASKMILL_PULL__LONGEST_TTL_S={pull.longest_ttl_s:g}",
            sentence="A lease over HTTP lives for longer than the longest that a worker may request.",
            better=f"TASKMILL_PULL__TTL_S={pull.longest_ttl_s:g}",
        )


def _maintenance(settings: Settings) -> Iterator[SettingConflict]:
    own, shared = settings.maintenance.database_url, settings.database_url
    if own is None or shared is None:
        return
    # The same server may have several names: it is trouble only once nobody maintains, which attention finds.
    if not _places(own.get_secret_value()) & _places(shared.get_secret_value()):
        yield _conflict(
            "TASKMILL_MAINTENANCE__DATABASE_URL",
            "TASKMILL_DATABASE_URL",
            sentence="By its address, maintenance works on another database than the other roles.",
            better="TASKMILL_MAINTENANCE__DATABASE_URL=THE_SAME_DATABASE",
        )


def _places(url: str) -> set[tuple[str, str, str]]:
    """Return host, port and database of each server of an address, without its login."""
    parts = urlsplit(url)
    query = parse_qs(parts.query)
    netloc = parts.netloc.rpartition("@")[2] or query.get("host", [""])[0]
    usual = query.get("port", [_PORT])[0]
    places = set()
    for server in netloc.lower().split(","):
        host, port = _SERVER.fullmatch(server).groups()  # type: ignore[union-attr]  # it matches all
        is_here = host in _HERE or host.startswith("/")
        places.add(("" if is_here else host, port or usual, parts.path))
    return places


_OWN: Final[tuple[Callable[[Settings], Iterator[SettingConflict]], ...]] = (
    _maintenance,
    _times,
    _retention,
    _sizes,
    _broker,
)


def _of_leases(settings: Settings, leases: Iterable[LeaseLength]) -> Iterator[SettingConflict]:
    wanted = settings.lease.ttl_s
    others = {
        one.worker: one.ttl_s for one in leases if abs(one.ttl_s - wanted) > _TTL_TOLERANCE * wanted
    }
    if others:
        shown = [f"{worker}: {ttl_s:g} s" for worker, ttl_s in sorted(others.items())]
        yield _conflict(
            f"TASKMILL_LEASE__TTL_S={wanted:g} here",
            *shown[:_MOST_NAMED],
            sentence="Leases of workers live for another time than the settings here say.",
            better=f"TASKMILL_LEASE__TTL_S={wanted:g}",
        )


def _of_pools(
    settings: Settings, connections: Iterable[ConnectionUse], processes: int
) -> Iterator[SettingConflict]:
    pools = settings.database
    beside = pools.listing_pool_size + _BESIDE_POOLS
    wanted = processes * (pools.pool_size + beside)
    for use in connections:
        if wanted > use.limit:
            fitting = use.limit // processes - beside
            yield SettingConflict(
                names=[
                    f"TASKMILL_DATABASE__POOL_SIZE={pools.pool_size}",
                    f"TASKMILL_DATABASE__LISTING_POOL_SIZE={pools.listing_pool_size}",
                    f"{processes} processes, {use.limit} connections of {use.scope} {use.name}",
                ],
                sentence=f"{processes} processes with full pools need {wanted} connections of {use.limit}.",
                command=(
                    f"export TASKMILL_DATABASE__POOL_SIZE={fitting}"
                    if fitting >= _FEWEST
                    else more_connections(use, wanted + _SPARE)
                ),
            )


def _conflict(*names: str, sentence: str, better: str) -> SettingConflict:
    return SettingConflict(names=names, sentence=sentence, command=f"export {better}")
