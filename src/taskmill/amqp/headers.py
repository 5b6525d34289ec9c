"""Lets a message through whose properties can't be read, so that its consumer can refuse it.

The driver's decoder raises on what a broker passes on unseen: a text that is not UTF-8, a time beyond
the calendar, tables too deep to follow. That ends the connection, the message is delivered again, and
ends the next one, for ever. It judges nothing: consumers tell such a message by the kind of its header.
"""

import struct
from typing import Final

from pamqp import frame
from pamqp.header import ContentHeader

_FIXED: Final = struct.Struct(">HHQ")

_strict = frame._unmarshal_header_frame  # noqa: SLF001 - the driver has no place to put another decoder


class UnreadableHeader(ContentHeader):
    """A header of which only the body's size could be read."""

    trouble: str = ""


def accept_unreadable_headers() -> None:
    """Have the driver, in this whole process, hand on messages with unreadable properties."""
    frame._unmarshal_header_frame = _lenient  # noqa: SLF001 - see above


def _lenient(frame_data: bytes) -> ContentHeader:
    try:
        return _strict(frame_data)
    except Exception as error:  # noqa: BLE001 - whatever the decoder trips over, other messages wait behind it
        _, weight, body_size = _FIXED.unpack_from(frame_data)
        header = UnreadableHeader(weight=weight, body_size=body_size)
        header.trouble = str(error.__cause__ or error)[:200]
        return header
