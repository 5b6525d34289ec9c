"""One connection to the broker that reconnects by itself, with one channel on it.

What is declared, consumed or published is up to its owner, who is called whenever a new channel opens. aio-pika's
"robust" connections restore consumers without the owner's knowledge; here the owner sees every channel, so it
never acknowledges a message on another channel than the one that delivered it.
"""

import asyncio
import os
import random
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Final

from aio_pika import Connection
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import AbstractChannel as DriverChannel
from aiormq.exceptions import (
    AMQPError,
    AuthenticationError,
    ChannelClosed,
    ProbableAuthenticationError,
)
from pamqp.common import FieldTable
from yarl import URL

from taskmill.amqp.driver import report_close_reasons
from taskmill.amqp.headers import accept_unreadable
from taskmill.domain.errors import BrokerAway
from taskmill.observability import metrics
from taskmill.observability.logs import get_logger
from taskmill.runtime.periodic import backoff_s, pause
from taskmill.runtime.waiting import first_of

log = get_logger(__name__)

# What the drivers raise when the broker is away, refuses something, or goes away during a call.
BROKER_ERRORS: Final = (AMQPError, OSError, RuntimeError, TimeoutError)

_NOT_TRIED: Final = "not connected yet"
_CONNECT_S = 5.0
_OPEN_S = 15.0
_CLOSE_S = 2.0
_CHANNEL_CLOSE_S = 0.2
_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
# A peer that is silent for about four of these is given up. With RabbitMQ's default that takes minutes.
_HEARTBEAT_S = 4

# Of the driver's, in the query of an address with TLS.
_FILES = ("cafile", "capath", "certfile", "keyfile")

_SECRETS = re.compile(r"//[^/@\s]*@")

Opened = Callable[[AbstractChannel], Awaitable[None]]


@asynccontextmanager
async def limited_on_channels(timeout_s: float) -> AsyncIterator[None]:
    """Limit what is done on side channels. Raises `TimeoutError`.

    Who leaves a channel waits until the broker has closed it. One that hangs does not: that wait is cut off, too.
    """
    async with asyncio.timeout(timeout_s + _CHANNEL_CLOSE_S), asyncio.timeout(timeout_s):
        yield


class _Start:
    """Whether something else in this process starts the broker, and reports on that."""

    is_expected = False


def expect_start() -> None:
    """Log failed connections of this process at debug level until the broker responds for the first time."""
    _Start.is_expected = True


async def _nothing_to_open(channel: AbstractChannel) -> None:
    """Do nothing: for links that only probe or publish."""


