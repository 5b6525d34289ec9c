"""Takes log lines at the speed of memory and writes them from a thread of its own.

The caller never waits for the stream: a slow reader costs memory up to a bound and then lines (they
are counted and the count is logged), a closed one costs all that follow. It knows bytes, not what they mean.
"""

import errno
import io
import os
import select
import threading
from collections import deque
from typing import Protocol, TextIO

_PAUSE_S = 0.05
_CROWDED_LINES = 2_000
# Some 15 MB of common lines: three seconds of a worker at full speed.
_MOST_LINES = 50_000
_GONE = frozenset({errno.EPIPE, errno.EBADF, errno.ECONNRESET, errno.EIO})


class Output(Protocol):
    """What lines are written to; it loses those that it can't write."""

    def put(self, data: bytes, /) -> None:
        """Write whole lines."""
        ...

    def close(self) -> None:
        """Write nothing more."""
        ...


class Sink:
    """A buffer of lines in front of an output.

    Lines keep their order. They are written every 50 ms at most, at once after `write_now` and when
    many wait. What is still in memory is lost when the process is killed.
    """

    def __init__(self, output: Output) -> None:
        self._lines: deque[bytes] = deque()
        self._flushes: deque[threading.Event] = deque()
        self._output = output
        self._pending = False
        self._closing = False
        self._dropped = 0
        self._wake = threading.Event()
        self._hurry = threading.Event()
        self._thread = threading.Thread(target=self._run, name="taskmill-logs", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Add a line, which ends in a newline; never blocks, never raises."""
        lines = self._lines
        if len(lines) >= _CROWDED_LINES:
            self._hurry.set()
            if len(lines) >= _MOST_LINES:
                self._dropped += 1
                return
        lines.append(line)
        if not self._pending:
            self._pending = True
            self._wake.set()

    def write_now(self, line: bytes) -> None:
        """Add a line and have everything so far written at once; does not wait for it."""
        self.write(line)
        self._hurry.set()

    def flush(self, timeout_s: float) -> bool:
        """Wait until everything so far is written; False when the stream took too long."""
        done = threading.Event()
        self._flushes.append(done)
        self._hurry.set()
        self._wake.set()
        return done.wait(timeout_s)

    def close(self, timeout_s: float = 1.0) -> None:
        """Write what is buffered, for `timeout_s` at most, and end the thread."""
        self._closing = True
        self._hurry.set()
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not self._closing:
            self._wake.wait()
            self._hurry.wait(_PAUSE_S)
            # In this order: a line added after the flag is down raises it again and wakes the next
            # round; one added before is in the buffer and goes out with this round.
            self._hurry.clear()
            self._wake.clear()
            self._pending = False
            self._drain()
        self._drain()
        self._output.close()

    def _drain(self) -> None:
        flushes = [self._flushes.popleft() for _ in range(len(self._flushes))]
        lines = [self._lines.popleft() for _ in range(len(self._lines))]
        if self._dropped and len(self._lines) < _CROWDED_LINES:
            lines.append(b'{"level":"warning","event":"log.dropped","lines":%d}\n' % self._dropped)
            self._dropped = 0
        if lines:
            self._output.put(b"".join(lines))
        for done in flushes:
            done.set()


class StreamOutput:
    """A stream, which may block, break, or have no file behind it."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._fd: int | None = None
        self._is_gone = False
        try:
            # A duplicate: once the stream is closed, its number may be reused for a socket.
            self._fd = os.dup(stream.fileno())
        except (OSError, ValueError, io.UnsupportedOperation):
            return

    def put(self, data: bytes) -> None:
        """Write all of `data`, or give up: a full disk costs these lines, a closed pipe all that follow."""
        if self._is_gone:
            return
        try:
            if self._fd is None:
                self._stream.write(data.decode())
                self._stream.flush()
            else:
                _write_all(self._fd, data)
        except ValueError:
            self._is_gone = True
        except OSError as error:
            self._is_gone = error.errno in _GONE

    def close(self) -> None:
        """Close the descriptor; the stream belongs to its owner."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def _write_all(fd: int, data: bytes) -> None:
    remaining = memoryview(data)
    while remaining:
        try:
            remaining = remaining[os.write(fd, remaining) :]
        except BlockingIOError:  # a terminal that another program made non-blocking
            select.select([], [fd], [], 1.0)
