"""The exceptions by which a handler ends its attempt; any other exception is a failure that may be retried.

Exception
├── RetryLater              the attempt failed; the next one may follow after a time that the handler chooses
├── PermanentFailure        the task failed, and no further attempt would help
│   └── PayloadRefused      the payload does not fit the handler's parameters
└── Stopped                 the handler stopped because it was asked to

An exception may have a `fingerprint`, a text of at most 200 characters: all failures with the same one are of one
kind, wherever they were raised and whatever their messages. Any exception may have that attribute.
"""

from datetime import timedelta


class RetryLater(Exception):
    """The attempt failed; try again `after` this time, or by the task's policy if it is None.

    A number is seconds. A negative time counts as 0, and more than 365 days as 365 days.
    """

    def __init__(
        self,
        message: str = "",
        *,
        after: timedelta | float | None = None,
        fingerprint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.fingerprint = fingerprint
        self.after = timedelta(seconds=after) if isinstance(after, int | float) else after


class PermanentFailure(Exception):
    """The task failed, and no further attempt would help."""

    def __init__(self, *args: object, fingerprint: str | None = None) -> None:
        super().__init__(*args)
        self.fingerprint = fingerprint


class PayloadRefused(PermanentFailure):
    """The payload does not fit the handler's parameters; the message has the place, and what was expected."""


class Stopped(Exception):
    """The handler ends unfinished because it was asked to stop (`Context.raise_if_cancelled`)."""
