"""The retry policy of tasks that have none of their own."""

from datetime import timedelta

from taskmill.composition.process_context import ProcessContext
from taskmill.domain.retry import RetryPolicy


def retry_policy(context: ProcessContext) -> RetryPolicy:
    """Return the policy of the settings."""
    retry = context.settings.retry
    return RetryPolicy(
        base=timedelta(seconds=retry.base_s),
        factor=retry.factor,
        maximum=timedelta(seconds=retry.max_s),
        jitter=retry.jitter,
    )
