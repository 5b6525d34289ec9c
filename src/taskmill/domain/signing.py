"""Signing secrets of Standard Webhooks. Nothing is signed here."""

import binascii
from base64 import b64decode, b64encode
from typing import Final

PREFIX: Final = "whsec_"
MASKED: Final = f"{PREFIX}***"
NEW_BYTES: Final = 32

_SIZES: Final = range(24, 65)


def is_secret(text: str) -> bool:
    """Return whether a text is a secret: `whsec_` and 24 to 64 bytes in Base64."""
    if not text.startswith(PREFIX):
        return False
    try:
        return len(b64decode(text.removeprefix(PREFIX), validate=True)) in _SIZES
    except (binascii.Error, ValueError):
        return False


def secret_of(randomness: bytes) -> str:
    """Return the secret made of `NEW_BYTES` random bytes."""
    return PREFIX + b64encode(randomness).decode()
