"""The shapes of types and their contracts, and of a request to register one."""

from collections.abc import Iterable
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from taskmill.domain.contracts import ContractVersion, RegisteredType, TypeContract
from taskmill.wire.basics import format_timestamp
from taskmill.wire.contracts.defaults import DefaultsSpec
from taskmill.wire.encoding import Fragment, encode_json, fields_of
from taskmill.wire.fields import Expected, Timestamp
from taskmill.wire.strict_json import compact
from taskmill.wire.violations import validated


class ContractChange(BaseModel):
    """What payloads of a type have to look like from now on, and the defaults of requests."""

    model_config = ConfigDict(
        strict=True,
        extra="forbid",
        frozen=True,
        json_schema_extra={
            "examples": [
                {
                    "payload_schema": {
                        "type": "object",
                        "properties": {"to": {"type": "string"}},
                        "required": ["to"],
                    },
                    "defaults": {"queue": "mail", "max_attempts": 5},
                }
            ]
        },
    )

    payload_schema: Annotated[dict[str, Any], Expected("a JSON Schema: an object")] = Field(
        description="JSON Schema, draft 2020-12, of the payload"
    )
    defaults: Annotated[
        DefaultsSpec,
        Field(strict=False),
        Expected("an object with queue, priority, max_attempts, max_losses, retry and timeout_s"),
    ] = Field(default_factory=DefaultsSpec)


class ContractVersionView(BaseModel):
    """One version of a contract."""

    version: int
    payload_schema: dict[str, Any]
    defaults: dict[str, Any] = Field(description="only those that are set")
    registered_at: Timestamp
    registered_by: str = Field(description="the worker, or `rest`")


class TypeSummaryView(ContractVersionView):
    """A type with its current contract."""

    name: str
    changed_at: Timestamp = Field(description="since when this version is current")
    workers: int = Field(description="live workers that run the type")


class TypeView(TypeSummaryView):
    """A type with its current contract, and all versions of it."""

    versions: list[ContractVersionView] = Field(description="newest first, 100 at most")


class TypeList(BaseModel):
    """The types that have a contract, by name."""

    items: list[TypeSummaryView]


def to_contract(name: str, body: object) -> TypeContract:
    """Return the requested contract in a parsed body.

    Raises:
        InvalidInput: It is not one. Its schema is checked when it is registered.
    """
    change = validated(ContractChange, body)
    return TypeContract(
        type=name,
        schema=compact(change.payload_schema),
        defaults=change.defaults.model_dump(exclude_none=True),
    )


def type_json(found: RegisteredType) -> bytes:
    """Return a type as a `TypeView` in JSON."""
    versions = [_version(one) for one in found.versions]
    return encode_json({**_summary(found), "versions": versions})


def types_json(found: Iterable[RegisteredType]) -> bytes:
    """Return types as a `TypeList` in JSON."""
    return encode_json({"items": [_summary(one) for one in found]})


def _summary(found: RegisteredType) -> dict[str, object]:
    return {
        "name": found.name,
        **_version(found.current),
        "changed_at": format_timestamp(found.changed_at),
        "workers": found.workers,
    }


def _version(version: ContractVersion) -> dict[str, object]:
    schema, defaults = Fragment(version.schema), Fragment(version.defaults)
    return fields_of(ContractVersionView, version, payload_schema=schema, defaults=defaults)
