"""Signs requests as Standard Webhooks specifies."""

from collections.abc import Iterable
from datetime import datetime

from standardwebhooks import Webhook


class Signer:
    """Signs with each of its secrets, so that receivers can rotate them; without secrets it signs nothing."""

    def __init__(self, secrets: Iterable[str]) -> None:
        self._webhooks = [Webhook(secret) for secret in secrets]

    def headers(self, message_id: str, moment: datetime, body: bytes) -> dict[str, str]:
        """Return the headers for a body; `message_id` must be the same each time that the message is sent."""
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
