"""What the commands of a migration block, and which tables they read as a whole, by their text.

PostgreSQL's manual says which command takes which lock
(https://www.postgresql.org/docs/current/explicit-locking.html); `tests/migrations/test_plan.py` compares that with
the locks that each migration really has. Nothing here connects to a database.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final


class Blocked(IntEnum):
    """What waits while a command has its lock on a table."""

    NOTHING = 0
    CHANGES = 1
    EVERYTHING = 2


@dataclass(slots=True, kw_only=True)
class Effects:
    """What commands do to tables: whom they block, and how often they read or write all of a table's rows."""

    blocked: dict[str, Blocked] = field(default_factory=dict)
    reads: dict[str, int] = field(default_factory=dict)
    writes: dict[str, int] = field(default_factory=dict)

    def block(self, table: str, what: Blocked) -> None:
        """Add a lock."""
        self.blocked[table] = max(what, self.blocked.get(table, Blocked.NOTHING))

    def read(self, table: str) -> None:
        """Add a pass over all rows."""
        self.reads[table] = self.reads.get(table, 0) + 1

    def write(self, table: str) -> None:
        """Add a change of perhaps all rows."""
        self.writes[table] = self.writes.get(table, 0) + 1


_COMMENT: Final = re.compile(r"(?m)--.*$")
_TABLE: Final = r"taskmill\.(\w+)"
_WEAK_MODES: Final = frozenset(
    {"ACCESS SHARE", "ROW SHARE", "ROW EXCLUSIVE", "SHARE UPDATE EXCLUSIVE"}
)
# Of these ALTER TABLE only takes SHARE UPDATE EXCLUSIVE.
_GENTLE: Final = re.compile(r"(?i)^\s*(VALIDATE CONSTRAINT|ATTACH PARTITION|SET \(|RESET \()")
_READS_ALL: Final = re.compile(
    r"(?is)\bTYPE\b|SET NOT NULL|PRIMARY KEY|\bUNIQUE\b|VALIDATE CONSTRAINT|CHECK(?!.*NOT VALID)"
)

Indexes = Mapping[str, str]


def effects(commands: Iterable[str], indexes: Indexes) -> Effects:
    """Return what commands do, all of them together; `indexes` has the table of each index."""
    found = Effects()
    for command in commands:
        for part in _parts(_COMMENT.sub("", command).strip()):
            for pattern, apply in _RULES:
                if match := pattern.match(part):
                    apply(match, part, found, indexes)
                    break
    return found


def _parts(command: str) -> Iterator[str]:
    """Yield a command; of a block the commands that are in it, with partitions as the table that they are of."""
    if not re.match(r"(?i)DO\b", command):
        yield command
        return
    parent = re.search(rf"'{_TABLE}'::regclass", command)
    name = "taskmill." + (parent[1] if parent else "unknown")
    text = re.sub(r"taskmill\.(%I|%\d\$I|%\d\$s\w*)", name, command).replace("'", " ")
    yield from (
        part.strip() for part in re.split(r"(?i);|\bformat\s*\(|\b(?:LOOP|BEGIN|THEN)\b", text)
    )


def _create_index(match: re.Match[str], _: str, found: Effects, __: Indexes) -> None:
    is_concurrent, is_only, table = match[1], match[2], match[3]
    found.block(table, Blocked.NOTHING if is_concurrent else Blocked.CHANGES)
    if not is_only:
        found.read(table)


def _alter_table(match: re.Match[str], part: str, found: Effects, _: Indexes) -> None:
    table, actions = match[1], match[2]
    is_gentle = _GENTLE.match(actions) is not None
    found.block(table, Blocked.NOTHING if is_gentle else Blocked.EVERYTHING)
    if _READS_ALL.search(actions):
        found.read(table)
    _references(part, found)


def _references(part: str, found: Effects) -> None:
    for table in re.findall(rf"(?i)REFERENCES\s+{_TABLE}", part):
        found.block(table, Blocked.CHANGES)


def _create_table(_: re.Match[str], part: str, found: Effects, __: Indexes) -> None:
    _references(part, found)
    for table in re.findall(rf"(?i)PARTITION OF\s+{_TABLE}", part):
        found.block(table, Blocked.EVERYTHING)


def _drop_index(match: re.Match[str], part: str, found: Effects, indexes: Indexes) -> None:
    what = Blocked.NOTHING if match[1] else Blocked.EVERYTHING
    for index in re.findall(_TABLE, part):
        if index in indexes:
            found.block(indexes[index], what)


def _drop(_: re.Match[str], part: str, found: Effects, __: Indexes) -> None:
    for table in re.findall(_TABLE, part):
        found.block(table, Blocked.EVERYTHING)


def _drop_trigger(match: re.Match[str], _: str, found: Effects, __: Indexes) -> None:
    found.block(match[1], Blocked.EVERYTHING)


def _create_trigger(match: re.Match[str], _: str, found: Effects, __: Indexes) -> None:
    found.block(match[1], Blocked.CHANGES)


def _replace_view(match: re.Match[str], _: str, found: Effects, __: Indexes) -> None:
    found.block(match[1], Blocked.EVERYTHING)


def _lock(match: re.Match[str], part: str, found: Effects, _: Indexes) -> None:
    mode = match[1].upper()
    is_all = mode == "ACCESS EXCLUSIVE"
    strong = Blocked.EVERYTHING if is_all else Blocked.CHANGES
    for table in re.findall(_TABLE, part):
        found.block(table, Blocked.NOTHING if mode in _WEAK_MODES else strong)


def _change_rows(match: re.Match[str], _: str, found: Effects, __: Indexes) -> None:
    found.block(match[1], Blocked.NOTHING)
    found.write(match[1])


_Apply = Callable[[re.Match[str], str, Effects, Indexes], None]
_RULES: Final[tuple[tuple[re.Pattern[str], _Apply], ...]] = tuple(
    (re.compile(rf"(?is){pattern}"), apply)
    for pattern, apply in (
        (
            rf"CREATE (?:UNIQUE )?INDEX\s+(CONCURRENTLY )?(?:IF NOT EXISTS )?\S+\s+ON (ONLY )?{_TABLE}",
            _create_index,
        ),
        (rf"ALTER TABLE (?:IF EXISTS )?(?:ONLY )?{_TABLE}\s+(.*)", _alter_table),
        (r"CREATE TABLE\b", _create_table),
        (r"DROP INDEX (CONCURRENTLY )?", _drop_index),
        (r"DROP (?:TABLE|VIEW)\b", _drop),
        (rf"DROP TRIGGER .*? ON {_TABLE}", _drop_trigger),
        (rf"CREATE (?:OR REPLACE )?(?:CONSTRAINT )?TRIGGER .*? ON {_TABLE}", _create_trigger),
        (rf"CREATE OR REPLACE VIEW {_TABLE}", _replace_view),
        (r"LOCK (?:TABLE )?.*? IN ([A-Z ]+) MODE", _lock),
        (rf"(?:WITH .*?)?(?:UPDATE|DELETE FROM) {_TABLE}", _change_rows),
    )
)
