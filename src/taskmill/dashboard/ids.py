"""Reads ids in addresses and forms: one spelling only."""

from uuid import UUID

from taskmill.domain.errors import InvalidInput
from taskmill.wire.wording import describe

_LENGTH = 36


def find_id(text: str) -> UUID | None:
    """Parse an id; None when the text is not one, or has braces, or no hyphens."""
    if len(text) != _LENGTH:
        return None
    try:
        found = UUID(text)
    except ValueError:
        return None
    return found if str(found) == text.lower() else None


def parse_id(text: str, pointer: str) -> UUID:
    """Parse an id. Raises `InvalidInput`."""
    found = find_id(text)
    if found is None:
        raise InvalidInput.at(
            pointer, "an id: a UUID of 36 characters", describe(text, reveal=True)
        )
    return found
