"""What every request needs, by the fast path or the layers: id, log line, metrics, responses to errors."""

import itertools
import re
import secrets
from collections.abc import Callable
from time import perf_counter
from typing import Final

from taskmill.api.refusals import error_response, is_expected
from taskmill.api.responses import RawResponse
from taskmill.domain.api_keys import without_secrets
from taskmill.domain.errors import Unavailable
from taskmill.observability.kinds import OTHER
from taskmill.observability.logs import get_logger, leaves_out_reads
from taskmill.observability.metrics import REQUEST_TIME, REQUESTS, REQUESTS_IN_FLIGHT
from taskmill.runtime.offload import Offload

log = get_logger(__name__)

REQUEST_ID: Final = "X-Request-Id"
ID_HEADER: Final = b"x-request-id"
"""The header with a request's id, which its client may choose."""

_VALID_ID: Final = re.compile(rb"[A-Za-z0-9._:/+=@-]{1,128}")
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_READING: Final = frozenset({"GET", "HEAD"})
_QUIET_PATHS: Final = frozenset({"/healthz", "/readyz", "/metrics"})
_CLASSES: Final = ("0xx", "1xx", "2xx", "3xx", "4xx", "5xx")
_GONE: Final = "gone"
_FIRST_ERROR: Final = 400
_RETRY_AFTER_S: Final = 1.0
_UNKNOWN_INTERVAL_S: Final = 0.1


class RequestRecords:
    """The requests of one app; each has `timeout_s` seconds."""

    def __init__(self, offload: Offload, *, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        # The prefix is unique among processes, the counter within one. Cheaper than randomness for every request.
        ids = map(f"{secrets.token_hex(5)}{{:06x}}".format, itertools.count(1))
        self.next_id: Callable[[], str] = ids.__next__
        self.offload = offload
        self.in_flight = 0
        self._unknown_logged_at = float("-inf")
        REQUESTS_IN_FLIGHT.watch(self, RequestRecords._sample)

    def may_log_unknown(self) -> bool:
        """Return whether a read of an unknown path may be logged: clients that try paths try very many."""
        now = perf_counter()
        if now - self._unknown_logged_at < _UNKNOWN_INTERVAL_S:
            return False
        self._unknown_logged_at = now
        return True

    def _sample(self) -> dict[tuple[str, ...], float]:
        return {(): self.in_flight}


class RequestRecord:
    """One request that is being served: by the id that it came with, if that is valid, otherwise by a new one.

    `path` is printable, and secrets of API keys are cut out of it. `client` is an address as it may be logged, if
    there is one; `key_id` is the id of the API key that it has shown.
    """

    __slots__ = ("_records", "client", "header", "id", "key_id", "method", "path", "started")

    def __init__(
        self,
        records: RequestRecords,
        sent_id: bytes | None,
        method: str,
        path: str,
        client: str | None = None,
    ) -> None:
        self._records = records
        self.client = client
        is_valid = sent_id is not None and _VALID_ID.fullmatch(sent_id)
        self.id = without_secrets(sent_id.decode()) if sent_id and is_valid else records.next_id()
        self.header = (ID_HEADER, self.id.encode())
        self.method = method
        self.path = without_secrets(path)
        self.key_id: str | None = None
        self.started = perf_counter()

    def open(self) -> None:
        """Count it as being served."""
        self._records.in_flight += 1

    def close(self) -> None:
        """Count it as being served no longer, whatever became of it."""
        self._records.in_flight -= 1

    def served(
        self,
        route: str,
        status: int,
        *,
        task_id: str | None = None,
        is_timed: bool = True,
        was_offloaded: bool = False,
    ) -> None:
        """Count it by its route, as documented, and write its log line."""
        seconds = perf_counter() - self.started
        method = self._counted_method
        REQUESTS.add(1, (method, route, _CLASSES[status // 100]))
        if is_timed:
            REQUEST_TIME.observe(seconds, (method, route))
        if not was_offloaded:
            self._records.offload.responses += 1
        facts = {} if task_id is None else {"task_id": task_id}
        if self.key_id is not None:
            facts["api_key"] = self.key_id
        if self.client is not None:
            facts["client"] = self.client
        write = log.debug if self._is_quiet(route, status) else log.info
        write(
            "request.served",
            method=self.method,
            path=self.path,
            status=status,
            duration_ms=round(seconds * 1000, 2),
            request_id=self.id,
            **facts,
        )

    def abandoned(self, route: str) -> None:
        """Count it as one whose client left, and log that."""
        REQUESTS.add(1, (self._counted_method, route, _GONE))
        log.info("request.abandoned", method=self.method, path=self.path, request_id=self.id)

    def failed(self, error: Exception) -> None:
        """Log an error, unless it is one of those that requests are expected to meet."""
        if not is_expected(error):
            log.error(
                "request.failed",
                method=self.method,
                path=self.path,
                request_id=self.id,
                exc_info=error,
            )

    def late(self, error: TimeoutError | None = None) -> RawResponse:
        """Log that its time is up, and return the response."""
        facts = {} if error is None else {"error": repr(error)}
        log.warning("request.late", method=self.method, path=self.path, request_id=self.id, **facts)
        limit_s = self._records.timeout_s
        late = Unavailable(_RETRY_AFTER_S, f"a response within {limit_s:g} s")
        return error_response(late, self.path)

    @property
    def _counted_method(self) -> str:
        return self.method if self.method in _METHODS else OTHER

    def _is_quiet(self, route: str, status: int) -> bool:
        """Return whether its line is for debugging: that of a probe, and often that of a read, even of nothing."""
        if self.path in _QUIET_PATHS:
            return True
        if self.method not in _READING or not leaves_out_reads():
            return False
        return status < _FIRST_ERROR or (route == OTHER and not self._records.may_log_unknown())
