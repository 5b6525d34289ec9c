"""A retry policy as requests write it, and as it is stored."""

from datetime import timedelta
from typing import Final

import orjson
from pydantic import BaseModel, ConfigDict, Field

from taskmill.domain.retry import RetryPolicy
from taskmill.wire import fields

_DEFAULT: Final = RetryPolicy()


class RetrySpec(BaseModel):
    """When a failed attempt is tried again: `base_s * factor ** (attempt - 1)`, at most `max_s`."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    base_s: fields.RetryBase = Field(
        default=_DEFAULT.base.total_seconds(), description="wait before the second attempt"
    )
    factor: fields.RetryFactor = Field(
        default=_DEFAULT.factor, description="growth of the wait from one attempt to the next"
    )
    max_s: fields.RetryCeiling = Field(
        default=_DEFAULT.maximum.total_seconds(), description="longest wait"
    )
    jitter: fields.RetryJitter = Field(
        default=_DEFAULT.jitter, description="the wait is spread by ± this part of itself"
    )


def policy_of(spec: RetrySpec) -> RetryPolicy:
    """Return the policy that a request specifies."""
    return RetryPolicy(
        base=timedelta(seconds=spec.base_s),
        factor=spec.factor,
        maximum=timedelta(seconds=spec.max_s),
        jitter=spec.jitter,
    )


def spec_of(policy: RetryPolicy) -> dict[str, float]:
    """Return a policy as requests specify it."""
    return {
        "base_s": policy.base.total_seconds(),
        "factor": policy.factor,
        "max_s": policy.maximum.total_seconds(),
        "jitter": policy.jitter,
    }


def policy_json(policy: RetryPolicy) -> str:
    """Return a policy as it is stored."""
    return orjson.dumps(spec_of(policy)).decode()
