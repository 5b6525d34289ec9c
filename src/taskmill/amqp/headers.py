"""Lets messages with undecodable headers through, so that their consumer can refuse them.

The driver's decoder raises on values that a broker forwards unchecked: text that is not UTF-8, times out of range,
tables nested too deeply. That closes the connection, the message is delivered again, and closes the next one, for
ever. Nothing is refused here: consumers recognize such a message by the class of its header.
"""

import struct
from typing import Final

from pamqp import frame
from pamqp.base import Frame
from pamqp.commands import Basic
from pamqp.exceptions import UnmarshalingException
from pamqp.header import ContentHeader

_FIXED: Final = struct.Struct(">HHQ")
_METHOD: Final = struct.Struct(">I")
_TAG: Final = struct.Struct(">QB")

# The driver offers no way to set other decoders.
_strict_header = frame._unmarshal_header_frame  # noqa: SLF001 - see above
_strict_method = frame._unmarshal_method_frame  # noqa: SLF001 - see above


class UnreadableHeader(ContentHeader):
    """A header from which only the body's size could be read."""

    trouble: str = ""


def accept_unreadable() -> None:
    """Make the driver, in this whole process, deliver messages with unreadable properties or routing keys."""
    frame._unmarshal_header_frame = _header  # noqa: SLF001 - see above
    frame._unmarshal_method_frame = _method  # noqa: SLF001 - see above


def _header(frame_data: bytes) -> ContentHeader:
    try:
        return _strict_header(frame_data)
    except Exception as error:  # noqa: BLE001 - whatever the decoder raises, other messages wait behind this one
        _, weight, body_size = _FIXED.unpack_from(frame_data)
        header = UnreadableHeader(weight=weight, body_size=body_size)
        header.trouble = str(error.__cause__ or error)[:200]
        return header


def _method(frame_data: bytes) -> Frame:
    """Decode a delivery whatever its routing key is: with a header `CC` a producer can choose any."""
    try:
        return _strict_method(frame_data)
    except UnmarshalingException:
        [method] = _METHOD.unpack_from(frame_data)
        if method != Basic.Deliver.index:
            raise
        return _delivery(frame_data[_METHOD.size :])


def _delivery(arguments: bytes) -> Basic.Deliver:
    consumer_tag, data = _text(arguments)
    delivery_tag, redelivered = _TAG.unpack_from(data)
    exchange, data = _text(data[_TAG.size :])
    routing_key, _ = _text(data)
    return Basic.Deliver(consumer_tag, delivery_tag, bool(redelivered & 1), exchange, routing_key)


def _text(data: bytes) -> tuple[str, bytes]:
    """Split a short string off; bytes that are not UTF-8 are escaped."""
    end = 1 + data[0]
    return data[1:end].decode(errors="backslashreplace"), data[end:]
