"""The handler of type `http`: it sends the request that the payload describes, and returns the response.

A request is sent at least once: if a worker dies after sending it, another sends it again. Receivers recognize
duplicates by `webhook-id`.
"""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

import orjson
from pydantic import ValidationError

from taskmill.app import Context, PayloadRefused, PermanentFailure, RetryLater
from taskmill.outbound.client import Outbound
from taskmill.outbound.errors import AddressRefused, Unreachable
from taskmill.outbound.http_messages import Request, Response
from taskmill.outbound.responses import as_result, excerpt
from taskmill.outbound.retry_after import retry_after
from taskmill.outbound.signing import Signer
from taskmill.runtime.clock import Clock
from taskmill.wire.hops import hop_headers
from taskmill.wire.push import PushPayload, matches_status, push_violations
from taskmill.wire.urls import target_of

_JSON: Final = "application/json"
_TEXT: Final = "text/plain; charset=utf-8"
_SHOWN: Final = 200


class EndpointUnavailable(RetryLater):
    """The endpoint did not respond, or with a status that is worth a retry."""


class EndpointRefused(PermanentFailure):
    """The endpoint responded with a status that is no success and not worth a retry."""


class AddressForbidden(PermanentFailure):
    """The address may not be called."""


class Push:
    """Sends requests. What the payload does not specify comes from the settings.

    Of a response that is too large for a result (`result_bytes`) the body is left out: the task has done its work.
    """

    def __init__(
        self,
        outbound: Outbound,
        signer: Signer,
        clock: Clock,
        *,
        timeout_s: float,
        longest_wait: timedelta,
        result_bytes: int,
    ) -> None:
        self._outbound = outbound
        self._signer = signer
        self._clock = clock
        self._timeout_s = timeout_s
        self._longest_wait = longest_wait
        self._result_bytes = result_bytes

    async def __call__(self, context: Context) -> object:
        """Send the request and return the response.

        Raises:
            EndpointUnavailable: there was no response, or its status is in `retry_on`.
            EndpointRefused: its status is neither in `expect` nor in `retry_on`.
            AddressForbidden: the address may not be called.
            PayloadRefused: the payload does not describe a request.
        """
        try:
            push = PushPayload.model_validate(context.payload)
        except ValidationError:
            raise PayloadRefused("; ".join(map(str, push_violations(context.payload)))) from None
        response = await self._send(push, context)
        if matches_status(response.status, push.expect):
            return self._result(response)
        message = f"{target_of(push.url).origin} answered {response.status}{_excerpt(response)}"
        if matches_status(response.status, push.retry_on):
            value = response.headers.get("retry-after")
            after = retry_after(value, self._clock.now(), longest=self._longest_wait)
            raise EndpointUnavailable(message, after=after)
        raise EndpointRefused(message)

    async def _send(self, push: PushPayload, context: Context) -> Response:
        request = self._request(push, context)
        try:
            return await self._outbound.send(request, timeout_s=push.timeout_s or self._timeout_s)
        except AddressRefused as error:
            raise AddressForbidden(str(error)) from None
        except Unreachable as error:
            raise EndpointUnavailable(str(error)) from error

    def _request(self, push: PushPayload, context: Context) -> Request:
        body, kind = _body(push)
        task = context.task
        headers = {
            **({} if kind is None else {"Content-Type": kind}),
            **_normalized_headers(push.headers),
            **self._signer.headers(f"{task.id}-{task.run}", self._clock.now(), body),
            "Taskmill-Task-Id": str(task.id),
            "Taskmill-Run": str(task.run),
            "Taskmill-Attempt": str(task.attempt),
            "Taskmill-Claim-No": str(task.claim_no),
            **hop_headers(task.labels),
        }
        if task.traceparent is not None:
            headers["traceparent"] = task.traceparent
        return Request(url=push.url, method=push.method, headers=headers, body=body)

    def _result(self, response: Response) -> object:
        result = as_result(response)
        if len(orjson.dumps(result)) > self._result_bytes:
            return {**result, "body_is": "left_out", "body": None}
        return result


def _normalized_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with `Content-Type` spelled like ours, so that it replaces ours."""
    return {
        "Content-Type" if name.lower() == "content-type" else name: value
        for name, value in headers.items()
    }


def _body(push: PushPayload) -> tuple[bytes, str | None]:
    """Return the body and its content type."""
    if push.text is not None:
        return push.text.encode(), _TEXT
    if "body" in push.model_fields_set:
        return orjson.dumps(push.body), _JSON
    return b"", None


def _excerpt(response: Response) -> str:
    """Return the part of the response that helps to understand the task's error."""
    location = response.headers.get("location")
    if location is not None:
        return " with a Location: redirects are not followed"
    text = excerpt(response, _SHOWN)
    return f": {text}" if text else ""
