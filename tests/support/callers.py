"""Calls as a request of some address."""

from collections.abc import Iterator
from contextlib import contextmanager

from taskmill.runtime.offload import Caller, caller


@contextmanager
def called_by(host: str) -> Iterator[Caller]:
    """Make what is called, and the tasks that begin, those of a request from `host`."""
    token = caller.set(current := Caller(host=host))
    try:
        yield current
    finally:
        caller.reset(token)
