"""Cursors: where the next page of a listing begins, as a text that is valid for no other listing."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final
from uuid import UUID

from taskmill.domain.errors import BadCursor

DIGEST_BYTES: Final = 8
_ID_BYTES: Final = 16


def encode(after: UUID, digest: bytes, *more: UUID) -> str:
    """Return the cursor to what follows `after` in the listing that has this `digest`."""
    return urlsafe_b64encode(b"".join(one.bytes for one in (after, *more)) + digest).decode()


def decode(text: str, digest: bytes) -> UUID:
    """Return the id in a cursor. Raises `BadCursor`."""
    return decode_all(text, digest, count=1)[0]


def decode_all(
    text: str, digest: bytes, *, count: int, pointer: str = "query:cursor"
) -> tuple[UUID, ...]:
    """Return the `count` ids in a cursor that came at `pointer`. Raises `BadCursor`."""
    try:
        token = urlsafe_b64decode(text.encode("ascii"))
    except ValueError:
        raise BadCursor(pointer=pointer) from None
    if len(token) != count * _ID_BYTES + DIGEST_BYTES:
        raise BadCursor(pointer=pointer)
    ids = [UUID(bytes=token[n * _ID_BYTES :][:_ID_BYTES]) for n in range(count)]
    # Compare the whole text: the decoder ignores characters outside its alphabet.
    if encode(ids[0], digest, *ids[1:]) != text:
        raise BadCursor("one of a listing with other filters or another order", pointer=pointer)
    return tuple(ids)
