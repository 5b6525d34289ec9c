"""API keys as programs see them: never with a secret."""

from datetime import datetime
from typing import Any, Self

from pydantic import BaseModel

from taskmill.domain.api_keys import ApiKey, KeyState


class ApiKeyView(BaseModel):
    """An API key without its secret."""

    id: str
    name: str
    state: KeyState
    description: str | None
    grants: list[str]
    networks: list[str]
    quotas: list[str]
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None

    def to_json(self) -> dict[str, Any]:
        """Return it as values of JSON."""
        return self.model_dump(mode="json")

    @classmethod
    def of(cls, key: ApiKey, now: datetime) -> Self:
        """Show a key as it is at a time."""
        return cls(
            id=key.id,
            name=key.draft.name,
            state=key.state(now),
            description=key.draft.description,
            grants=[str(grant) for grant in key.draft.grants],
            networks=[str(network) for network in key.draft.networks],
            quotas=[str(limit) for limit in key.draft.quotas],
            created_at=key.created_at,
            expires_at=key.expires_at,
            revoked_at=key.revoked_at,
            last_used_at=key.last_used_at,
        )
