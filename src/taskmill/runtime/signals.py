"""Turns SIGINT, SIGTERM and SIGHUP into a stop event; a Ctrl-C after that ends the process at once."""

import asyncio
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from taskmill.observability.logs import get_logger

log = get_logger(__name__)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_on_signal(on_force_quit: Sequence[Callable[[], None]] = ()) -> Iterator[asyncio.Event]:
    """Give an event that the first SIGINT, SIGTERM or SIGHUP (a closed terminal) sets.

    SIGHUP stays ignored where it is, as under nohup. A SIGINT that is not the first signal ends the process
    without cleaning up, after `on_force_quit`: what it leaves behind is what a crash leaves, which the leases
    cover. Another SIGTERM or SIGHUP changes nothing, for many come twice: where a service manager tells a whole
    group, as systemd does, a supervisor tells its processes again; a terminal and its shell both tell; and Linux
    may tell of a parent's end once for each of its threads. That holds until the process ends. Who insists has
    SIGKILL.
    """
    loop = asyncio.get_running_loop()
    stop, heard_before = asyncio.Event(), False

    def on_signal(number: signal.Signals) -> None:
        # Not `stop`: others may set that, too, and then the first signal asks for what goes on already.
        nonlocal heard_before
        if heard_before:
            if number is signal.SIGINT:
                for do in on_force_quit:
                    do()
                os._exit(128 + number)
            return
        heard_before = True
        log.info("process.stopping", signal=number.name)
        stop.set()

    # A shell's background jobs begin with SIGINT ignored, too; but whoever sends that one means it.
    hangs_up = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
    heard = [number for number in _SIGNALS if number is not signal.SIGHUP or hangs_up]
    for number in heard:
        loop.add_signal_handler(number, on_signal, number)
    try:
        yield stop
    finally:
        for number in heard:
            loop.remove_signal_handler(number)
            if heard_before and number is not signal.SIGINT:
                # What is still to be done before the process ends is not to be cut short, either. No SIG_IGN: the
                # programs that it starts would inherit that.
                signal.signal(number, lambda *_: None)
