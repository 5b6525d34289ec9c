"""A consumer of all changes: a queue bound to everything, whose messages it acknowledges a hundred at a time.

It reads the frames of AMQP itself. A client library for Python uses more of the machine for taking a change than
Taskmill for publishing it, and what is measured shares the machine.

Of every tenth it notes how late it came, by this machine's clock, against PostgreSQL's time of the change: the
start of its transaction. Another file says, at the end, how many to expect; the result is written when they have
come.
"""

import argparse
import json
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from pamqp import commands, frame
from pamqp.base import Frame

from taskmill.amqp.names import EVENTS_EXCHANGE

_PREFETCH: Final = 1000
_ACKED_AT_ONCE: Final = 100
_NOTED: Final = 10
_AT: Final = b'"time":"'
_AT_LENGTH: Final = len("2026-11-25T01:23:32.820000Z")
_POLL_S: Final = 0.2
# What arrives meanwhile is read at once.
_PAUSE_S: Final = 0.02
_QUIET_S: Final = 2.0
_QUEUE: Final = "changes"
# A frame: its kind, channel and size; then as many bytes, and one that ends it.
_HEAD: Final = struct.Struct(">BHI")
_BODY: Final = 3
_RECEIVED_AT_ONCE: Final = 1 << 18


class ChangeConsumer:
    """How many messages came, and of some: when (Unix seconds), and how many ms after their change."""

    def __init__(self, url: str) -> None:
        self.messages = 0
        self.delays: list[tuple[float, float]] = []
        self._acked = 0
        address = urlsplit(url)
        self._socket = socket.create_connection((address.hostname, address.port))
        self._socket.settimeout(_POLL_S)
        self._buffer = bytearray()
        self._log_in(
            address.username or "", address.password or "", unquote(address.path[1:]) or "/"
        )
        self._bind()

    def _log_in(self, user: str, password: str, vhost: str) -> None:
        self._socket.sendall(b"AMQP\x00\x00\x09\x01")
        self._receive()
        self._call(commands.Connection.StartOk(response=f"\0{user}\0{password}"))
        # Without heartbeats.
        self._send(commands.Connection.TuneOk(channel_max=1, frame_max=1 << 17, heartbeat=0))
        self._call(commands.Connection.Open(vhost))
        self._call(commands.Channel.Open(), channel=1)

    def _bind(self) -> None:
        for command in (
            commands.Basic.Qos(prefetch_count=_PREFETCH),
            commands.Exchange.Declare(
                exchange=EVENTS_EXCHANGE, exchange_type="topic", durable=True
            ),
            commands.Queue.Declare(queue=_QUEUE, durable=True),
            commands.Queue.Bind(queue=_QUEUE, exchange=EVENTS_EXCHANGE, routing_key="#"),
            commands.Basic.Consume(queue=_QUEUE),
        ):
            self._call(command, channel=1)

    def until(self, end: Path) -> None:
        """Take messages until as many have come as this file says, and nothing more has for a while."""
        quiet_since = time.monotonic()
        while (
            not end.exists()
            or self.messages < int(end.read_text())
            or time.monotonic() < quiet_since + _QUIET_S
        ):
            before = self.messages
            time.sleep(_PAUSE_S)
            self._fill()
            for body in self._bodies():
                self._take(body)
            if self.messages != before:
                quiet_since = time.monotonic()
            if self.messages - self._acked >= (_ACKED_AT_ONCE if self.messages != before else 1):
                self._send(commands.Basic.Ack(self.messages, multiple=True), channel=1)
                self._acked = self.messages

    def _take(self, body: bytes) -> None:
        self.messages += 1
        if self.messages % _NOTED == 0:
            now, start = time.time(), body.index(_AT) + len(_AT)
            at = datetime.fromisoformat(body[start : start + _AT_LENGTH].decode())
            self.delays.append((now, (now - at.timestamp()) * 1000))

    def _bodies(self) -> Iterator[bytes]:
        """Take whole frames out of the buffer, and return the bodies of messages: each is in one frame."""
        start = 0
        while len(self._buffer) >= start + _HEAD.size:
            kind, _, size = _HEAD.unpack_from(self._buffer, start)
            first, last = start + _HEAD.size, start + _HEAD.size + size
            if last >= len(self._buffer):
                break
            if kind == _BODY:
                yield bytes(self._buffer[first:last])
            start = last + 1
        del self._buffer[:start]

    def _call(self, command: Frame, *, channel: int = 0) -> None:
        self._send(command, channel=channel)
        self._receive()

    def _send(self, command: Frame, *, channel: int = 0) -> None:
        self._socket.sendall(frame.marshal(command, channel))

    def _receive(self) -> None:
        """Wait for one frame, and drop it; a refusal ends the connection, which is noticed at the next."""
        while len(self._buffer) < _HEAD.size or len(self._buffer) < self._first_size():
            self._fill()
        del self._buffer[: self._first_size()]

    def _first_size(self) -> int:
        return int(_HEAD.unpack_from(self._buffer)[2]) + _HEAD.size + 1

    def _fill(self) -> None:
        """Add what arrives within a moment to the buffer. Raises `ConnectionError` when the broker has closed."""
        with suppress(TimeoutError):
            received = self._socket.recv(_RECEIVED_AT_ONCE)
            if not received:
                raise ConnectionResetError("the broker closed the connection")
            self._buffer += received


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True)
    parser.add_argument("--done", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    options = parser.parse_args()
    consumer = ChangeConsumer(options.url)
    options.ready_file.write_text("{}")
    consumer.until(options.done.with_suffix(".end"))
    draft = options.done.with_suffix(".draft")
    draft.write_text(json.dumps({"messages": consumer.messages, "delays": consumer.delays}))
    draft.replace(options.done)


if __name__ == "__main__":
    main()
