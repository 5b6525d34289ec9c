"""The JSON of a contract's defaults, and the parts of a draft that they fill."""

from collections.abc import Mapping
from dataclasses import fields as fields_of
from datetime import timedelta
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field

from taskmill.domain.contracts import TypeDefaults
from taskmill.wire import fields
from taskmill.wire.fields import Expected
from taskmill.wire.retry import RetrySpec, policy_of, spec_of


class DefaultsSpec(BaseModel):
    """Defaults for requests of this type that leave a field out; null means the service's own default."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    queue: fields.Slug | None = None
    priority: fields.Priority | None = None
    max_attempts: fields.MaxAttempts | None = None
    max_losses: fields.MaxLosses | None = None
    retry: Annotated[
        RetrySpec | None,
        Field(strict=False),
        Expected("an object with base_s, factor, max_s and jitter, or null"),
    ] = None
    timeout_s: fields.Timeout | None = None


_NAMES: Final = {"timeout": "timeout_s"}


def defaults_of(spec: DefaultsSpec) -> TypeDefaults:
    """Return the defaults that a request specifies."""
    return TypeDefaults(
        queue=spec.queue,
        priority=spec.priority,
        max_attempts=spec.max_attempts,
        max_losses=spec.max_losses,
        retry=None if spec.retry is None else policy_of(spec.retry),
        timeout=None if spec.timeout_s is None else timedelta(seconds=spec.timeout_s),
    )


def default_fields(defaults: TypeDefaults) -> dict[str, Any]:
    """Return the defaults that are set, in the JSON of requests and PostgreSQL."""
    given = {field.name: getattr(defaults, field.name) for field in fields_of(defaults)}
    if defaults.retry is not None:
        given["retry"] = spec_of(defaults.retry)
    if defaults.timeout is not None:
        given["timeout"] = defaults.timeout.total_seconds()
    return {_NAMES.get(name, name): value for name, value in given.items() if value is not None}


def fillers(shown: Mapping[str, Any]) -> tuple[tuple[str, str, object], ...]:
    """Return for each default its name in a request, the attribute of a draft that it fills, and its value."""
    defaults = defaults_of(DefaultsSpec.model_validate(shown))
    parts = [(field.name, getattr(defaults, field.name)) for field in fields_of(defaults)]
    return tuple(
        (_NAMES.get(name, name), name, value) for name, value in parts if value is not None
    )
