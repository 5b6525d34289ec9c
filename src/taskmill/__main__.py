"""Runs the command line as ``python -m taskmill``."""

import signal

# Until commands can end in order there is nothing to put in order: Ctrl-C ends the imports without a traceback.
is_interruptible = signal.getsignal(signal.SIGINT) is signal.default_int_handler
if is_interruptible:
    signal.signal(signal.SIGINT, signal.SIG_DFL)

from taskmill.entry import main  # noqa: E402 - see above

if __name__ == "__main__":
    if is_interruptible:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    main()
