"""How a webhook does."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from taskmill.domain.webhooks import (
    BEHIND_AFTER,
    Webhook,
    WebhookBacklog,
    WebhookCondition,
    WebhookDraft,
    WebhookState,
    condition_of,
)

NOON = datetime(2031, 1, 31, 12, tzinfo=UTC)
ONE_SECOND = timedelta(seconds=1)


def a_webhook(state: WebhookState = WebhookState.ENABLED, **parts: Any) -> Webhook:  # noqa: ANN401 - of a webhook
    usual: dict[str, Any] = {"disabled_reason": None, "failing_since": None}
    return Webhook(
        id=UUID(int=1),
        draft=WebhookDraft(url="https://example.org/", state=state),
        created_at=NOON,
        updated_at=NOON,
        **usual | parts,
    )


def due(before: timedelta) -> WebhookBacklog:
    return WebhookBacklog(waiting=1, due_at=NOON - before)


@pytest.mark.parametrize(
    ("webhook", "backlog", "condition"),
    [
        (a_webhook(), WebhookBacklog(), WebhookCondition.WORKING),
        (a_webhook(), due(BEHIND_AFTER - ONE_SECOND), WebhookCondition.WORKING),
        (a_webhook(), due(BEHIND_AFTER), WebhookCondition.BEHIND),
        (a_webhook(), due(-ONE_SECOND), WebhookCondition.WORKING),
        (a_webhook(failing_since=NOON), due(BEHIND_AFTER), WebhookCondition.FAILING),
        (a_webhook(failing_since=NOON, has_key=False), due(BEHIND_AFTER), WebhookCondition.NO_KEY),
        (
            a_webhook(WebhookState.PAUSED, failing_since=NOON, has_key=False),
            due(BEHIND_AFTER),
            WebhookCondition.PAUSED,
        ),
        (
            a_webhook(WebhookState.DISABLED, failing_since=NOON),
            due(BEHIND_AFTER),
            WebhookCondition.DISABLED,
        ),
    ],
)
def test_the_condition_of_a_webhook_is_what_its_owner_has_to_know_first(
    webhook: Webhook, backlog: WebhookBacklog, condition: WebhookCondition
) -> None:
    assert condition_of(webhook, backlog, NOON) is condition
