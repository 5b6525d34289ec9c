"""Encrypts secrets that are stored, by AES-256-GCM: those of webhooks, and the key for callbacks.

An encrypted secret is the text `enc:v1:KEY_ID:…`, with nonce and ciphertext in Base64; its owner is authenticated,
so that it can't be moved to another row. Any other text is a plain secret. The library is imported at the first
use: it takes 9 MB.
"""

import binascii
import secrets
from base64 import b64decode, b64encode
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from uuid import UUID

from taskmill.domain.errors import SecretUnreadable
from taskmill.domain.signing import PREFIX
from taskmill.storage.key_file import read_keys

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CALLBACK_KEY: Final = "the key for callbacks"
"""The owner of the key that callbacks are signed with."""

_FORM: Final = "enc:v1:"
_NONCE_BYTES: Final = 12
_ID_DIGITS: Final = 16


def webhook_owner(webhook_id: UUID) -> str:
    """Return the owner of a webhook's secrets."""
    return f"webhook {webhook_id}"


class Keyring:
    """The keys of a process: the first encrypts, all decrypt. Without any, secrets are stored as they are."""

    def __init__(self, keys: Sequence[bytes] = ()) -> None:
        self._keys = {_id_of(key): key for key in keys}
        self._ciphers: dict[str, AESGCM] = {}

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """Read the keys of a file, if there is one. Raises `ConfigurationError`."""
        return cls(() if path is None else read_keys(path))

    @property
    def ids(self) -> list[str]:
        """The ids of the keys, the one that encrypts first. They reveal nothing of the keys."""
        return list(self._keys)

    @property
    def form(self) -> str:
        """What a secret begins with as it is stored now."""
        return f"{_FORM}{self.ids[0]}:" if self._keys else PREFIX

    def encrypted(self, secret: str, owner: str) -> str:
        """Return a secret as it is stored."""
        if not self._keys:
            return secret
        nonce = secrets.token_bytes(_NONCE_BYTES)
        sealed = self._cipher(self.ids[0]).encrypt(nonce, secret.encode(), _bound_to(owner))
        return self.form + b64encode(nonce + sealed).decode()

    def decrypted(self, stored: str, owner: str) -> str:
        """Return a secret that is stored.

        Raises:
            SecretUnreadable: the key that it is encrypted with is missing, or it was changed.
        """
        if not stored.startswith(_FORM):
            return stored
        key_id, _, text = stored.removeprefix(_FORM).partition(":")
        if key_id not in self._keys:
            raise SecretUnreadable(owner, f"key {key_id} is not in TASKMILL_SECRETS_KEY_FILE")
        try:
            sealed = b64decode(text, validate=True)
            return self._open(key_id, sealed, owner)
        except (binascii.Error, ValueError):
            raise SecretUnreadable(owner, f"it is not what key {key_id} has encrypted") from None

    def _open(self, key_id: str, sealed: bytes, owner: str) -> str:
        from cryptography.exceptions import InvalidTag  # noqa: PLC0415 - see above

        nonce, ciphertext = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
        try:
            return self._cipher(key_id).decrypt(nonce, ciphertext, _bound_to(owner)).decode()
        except InvalidTag:
            raise ValueError("changed") from None

    def _cipher(self, key_id: str) -> "AESGCM":
        if key_id not in self._ciphers:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415 - see above

            self._ciphers[key_id] = AESGCM(self._keys[key_id])
        return self._ciphers[key_id]


def _id_of(key: bytes) -> str:
    return sha256(b"taskmill key id" + key).hexdigest()[:_ID_DIGITS]


def _bound_to(owner: str) -> bytes:
    return f"taskmill {_FORM}{owner}".encode()
