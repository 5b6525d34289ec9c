"""API keys for tests, and a server that requires them."""

from datetime import timedelta
from ipaddress import ip_network
from typing import Final
from uuid import uuid4

from taskmill.domain.api_keys import ApiKeyDraft
from taskmill.domain.grants import Grant
from taskmill.domain.quotas import QuotaLimit
from taskmill.operations import api_keys
from taskmill.operations.api_keys import NewApiKey
from taskmill.settings import Settings
from taskmill.storage.database import Database
from taskmill.storage.rights import OWNER
from tests.support.api import LIMITS
from tests.support.role_database import in_role

REQUIRED: Final = Settings(limits=LIMITS, auth="required")


async def a_new_key(
    database: Database,
    *grants: str,
    name: str = "",
    networks: tuple[str, ...] = (),
    lifetime: timedelta | None = None,
    quotas: tuple[str, ...] = (),
) -> NewApiKey:
    """Make a key with these grants as the owner; of a name of its own, unless one is given."""
    draft = ApiKeyDraft(
        name=name or f"key-{uuid4()}",
        grants=tuple(map(Grant.parse, grants)),
        networks=tuple(ip_network(network) for network in networks),
        lifetime=lifetime,
        quotas=tuple(map(QuotaLimit.parse, quotas)),
    )
    return await api_keys.create(in_role(database, OWNER), draft, environment="test")


def shown(key: NewApiKey | str) -> dict[str, str]:
    """The header that shows a key."""
    text = key if isinstance(key, str) else key.text
    return {"authorization": f"Bearer {text}"}
