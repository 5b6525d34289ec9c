"""The rights of Taskmill's roles in the database, table by table. Nothing here connects to it.

Each role has what its processes need; `docs/operations/database-roles.md` is generated from this module.
Nobody has rights on a table that is missing here, and a test fails.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

OWNER: Final = "taskmill_owner"
"""Owns the schema; migrations run as this role."""
APP: Final = "taskmill_app"
"""For API, worker, relay, intake and webhooks."""
MAINTENANCE: Final = "taskmill_maintenance"
"""For maintenance: a member of `APP` that also prunes rows, and drops partitions."""
READER: Final = "taskmill_reader"
"""Reads everything but secrets, for people and dashboards."""
ENQUEUE: Final = "taskmill_enqueue"
"""May only call `create_task`, `put_schedule`, `pause_schedule`, for programs with transactions of their own."""
ROLES: Final = (OWNER, APP, MAINTENANCE, READER, ENQUEUE)
GRANTED: Final = ROLES[1:]

PRIVILEGES: Final = MappingProxyType({"S": "SELECT", "I": "INSERT", "U": "UPDATE", "D": "DELETE"})


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRights:
    """What may be done with a table or view.

    Args:
        app: letters of `PRIVILEGES`.
        updated: columns that `APP` may update, of a table that it may not update as a whole.
        maintenance: what maintenance may do in addition.
        hidden: columns that `READER` may not read; `*` for all.
    """

    app: str
    updated: tuple[str, ...] = ()
    maintenance: str = ""
    hidden: tuple[str, ...] = ()

    def of(self, role: str) -> str:
        """Return the letters of a role's rights on the whole table, its own and those of roles it is in."""
        reader = "" if self.hidden else "S"
        return {
            APP: self.app,
            MAINTENANCE: self.app + self.maintenance,
            READER: reader,
            ENQUEUE: "",
        }[role]


