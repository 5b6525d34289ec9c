"""What a handler may raise to say how its attempt ends; any other exception is a failure that may be retried.

Exception
├── RetryLater              the attempt failed; another one may follow after a time of the handler's choice
├── PermanentFailure        the task failed, and no further attempt can help
│   └── PayloadRefused      the payload does not fit the handler's parameters
└── Stopped                 the handler stopped because it was asked to
"""

from datetime import timedelta


class RetryLater(Exception):
    """The attempt failed; try again `after` that long, by the task's policy when None.

    A number is seconds. Less than nothing is at once, and more than 365 days are 365 days.
    """

    def __init__(self, message: str = "", *, after: timedelta | float | None = None) -> None:
        super().__init__(message)
        self.after = timedelta(seconds=after) if isinstance(after, int | float) else after


class PermanentFailure(Exception):
    """The task failed, and no further attempt can help."""


class PayloadRefused(PermanentFailure):
    """The payload does not fit the handler's parameters; the message says where, and what was expected."""


class Stopped(Exception):
    """The handler ends unfinished because it was asked to stop (`Context.raise_if_cancelled`)."""
