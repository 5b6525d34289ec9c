"""The retry policy of tasks that bring none."""

from datetime import timedelta

from taskmill.composition.process_context import ProcessContext
from taskmill.domain.retry import RetryPolicy


def retry_policy(parts: ProcessContext) -> RetryPolicy:
    """Return the policy that the settings name."""
    retry = parts.settings.retry
    return RetryPolicy(
        base=timedelta(seconds=retry.base_s),
        factor=retry.factor,
        maximum=timedelta(seconds=retry.max_s),
        jitter=retry.jitter,
    )
