"""Cursors: where the next page of a listing begins, in a text that fits no other listing."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final
from uuid import UUID

from taskmill.domain.errors import BadCursor

DIGEST_BYTES: Final = 8
_ID_BYTES: Final = 16


def encode(after: UUID, digest: bytes) -> str:
    """Return the text that leads to what follows `after` in the listing that `digest` tells apart."""
    return urlsafe_b64encode(after.bytes + digest).decode()


def decode(text: str, digest: bytes) -> UUID:
    """Return where a cursor leads to. Raises `BadCursor`."""
    try:
        token = urlsafe_b64decode(text.encode("ascii"))
    except ValueError:
        raise BadCursor from None
    if len(token) != _ID_BYTES + DIGEST_BYTES:
        raise BadCursor
    after = UUID(bytes=token[:_ID_BYTES])
    # The text as a whole: the decoder passes over characters that mean nothing.
    if encode(after, digest) != text:
        raise BadCursor("one of a listing with other filters or another order")
    return after
