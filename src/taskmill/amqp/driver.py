"""The private parts of the driver (aiormq) that are used, and why; pyproject.toml caps its version.

- `FutureStore.reject_all` ends calls under way with a bare `Exception` when the driver knows no reason, as when we
  close the connection ourselves. Catching that would also catch our own faults, and uncaught it ends the process.
- `_on_confirm_frame` looks for the future of a message, and `_on_return_frame` for the message among all futures.
  They are replaced on channels that publish in `batches`. The replacement of the latter reads the message with
  `_get_frame` and `_read_content`, as it must.
"""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiormq import spec
from aiormq.abc import ExceptionType
from aiormq.base import FutureStore
from aiormq.channel import Channel
from pamqp.header import ContentHeader

ConfirmFrame: TypeAlias = spec.Basic.Ack | spec.Basic.Nack

_reject_all = FutureStore.reject_all


class ConnectionGone(ConnectionError):
    """The connection or its channel was closed before the response arrived."""

    def __str__(self) -> str:
        return "the connection was closed"


def report_close_reasons() -> None:
    """Make the driver, in this whole process, end calls under way with `ConnectionGone` if it knows no reason."""
    FutureStore.reject_all = _reject_all_named  # type: ignore[method-assign]


def _reject_all_named(store: FutureStore, exception: ExceptionType | None) -> Awaitable[None]:
    return _reject_all(store, ConnectionGone if exception is None else exception)


def take_over_confirms(
    channel: Channel,
    on_confirm: Callable[[ConfirmFrame], Awaitable[None]],
    on_returned: Callable[[str | None], None],
) -> None:
    """Have a channel pass on its confirms, and the ids of returned messages."""

    async def on_return(frame: spec.Basic.Return) -> None:
        header = await channel._get_frame()  # noqa: SLF001 - see above
        if not isinstance(header, ContentHeader):
            raise TypeError(f"{header!r} instead of the header of a message")
        message = await channel._read_content(frame, header)  # noqa: SLF001 - see above
        on_returned(message.header.properties.message_id)

    channel._on_confirm_frame = on_confirm  # type: ignore[assignment,method-assign]  # noqa: SLF001 - see above
    channel._on_return_frame = on_return  # type: ignore[method-assign]  # noqa: SLF001 - see above
