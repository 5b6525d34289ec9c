"""Contracts of task types: what payloads look like, and what a request gets that does not say.

Whoever runs tasks of a type registers its contract; every door keeps it. How a schema is read and checked is not
told here.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from taskmill.domain.retry import RetryPolicy


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeDefaults:
    """What a request of a type gets where it says nothing; None leaves the service's own default."""

    queue: str | None = None
    priority: int | None = None
    max_attempts: int | None = None
    max_losses: int | None = None
    retry: RetryPolicy | None = None
    timeout: timedelta | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeContract:
    """The contract of one type. `schema` is a JSON Schema (draft 2020-12) of the payload, as JSON text.

    A task without a payload is checked as one with an empty object.
    """

    type: str
    schema: str
    defaults: TypeDefaults = field(default_factory=TypeDefaults)


@dataclass(frozen=True, slots=True, kw_only=True)
class CompiledContract:
    """A contract as it is stored: JSON texts, and a digest that tells one version from another.

    `form` is the schema's normal form: programs of the release before read it.
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

    `versions` are newest first; empty where they were not asked for.
    """

    name: str
    current: ContractVersion
    changed_at: datetime
    workers: int
    versions: Sequence[ContractVersion] = ()
