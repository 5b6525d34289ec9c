"""Contracts of task types: the schema of payloads, and defaults for what a request leaves out.

Workers register the contracts of the types that they run, and every entry point enforces them. Reading and
checking schemas is the duty of `wire/contracts`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from taskmill.domain.retry import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeDefaults:
    """Defaults for fields that a request leaves out; None leaves the service's own default."""

    queue: str | None = None
    priority: int | None = None
    max_attempts: int | None = None
    max_losses: int | None = None
    retry: RetryPolicy | None = None
    timeout: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeContract:
    """The contract of one type. `schema` is a JSON Schema (draft 2020-12) of the payload, as JSON text.

    A task without a payload is checked as if it were an empty object.
    """

    type: str
    schema: str
    defaults: TypeDefaults = field(default_factory=TypeDefaults)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledContract:
    """A contract as it is stored: JSON texts, and a digest that identifies the version.

    `form` is the schema's normal form: programs of the previous release read it.
    """

    type: str
    schema: str
    form: str
    defaults: str
    digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ContractVersion:
    """One version of a type's contract; `schema` and `defaults` are JSON texts."""

    version: int
    schema: str
    defaults: str
    registered_at: datetime
    registered_by: str


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