# A row may be locked (FOR UPDATE) by who may update it; ON CONFLICT DO UPDATE needs SELECT, INSERT and UPDATE.
TABLES: Final[Mapping[str, TableRights]] = MappingProxyType(
    {
        "alembic_version": TableRights(app="S"),
        # Keys are made and revoked by commands, with the login that migrates.
        "api_key": TableRights(app="S", updated=("last_used_at",), hidden=("secret_hash",)),
        "attention": TableRights(app="SIU"),
        "audit_entry": TableRights(app="SI"),
        "audit_outcome": TableRights(app="SI"),
        "callback_key": TableRights(app="S", hidden=("*",)),
        "change_batch": TableRights(app="SI", maintenance="UD"),
        "contract_revision": TableRights(app="SU"),
        "current_task": TableRights(app="S"),
        "dispatch": TableRights(app="SIUD"),
        "failure": TableRights(app="S", maintenance="IUD"),
        "failure_delta": TableRights(app="SI", maintenance="UD"),
        "failure_kind": TableRights(
            app="SI", updated=("state", "state_at", "state_by"), maintenance="UD"
        ),
        "feed_delivery": TableRights(app="SIU"),
        "idempotency": TableRights(app="SIU", maintenance="D"),
        "job": TableRights(app="SIU", maintenance="D"),
        "lease": TableRights(app="SIU", maintenance="D"),
        "notice": TableRights(app="SIUD"),
        "process": TableRights(app="SIUD"),
        "pruned_queue": TableRights(app="S", maintenance="D"),
        "pulled_type": TableRights(app="SIU", maintenance="D"),
        "queue": TableRights(app="SIUD"),
        "queue_failure": TableRights(app="S", maintenance="IUD"),
        # For `create_task`, which reads it as its owner.
        "queue_grant": TableRights(app=""),
        "rejection": TableRights(app="SIU", maintenance="D"),
        "request_limit": TableRights(app="SU"),
        "running": TableRights(app="SIUD"),
        "saved_view": TableRights(app="SIUD"),
        "schedule": TableRights(app="SIUD"),
        # Whose code declares schedules writes it when a worker starts.
        "schedule_app": TableRights(app="SIU"),
        "schedule_cursor": TableRights(app="SIUD"),
        "schedule_fire": TableRights(app="SIU", maintenance="D"),
        # `put_schedule` inserts, as its owner.
        "schedule_request": TableRights(app="SUD"),
        "schedule_revision": TableRights(app="SI", maintenance="UD"),
        "served_type": TableRights(app="S"),
        "session": TableRights(app="SIUD", hidden=("token_hash",)),
        "task": TableRights(app="SIU"),
        # An address may have a token in it, as `webhook`'s.
        "task_callback": TableRights(app="SI", maintenance="D", hidden=("url",)),
        "task_count": TableRights(app="SI", maintenance="UD"),
        "task_event": TableRights(app="SI"),
        "task_history": TableRights(app="S"),
        "task_log": TableRights(app="SI"),
        "task_minute": TableRights(app="S", maintenance="IUD"),
        "task_minute_delta": TableRights(app="SI", maintenance="UD"),
        "task_progress": TableRights(app="SIU", maintenance="D"),
        "task_type": TableRights(app="SIUD"),
        "task_week_count": TableRights(app="S", maintenance="IUD"),
        "type_contract": TableRights(app="SID"),
        "type_policy": TableRights(app="S"),
        "unserved_type": TableRights(app="SIU", maintenance="D"),
        "webhook": TableRights(app="SIU", maintenance="D", hidden=("url", "secrets")),
        "webhook_delivery": TableRights(app="SIU", maintenance="D"),
        # What has no week of its own is looked for there, when weeks are made.
        "task_default": TableRights(app="S"),
        "task_event_default": TableRights(app="S"),
        "task_log_default": TableRights(app="S"),
    }
)
SEQUENCES: Final[Mapping[str, str]] = MappingProxyType(
    {"task_number": "USAGE, SELECT", "change_batch_id_seq": "SELECT"}
)
"""What `APP` may do with the sequences. Those of identity columns need no right to insert."""
AS_OWNER: Final[Mapping[str, str]] = MappingProxyType(
    {
        "create_task": ENQUEUE,
        "put_schedule": ENQUEUE,
        "pause_schedule": ENQUEUE,
        "lock_partitions": APP,
        "make_partition": APP,
        "make_partition_with_rows": APP,
        "drop_week": MAINTENANCE,
        "prune_tasks": MAINTENANCE,
        "lock_audit_log": APP,
        "make_audit_month": APP,
        "drop_audit_month": MAINTENANCE,
    }
)
"""Functions that run with the rights of their owner, and who may execute them. `APP` may execute all others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objects:
    """What is in the schema: the columns of each table and view, and the functions, as PostgreSQL names them."""

    columns: Mapping[str, tuple[str, ...]]
    functions: Iterable[tuple[str, str]]
    """Name, and name with the types of arguments."""


def grants(found: Objects) -> Iterator[str]:
    """Return the commands that give all roles their rights on what is in the schema, and no others."""
    everyone = ", ".join(GRANTED)
    yield f"GRANT USAGE ON SCHEMA taskmill TO {everyone}"
    for name, columns in found.columns.items():
        yield f"REVOKE ALL ON taskmill.{name} FROM {everyone}"
        if rights := TABLES.get(name):
            yield from _table_grants(name, rights, columns)
    for name, privileges in SEQUENCES.items():
        yield f"REVOKE ALL ON SEQUENCE taskmill.{name} FROM {everyone}"
        yield f"GRANT {privileges} ON SEQUENCE taskmill.{name} TO {APP}"
    for name, signature in found.functions:
        yield f"REVOKE ALL ON FUNCTION {signature} FROM {everyone}"
        yield f"GRANT EXECUTE ON FUNCTION {signature} TO {AS_OWNER.get(name, APP)}"


def _table_grants(name: str, rights: TableRights, columns: Iterable[str]) -> Iterator[str]:
    for role, letters in ((APP, rights.app), (MAINTENANCE, rights.maintenance)):
        if letters:
            yield f"GRANT {_words(letters)} ON taskmill.{name} TO {role}"
    if rights.updated:
        yield f"GRANT UPDATE ({', '.join(rights.updated)}) ON taskmill.{name} TO {APP}"
    shown = [column for column in columns if column not in rights.hidden]
    if not rights.hidden:
        yield f"GRANT SELECT ON taskmill.{name} TO {READER}"
    elif "*" not in rights.hidden:
        yield f"GRANT SELECT ({', '.join(shown)}) ON taskmill.{name} TO {READER}"


def _words(letters: str) -> str:
    return ", ".join(PRIVILEGES[letter] for letter in letters)
