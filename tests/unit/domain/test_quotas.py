"""Quotas of API keys: how they are written, and which holds."""

import pytest

from taskmill.domain.errors import InvalidInput
from taskmill.domain.quotas import MOST_WAITING, Owner, Quota, QuotaExceeded, QuotaLimit


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("queues=50", QuotaLimit(Quota.QUEUES, 50)),
        ("streams=0", QuotaLimit(Quota.STREAMS, 0)),
        ("schedules=5", QuotaLimit(Quota.SCHEDULES, 5)),
        ("webhooks=999999999", QuotaLimit(Quota.WEBHOOKS, 999_999_999)),
        ("waiting_tasks=100000", QuotaLimit(Quota.WAITING_TASKS, 100_000)),
        ("waiting_kib=999999999", QuotaLimit(Quota.WAITING_KIB, 999_999_999)),
    ],
)
def test_a_limit_is_read_and_written_alike(text: str, limit: QuotaLimit) -> None:
    assert QuotaLimit.parse(text) == limit
    assert str(limit) == text


@pytest.mark.parametrize(
    "text", ["", "queues", "queues=", "queues=-1", "tasks=5", "queues=1234567890", "queues=٣"]
)
def test_what_is_no_limit_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        QuotaLimit.parse(text)
    [violation] = caught.value.violations
    assert "queues=50" in violation.expected


def test_more_waiting_tasks_than_can_be_counted_are_refused() -> None:
    assert QuotaLimit.parse(f"waiting_tasks={MOST_WAITING}").most == MOST_WAITING
    with pytest.raises(InvalidInput, match="at most 1,000,000 waiting tasks"):
        QuotaLimit.parse(f"waiting_tasks={MOST_WAITING + 1}")


def test_the_limit_of_a_key_goes_before_that_of_the_settings() -> None:
    owner = Owner("billing", (QuotaLimit(Quota.QUEUES, 7), QuotaLimit(Quota.TYPES, 0)))
    assert owner.most(Quota.QUEUES, 100) == 7
    assert owner.most(Quota.TYPES, 100) is None, "0 is any number"
    assert owner.most(Quota.WEBHOOKS, 100) == 100
    assert owner.most(Quota.WEBHOOKS, 0) is None


def test_a_refusal_names_the_quota_and_its_limit() -> None:
    error = QuotaExceeded(Quota.QUEUES, 7)
    assert "7 queues" in str(error)
    assert "quota of queues" in str(error)
    assert (error.quota, error.limit, error.retry_after_s) == (Quota.QUEUES, 7, None)
