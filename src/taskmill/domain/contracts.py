"""Contracts of task types: the schema of payloads, and defaults for what a request leaves out.

Workers register the contracts of the types that they run. Reading and checking schemas is the duty of
`wire/contracts`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from taskmill.domain.task_fields import DEFAULT_QUEUE


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeContract:
    """The contract of one type. `schema` is a JSON Schema (draft 2020-12) of the payload, as JSON text.

    A task without a payload is checked as if it were an empty object. `defaults` are values for fields that a
    request leaves out, as requests have them.
    """

    type: str
    schema: str
    defaults: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledContract:
    """A contract that compiles, as it is stored: JSON texts, and a digest that identifies the version.

    `most_checks` is how many schemas check one value at most; it is not stored.
    """

    type: str
    schema: str
    defaults: str
    digest: bytes
    most_checks: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractVersion:
    """One version of a type's contract; `schema` and `defaults` are JSON texts, `queue` is the default one."""

    version: int
    schema: str
    defaults: str
    registered_at: datetime
    registered_by: str
    queue: str = DEFAULT_QUEUE


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisteredType:
    """A type with its current contract, and how many live workers run it.

    `versions` are newest first; empty where they were not requested.
    """

    name: str
    current: ContractVersion
    changed_at: datetime
    workers: int
    versions: Sequence[ContractVersion] = ()
