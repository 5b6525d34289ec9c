"""Messages that a broker forwards, and that no Python driver can read."""

import struct

from pamqp.commands import Basic


class Unreadable(Basic.Properties):
    """A single property, with the given bytes as its value."""

    def __init__(self, name: str, value: bytes) -> None:
        super().__init__()
        self._wire = struct.pack(">H", self.flags[name]) + value

    def marshal(self) -> bytes:
        return self._wire


class NotUtf8(str):
    """A text that is sent as bytes that are not UTF-8."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"
