"""Turns SIGINT, SIGTERM and SIGHUP into a stop event; a Ctrl-C after that ends the process at once."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache

from taskmill.observability.logs import get_logger

log = get_logger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_on_signal(on_force_quit: Sequence[Callable[[], None]] = ()) -> Iterator[asyncio.Event]:
    """Yield an event that the first SIGINT, SIGTERM or SIGHUP (a closed terminal) sets.

    SIGHUP stays ignored where it is, as under nohup. A SIGINT that is not the first signal ends the process
    without cleaning up, after `on_force_quit`: that is like a crash, which leases cover. Another SIGTERM or SIGHUP
    changes nothing until the process ends, because many signals come twice: systemd signals a whole group, and a
    supervisor in it signals its processes again; a terminal and its shell both send one; and Linux may send a
    parent's death signal once for each of its threads. SIGKILL still ends the process.
    """
    loop = asyncio.get_running_loop()
    stop, was_signalled = asyncio.Event(), False

    def on_signal(number: signal.Signals) -> None:
        # Not `stop.is_set()`: others may set it, too, and the first signal must not force an exit then.
        nonlocal was_signalled
        if was_signalled:
            if number is signal.SIGINT:
                for do in on_force_quit:
                    do()
                os._exit(128 + number)
            return
        was_signalled = True
        log.info("process.stopping", signal=number.name)
        stop.set()

    _keep_from_forked_children()
    # A shell's background jobs start with SIGINT ignored as well, but it is sent on purpose.
    hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    handled = [number for number in _SIGNALS if number is not signal.SIGHUP or hangs_up]
    for number in handled:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield stop
    finally:
        for number in handled:
            loop.remove_signal_handler(number)
            if was_signalled and number is not signal.SIGINT:
                # It must not interrupt what is done before the process ends. Not SIG_IGN: child processes would
                # inherit that.
                signal.signal(number, lambda *_: None)


@cache
def _keep_from_forked_children() -> None:
    """Keep our signals from children until they are programs of their own: they would report them as ours.

    A terminal's Ctrl-C goes to its whole group, in which a child is until it has a session of its own. Between
    fork and exec it also has Python's handler, which writes to our event loop's pipe: a Ctrl-C would count twice.
    """
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS),
        after_in_parent=_unblock,
        after_in_child=_stop_reporting,
    )


def _stop_reporting() -> None:
    signal.set_wakeup_fd(-1)
    _unblock()


def _unblock() -> None:
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