class BrokerLink:
    """A service that keeps one connection and one channel (with confirms) open until it is stopped.

    `opened` is called with every new channel, to declare and consume on it; when it raises, the link connects
    again. `lost` is called when a channel that was opened is gone.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str,
        opened: Opened = _nothing_to_open,
        lost: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = name
        self.trouble: str | None = _NOT_TRIED
        self.channel: AbstractChannel | None = None
        self.driver: DriverChannel | None = None
        self.server_version: tuple[int, ...] = ()
        self._connection: AbstractConnection | None = None
        self._addresses = addresses(url)
        self._opened = opened
        self._lost = lost
        self._broken = asyncio.Event()
        self._has_warned = False
        metrics.BROKER_UP.labels(name).set_function(lambda: float(self.is_up))

    @property
    def is_up(self) -> bool:
        """Whether there is a channel that `opened` has prepared."""
        return self.trouble is None

    @property
    def was_up(self) -> bool:
        """Whether a connection was ever made."""
        return bool(self.server_version)

    @property
    def has_tried(self) -> bool:
        """Whether a connection was made, or an attempt to make one failed."""
        return self.trouble != _NOT_TRIED

    def reopen(self) -> None:
        """Close the connection and make another: for an owner who finds it unusable."""
        self._broken.set()

    @asynccontextmanager
    async def side_channel(self) -> AsyncIterator[AbstractChannel]:
        """Open a channel for something that the broker may refuse: a refusal closes the channel.

        Raises:
            BrokerAway: there is no connection, or it was lost meanwhile.
            ChannelClosed: the broker refuses what was done on the channel.
        """
        connection = self._connection
        if connection is None:
            raise BrokerAway(self.trouble or "the connection was lost")
        try:
            async with asyncio.timeout(_OPEN_S), connection.channel() as channel:
                yield channel
        except ChannelClosed:
            raise
        except BROKER_ERRORS as error:
            raise BrokerAway(in_words(error)) from error

    async def run(self, stop: asyncio.Event) -> None:
        """Connect, and reconnect after every loss, until stopped."""
        failures = 0
        # Nodes of a cluster are tried one after the other, starting with a random one.
        number = random.randrange(len(self._addresses))  # noqa: S311 - spreads load, guards nothing
        while not stop.is_set():
            try:
                async with self._connected(self._addresses[number % len(self._addresses)]):
                    failures = 0
                    await first_of(self._broken, stop)
                    if not stop.is_set():
                        self._log_loss("the connection was lost", log.warning)
            except BROKER_ERRORS as error:
                # When everything starts at once the broker may be the last to listen.
                is_early = not self.server_version and isinstance(error, OSError)
                is_refused = isinstance(error, AuthenticationError | ProbableAuthenticationError)
                write = self._log_early if is_early and not is_refused else log.warning
                self._log_loss(in_words(error), write)
            number += 1
            if not stop.is_set():
                failures += 1
                if failures % len(self._addresses) == 0:
                    rounds = failures // len(self._addresses)
                    await pause(
                        stop, backoff_s(rounds - 1, first=_FIRST_PAUSE_S, longest=_LONGEST_PAUSE_S)
                    )

    @asynccontextmanager
    async def _connected(self, address: str) -> AsyncIterator[None]:
        self._broken.clear()
        connection = await connect(address, f"taskmill {self.name}")
        try:
            await self._open(connection)
            yield
        finally:
            # Not `is_up`: the loss has been logged by now.
            was_up = self.channel is not None
            self._connection = self.channel = self.driver = None
            self.trouble = self.trouble or "the connection was lost"
            if was_up:
                self._lost()
            await _close(connection)

    async def _open(self, connection: AbstractConnection) -> None:
        connection.close_callbacks.add(self._on_closed)
        self._connection = connection
        write = log.info if self.server_version else self._log_early
        self.server_version = server_version(connection)
        async with asyncio.timeout(_OPEN_S):
            channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
            channel.close_callbacks.add(self._on_closed)
            self.driver = await channel.get_underlay_channel()
            await self._opened(channel)
        self.channel = channel
        self.trouble = None
        self._has_warned = False
        write("broker.connected", link=self.name)

    @staticmethod
    def _log_early(event: str, **facts: str) -> None:
        (log.debug if _Start.is_expected else log.info)(event, **facts)

    def _on_closed(self, *_: object) -> None:
        self._broken.set()

    def _log_loss(self, trouble: str, write: Callable[..., None]) -> None:
        """Warn once that the broker is away; later failures are logged at info level."""
        if trouble != self.trouble:
            write = log.info if self._has_warned else write
            write("broker.away", link=self.name, trouble=trouble)
            self._has_warned = self._has_warned or write == log.warning
        self.trouble = trouble


async def connect(address: str, name: str) -> AbstractConnection:
    """Open a connection that the broker shows as `name`.

    Raises:
        AMQPError, OSError, TimeoutError: from the drivers; nothing is left open then.
    """
    accept_unreadable()
    report_close_reasons()
    properties: FieldTable = {"connection_name": name}
    _check_files(URL(address))
    connection = Connection(URL(address), client_properties=properties)
    try:
        async with asyncio.timeout(_CONNECT_S):
            await connection.connect()
    except BaseException:
        # Otherwise it would close itself whenever it is garbage collected.
        await _close(connection)
        raise
    return connection


def _check_files(address: URL) -> None:
    """Check that the files for TLS can be read: the driver's error does not name them. Raises `OSError`."""
    for name in _FILES:
        path = address.query.get(name)
        if path and not os.access(path, os.R_OK):
            raise FileNotFoundError(f"{name}={path} can't be read")


async def _close(connection: AbstractConnection) -> None:
    """Close a connection whose peer may never respond."""
    with suppress(*BROKER_ERRORS):
        async with asyncio.timeout(_CLOSE_S):
            await connection.close()


def addresses(url: str) -> list[str]:
    """Return the URL of each node of ``amqp://user:password@host:port,host:port/vhost``."""
    scheme, _, remainder = url.partition("://")
    location, question, query = remainder.partition("?")
    authority, slash, path = location.partition("/")
    credentials, at, hosts = authority.rpartition("@")
    if "heartbeat=" not in query:
        query = f"{query}&heartbeat={_HEARTBEAT_S}" if question else f"heartbeat={_HEARTBEAT_S}"
    return [
        f"{scheme}://{credentials}{at}{host}{slash or '/'}{path}?{query}"
        for host in hosts.split(",")
    ]


def user_of(url: str) -> str | None:
    """Return the user that an address logs in, None if it names none."""
    return URL(addresses(url)[0]).user


def vhost_of(url: str) -> str:
    """Return the virtual host that an address names: `/` if it names none."""
    return URL(addresses(url)[0]).path[1:].replace("%2F", "/") or "/"


def server_version(connection: AbstractConnection) -> tuple[int, ...]:
    """Return the server's version, empty if it reports none."""
    transport = connection.transport
    version = transport.connection.server_properties.get("version") if transport else None
    text = version.decode() if isinstance(version, bytes) else str(version or "")
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def in_words(error: BaseException) -> str:
    """Return an error's message, without the credentials that some messages contain."""
    text = str(error) or type(error).__name__
    return _SECRETS.sub("//***@", text)[:300]
