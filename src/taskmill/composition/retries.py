"""The retry policy of tasks that bring none."""

from datetime import timedelta

from taskmill.composition.parts import Parts
from taskmill.domain.retry import RetryPolicy


def retry_policy(parts: Parts) -> RetryPolicy:
    """Return the policy that the settings name."""
    retry = parts.settings.retry
    return RetryPolicy(
        base=timedelta(seconds=retry.base_s),
        factor=retry.factor,
        maximum=timedelta(seconds=retry.max_s),
        jitter=retry.jitter,
    )
