"""What a broker passes on, and no driver in Python can read."""

import struct

from pamqp.commands import Basic


class Unreadable(Basic.Properties):
    """Properties of one kind only, as the bytes that are given."""

    def __init__(self, name: str, value: bytes) -> None:
        super().__init__()
        self._wire = struct.pack(">H", self.flags[name]) + value

    def marshal(self) -> bytes:
        return self._wire


class NotUtf8(str):
    """A text that goes out as bytes which are not UTF-8."""

    __slots__ = ()

    def encode(self, *_: object) -> bytes:
        return b"\xff\xfe"
