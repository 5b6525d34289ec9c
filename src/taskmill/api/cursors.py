"""Cursors: where the next page of a listing begins, in a text that fits no other listing."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final
from uuid import UUID

from taskmill.domain.errors import BadCursor

DIGEST_BYTES: Final = 8
_ID_BYTES: Final = 16


def encode(after: UUID, digest: bytes, *more: UUID) -> str:
    """Return the text that leads to what follows `after` in the listing that `digest` tells apart."""
    return urlsafe_b64encode(b"".join(one.bytes for one in (after, *more)) + digest).decode()


def decode(text: str, digest: bytes) -> UUID:
    """Return where a cursor leads to. Raises `BadCursor`."""
    return decode_all(text, digest, count=1)[0]


def decode_all(
    text: str, digest: bytes, *, count: int, pointer: str = "query:cursor"
) -> tuple[UUID, ...]:
    """Return the `count` ids that a cursor was made of; it came at `pointer`. Raises `BadCursor`."""
    try:
        token = urlsafe_b64decode(text.encode("ascii"))
    except ValueError:
        raise BadCursor(pointer=pointer) from None
    if len(token) != count * _ID_BYTES + DIGEST_BYTES:
        raise BadCursor(pointer=pointer)
    ids = [UUID(bytes=token[n * _ID_BYTES :][:_ID_BYTES]) for n in range(count)]
    # The text as a whole: the decoder passes over characters that mean nothing.
    if encode(ids[0], digest, *ids[1:]) != text:
        raise BadCursor("one of a listing with other filters or another order", pointer=pointer)
    return tuple(ids)
