"""API keys: their form, what is stored of them, and when they are valid.

A key is `tm_<environment>_<id>_<secret><checksum>`. The id is public, and names the key everywhere. The secret has
256 random bits; its SHA-256 is stored, since a hash that is slow protects only what can be guessed. The checksum
is the CRC-32 of all before it: scanners of secrets recognise a key, and a typo is found without the database.

It makes no randomness, reads no clock, and stores nothing.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, NamedTuple
from zlib import crc32

from taskmill.domain.grants import Grant, Scope, permits, permits_queue, permits_type
from taskmill.domain.quotas import Owner, QuotaLimit

Network = IPv4Network | IPv6Network

BASE62: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""The characters of ids, secrets and checksums."""
ID_CHARS: Final = 16
SECRET_BYTES: Final = 32
PREFIX: Final = "tm_"
MOST_LIVE: Final = 2
"""Most live keys of one name: the one before, and the one after, while a key is rotated."""

SOON: Final = timedelta(days=14)
"""When before its end a key should be rotated."""

_SECRET_CHARS: Final = 43
_MOST_REMEMBERED: Final = 1000
_CHECKSUM_CHARS: Final = 6
_FORM: Final = re.compile(
    rf"tm_[a-z][a-z0-9]{{0,11}}_([0-9A-Za-z]{{{ID_CHARS}}})"
    rf"_([0-9A-Za-z]{{{_SECRET_CHARS}}})[0-9A-Za-z]{{{_CHECKSUM_CHARS}}}",
    re.ASCII,
)

# Also one with a typo behind its id, or whose end is missing.
_LIKE_A_KEY: Final = re.compile(
    rf"(tm_[a-z][a-z0-9]{{0,11}}_[0-9A-Za-z]{{{ID_CHARS}}}_)[0-9A-Za-z]+", re.ASCII
)


class KeyState(StrEnum):
    """Whether a key is accepted."""

    LIVE = "live"
    EXPIRED = "expired"
    REVOKED = "revoked"


class PresentedKey(NamedTuple):
    """What a request has sent, if its form is right; nobody has checked it yet."""

    id: str
    secret: str

    def __repr__(self) -> str:
        return f"PresentedKey(id={self.id!r})"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyDraft:
    """What a new key is to be. Without networks it is accepted from all; without a lifetime it never expires."""

    name: str
    grants: tuple[Grant, ...]
    description: str | None = None
    networks: tuple[Network, ...] = ()
    lifetime: timedelta | None = None
    quotas: tuple[QuotaLimit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key without its secret. `last_used_at` is exact to a minute or two."""

    id: str
    draft: ApiKeyDraft
    created_at: datetime
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    # What `permits` has returned: it is asked for every request, mostly the same.
    _permitted: dict[tuple[Scope, str | None, str | None], bool] = field(
        default_factory=dict, init=False, compare=False, repr=False
    )

    def state(self, now: datetime) -> KeyState:
        """Return whether it is accepted at a time."""
        if self.revoked_at is not None:
            return KeyState.REVOKED
        is_over = self.expires_at is not None and self.expires_at <= now
        return KeyState.EXPIRED if is_over else KeyState.LIVE

    def ends_soon(self, now: datetime) -> bool:
        """Return whether it is accepted at a time, and will expire within `SOON`."""
        is_live = self.state(now) is KeyState.LIVE
        return is_live and self.expires_at is not None and self.expires_at - now <= SOON

    @property
    def owner(self) -> Owner:
        """Whose what it makes is: all keys of a name share their quotas."""
        return Owner(self.draft.name, self.draft.quotas)

    def permits(self, scope: Scope, *, queue: str | None = None, type: str | None = None) -> bool:  # noqa: A002 - as everywhere
        """Return whether it grants a scope for a queue and a type; None stands for all of them."""
        asked = (scope, queue, type)
        is_permitted = self._permitted.get(asked)
        if is_permitted is None:
            if len(self._permitted) >= _MOST_REMEMBERED:
                self._permitted.clear()
            is_permitted = permits(self.draft.grants, scope, queue=queue, type=type)
            self._permitted[asked] = is_permitted
        return is_permitted

    def permits_type(self, scope: Scope, type: str | None) -> bool:  # noqa: A002 - as everywhere
        """Return whether it grants a scope for a type in some queue; None stands for all types."""
        return permits_type(self.draft.grants, scope, type)

    def permits_queue(self, scope: Scope, queue: str) -> bool:
        """Return whether it grants a scope for a queue and some type."""
        return permits_queue(self.draft.grants, scope, queue)

    def has(self, scope: Scope) -> bool:
        """Return whether it grants a scope for anything."""
        for grant in self.draft.grants:  # noqa: SIM110 - a loop, as in `permits`: it is there for every request
            if grant.scope is scope or grant.scope is Scope.ADMIN:
                return True
        return False

    def allows_source(self, host: str) -> bool:
        """Return whether requests of an address may use it."""
        if not self.draft.networks:
            return True
        address = _address(host)
        return address is not None and any(address in network for network in self.draft.networks)


def format_key(environment: str, key_id: str, randomness: bytes) -> str:
    """Return the whole key of an id and `SECRET_BYTES` random bytes."""
    secret = _base62(int.from_bytes(randomness), _SECRET_CHARS)
    text = f"{PREFIX}{environment}_{key_id}_{secret}"
    return text + _checksum(text)


def parse_key(text: str) -> PresentedKey | None:
    """Return the parts of a key, None when its form or its checksum is wrong."""
    found = _FORM.fullmatch(text)
    if found is None or _checksum(text[:-_CHECKSUM_CHARS]) != text[-_CHECKSUM_CHARS:]:
        return None
    return PresentedKey(found[1], found[2])


def without_secrets(text: str) -> str:
    """Return a text in which the secrets of API keys are hidden; their ids stay, which name them everywhere."""
    return _LIKE_A_KEY.sub(r"\1***", text) if PREFIX in text else text


def secret_hash(secret: str) -> bytes:
    """Return what is stored of a secret."""
    return sha256(secret.encode()).digest()


def _checksum(text: str) -> str:
    return _base62(crc32(text.encode()), _CHECKSUM_CHARS)


def _base62(number: int, chars: int) -> str:
    digits = []
    for _ in range(chars):
        number, digit = divmod(number, len(BASE62))
        digits.append(BASE62[digit])
    return "".join(reversed(digits))


def _address(host: str) -> IPv4Address | IPv6Address | None:
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
