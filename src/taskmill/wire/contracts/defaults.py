"""The JSON of a contract's defaults, and the parts of a draft that they fill."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Any, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from taskmill.wire import fields
from taskmill.wire.fields import Expected
from taskmill.wire.retry import RetrySpec, policy_of


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


Filler: TypeAlias = tuple[str, str, object]
"""A default: its name in a request, the attribute of a draft that it fills, and its value."""


def fillers(defaults: Mapping[str, Any]) -> list[Filler]:
    """Return what the defaults fill."""
    spec = DefaultsSpec.model_validate(defaults)
    retry = None if spec.retry is None else policy_of(spec.retry)
    timeout = None if spec.timeout_s is None else timedelta(seconds=spec.timeout_s)
    parts = (
        ("queue", "queue", spec.queue),
        ("priority", "priority", spec.priority),
        ("max_attempts", "max_attempts", spec.max_attempts),
        ("max_losses", "max_losses", spec.max_losses),
        ("retry", "retry", retry),
        ("timeout_s", "timeout", timeout),
    )
    return [part for part in parts if part[2] is not None]
