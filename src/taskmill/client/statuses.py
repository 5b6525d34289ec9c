"""What the service refuses, by the status of its answer. What more it says is `client.refusals`' duty."""

from typing import ClassVar, Final

from taskmill.client.errors import NotAccepted
from taskmill.wire.problems import Problem

_USUAL_PAUSE_S: Final = 1.0


class BadRequest(NotAccepted):
    """The request can't be read."""

    problem_type: ClassVar[str | None] = "/problems/bad-request"
    http_status: ClassVar[int | None] = 400


class Forbidden(NotAccepted):
    """The service takes no changes from pages of other sites, and takes this for one."""

    problem_type: ClassVar[str | None] = "/problems/cross-site"
    http_status: ClassVar[int | None] = 403


class NotFound(NotAccepted):
    """There is no such thing; it may be past its retention."""

    http_status: ClassVar[int | None] = 404


class MethodNotAllowed(NotAccepted):
    """The address does not take this method."""

    problem_type: ClassVar[str | None] = "/problems/method-not-allowed"
    http_status: ClassVar[int | None] = 405


class NotAcceptable(NotAccepted):
    """The answer has no form that was asked for."""

    problem_type: ClassVar[str | None] = "/problems/not-acceptable"
    http_status: ClassVar[int | None] = 406


class RequestTimedOut(NotAccepted):
    """The service did not get the whole request in time."""

    problem_type: ClassVar[str | None] = "/problems/request-timeout"
    http_status: ClassVar[int | None] = 408


class Conflict(NotAccepted):
    """Things are not in a state that allows it."""

    http_status: ClassVar[int | None] = 409


class Gone(NotAccepted):
    """What was asked for is no longer kept."""

    http_status: ClassVar[int | None] = 410


class TooLarge(NotAccepted):
    """The body is larger than the service takes."""

    problem_type: ClassVar[str | None] = "/problems/too-large"
    http_status: ClassVar[int | None] = 413

    @property
    def limit(self) -> int | None:
        """How many bytes it takes."""
        return self.problem.limit


class UriTooLong(NotAccepted):
    """The address is too long."""

    problem_type: ClassVar[str | None] = "/problems/uri-too-long"
    http_status: ClassVar[int | None] = 414


class UnsupportedMediaType(NotAccepted):
    """The body has a form that is not taken."""

    problem_type: ClassVar[str | None] = "/problems/unsupported-media-type"
    http_status: ClassVar[int | None] = 415


class Misdirected(NotAccepted):
    """The service is not known under the name that it was asked by: see `TASKMILL_API__ALLOWED_HOSTS`."""

    problem_type: ClassVar[str | None] = "/problems/unknown-host"
    http_status: ClassVar[int | None] = 421


class Unprocessable(NotAccepted):
    """The request was read, but can't be done as it is."""

    http_status: ClassVar[int | None] = 422


class HeadersTooLarge(NotAccepted):
    """The headers are too large."""

    problem_type: ClassVar[str | None] = "/problems/headers-too-large"
    http_status: ClassVar[int | None] = 431


class ServiceFailed(NotAccepted):
    """The service failed; its log tells why. Nothing is known of what was done."""

    problem_type: ClassVar[str | None] = "/problems/internal-error"
    http_status: ClassVar[int | None] = 500


class ServiceUnavailable(NotAccepted):
    """A part that the answer needs is away for now."""

    problem_type: ClassVar[str | None] = "/problems/unavailable"
    http_status: ClassVar[int | None] = 503

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.retry_after_s: float = (
            _USUAL_PAUSE_S if problem.retry_after_s is None else problem.retry_after_s
        )
