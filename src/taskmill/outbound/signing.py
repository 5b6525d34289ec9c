"""Signs what is sent as Standard Webhooks has it."""

from collections.abc import Sequence
from datetime import datetime

from standardwebhooks import Webhook


class Signer:
    """Signs with all of its secrets, so that receivers may change from one to the next; without any it doesn't."""

    def __init__(self, secrets: Sequence[str]) -> None:
        self._webhooks = [Webhook(secret) for secret in secrets]

    def headers(self, message_id: str, moment: datetime, body: bytes) -> dict[str, str]:
        """Return the headers that go with a body; `message_id` is the same however often it is sent."""
        found = {
            "webhook-id": message_id,
            "webhook-timestamp": str(int(moment.timestamp())),
        }
        if self._webhooks:
            text = body.decode()
            found["webhook-signature"] = " ".join(
                webhook.sign(message_id, moment, text) for webhook in self._webhooks
            )
        return found
