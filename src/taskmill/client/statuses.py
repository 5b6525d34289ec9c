"""What the service refuses, by HTTP status. Finer classes are in `client.refusals`."""

from typing import ClassVar, Final

from taskmill.client.errors import NotAccepted
from taskmill.wire.problems import Problem

_USUAL_PAUSE_S: Final = 1.0


class BadRequest(NotAccepted):
    """The request can't be read."""

    problem_type: ClassVar[str | None] = "/problems/bad-request"
    http_status: ClassVar[int | None] = 400


class Forbidden(NotAccepted):
    """The service takes no changes from pages of other sites, and the request seems to come from one."""

    problem_type: ClassVar[str | None] = "/problems/cross-site"
    http_status: ClassVar[int | None] = 403


class NotFound(NotAccepted):
    """There is no such thing; it may be past its retention."""

    http_status: ClassVar[int | None] = 404


class MethodNotAllowed(NotAccepted):
    """The address does not accept this method."""

    problem_type: ClassVar[str | None] = "/problems/method-not-allowed"
    http_status: ClassVar[int | None] = 405


class NotAcceptable(NotAccepted):
    """The service has no representation that the request accepts."""

    problem_type: ClassVar[str | None] = "/problems/not-acceptable"
    http_status: ClassVar[int | None] = 406


class RequestTimedOut(NotAccepted):
    """The service did not get the whole request in time."""

    problem_type: ClassVar[str | None] = "/problems/request-timeout"
    http_status: ClassVar[int | None] = 408


class Conflict(NotAccepted):
    """The state does not allow it."""

    http_status: ClassVar[int | None] = 409


class Gone(NotAccepted):
    """The requested data is deleted already."""

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
    """The body has a media type that the service does not take."""

    problem_type: ClassVar[str | None] = "/problems/unsupported-media-type"
    http_status: ClassVar[int | None] = 415


class Misdirected(NotAccepted):
    """The service does not accept requests under this host name: see `TASKMILL_API__ALLOWED_HOSTS`."""

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
    """The service failed; its log has the reason. It is unknown whether the request took effect."""

    problem_type: ClassVar[str | None] = "/problems/internal-error"
    http_status: ClassVar[int | None] = 500


class ServiceUnavailable(NotAccepted):
    """A part that the request needs is away for now."""

    problem_type: ClassVar[str | None] = "/problems/unavailable"
    http_status: ClassVar[int | None] = 503

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.retry_after_s: float = (
            _USUAL_PAUSE_S if problem.retry_after_s is None else problem.retry_after_s
        )
