"""Signatures, as the verifier of Standard Webhooks sees them."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from taskmill.domain.signing import is_secret, secret_of
from taskmill.outbound.signing import Signer
from taskmill.runtime.clock import SystemClock

OLD, NEW, OTHER = (secret_of(bytes([number]) * 32) for number in (1, 2, 3))
BODY = '{"text":"größe 🚀"}'.encode()


def now() -> datetime:
    return SystemClock().now()


def test_receivers_with_any_of_the_secrets_accept_a_signature() -> None:
    headers = Signer([NEW, OLD]).headers("id-1", now(), BODY)
    for secret in (NEW, OLD):
        assert Webhook(secret).verify(BODY, headers) == {"text": "größe 🚀"}
    with pytest.raises(WebhookVerificationError):
        Webhook(OTHER).verify(BODY, headers)


@pytest.mark.parametrize("part", ["body", "webhook-id", "webhook-timestamp"])
def test_a_signature_covers_body_id_and_timestamp(part: str) -> None:
    headers, body = Signer([NEW]).headers("id-1", now(), BODY), BODY
    if part == "body":
        body = body.replace(b"text", b"test")
    elif part == "webhook-id":
        headers[part] = "id-2"
    else:
        headers[part] = str(int(headers[part]) + 1)
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(body, headers)


def test_an_old_signature_is_refused() -> None:
    headers = Signer([NEW]).headers("id-1", now() - timedelta(minutes=6), BODY)
    with pytest.raises(WebhookVerificationError):
        Webhook(NEW).verify(BODY, headers)


def test_without_a_secret_a_message_has_an_id_but_no_signature() -> None:
    headers = Signer([]).headers("id-1", datetime(2026, 11, 25, tzinfo=UTC), b"")
    assert headers == {"webhook-id": "id-1", "webhook-timestamp": "1795564800"}


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        (secret_of(b"x" * 32), True),
        (secret_of(b"x" * 24), True),
        (secret_of(b"x" * 64), True),
        (secret_of(b"x" * 23), False),
        (secret_of(b"x" * 65), False),
        (b64encode(b"x" * 32).decode(), False),
        ("whsec_", False),
        ("whsec_größe", False),
        ("whsec_" + "!" * 44, False),
    ],
)
def test_a_secret_has_a_form(text: str, is_one: bool) -> None:  # noqa: FBT001 - parametrized
    assert is_secret(text) is is_one
