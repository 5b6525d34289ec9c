"""What the OpenAPI documents say about a response, compared with the one that came."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote_to_bytes

import jsonschema_rs
import orjson

from tests.fuzz.exchange import Request, Response

_PROBLEM = "application/problem+json"
# What any address may respond with that is not in the documents: pages, and what has no operation.
# They store nothing; a login link makes its maker a session, which may read what the key may.
_FOR_READERS = frozenset({"POST /login-links", "POST /schedules/preview"})
_WITHOUT_OPERATION = frozenset({400, 401, 403, 404, 405, 408, 409, 413, 415, 421, 422, 429})
# Problems; those of the legacy API; and pages.
_REFUSED_WITH = frozenset({_PROBLEM, "application/json", "text/html"})
_PARAMETER = re.compile(r"\\\{[^/]+?\\\}")


@dataclass(slots=True)
class Operation:
    """An operation of a document."""

    name: str
    responses: dict[str, Any]
    is_open: bool
    components: dict[str, Any]
    validators: dict[tuple[str, str], Any] = field(default_factory=dict)

    def described(self, status: int) -> Any:  # noqa: ANN401 - JSON
        """Return what is said about a status, None if nothing is."""
        return self.responses.get(str(status))

    def validator(self, status: int, media_type: str) -> Any:  # noqa: ANN401 - the library names no type for all
        """Return the compiled schema of a documented response."""
        key = (str(status), media_type)
        if key not in self.validators:
            schema = self.responses[key[0]]["content"][media_type].get("schema", {})
            whole = {**schema, "components": self.components}
            self.validators[key] = jsonschema_rs.validator_for(whole)
        return self.validators[key]


class Documents:
    """The operations of documents, by the addresses that they are found at."""

    def __init__(self, documents: Mapping[str, Any]) -> None:
        self._paths: list[tuple[re.Pattern[str], dict[str, Operation]]] = []
        for document in documents.values():
            self._add(document)
        # A fixed path goes before one with parameters.
        self._paths.sort(key=lambda path: path[0].pattern.count("[^/]"))

    def operation(self, request: Request) -> Operation | None:
        """Return the operation of a request. A fixed path hides those with parameters, as in OpenAPI."""
        path = unquote_to_bytes(request.target.partition(b"?")[0]).decode(errors="replace")
        method = "get" if request.method == b"HEAD" else request.method.decode().lower()
        for pattern, operations in self._paths:
            if pattern.fullmatch(path):
                return operations.get(method)
        return None

    def violations(self, request: Request, response: Response, role: str) -> Iterator[str]:
        """Yield what the documents do not allow about a response."""
        operation = self.operation(request)
        if response.status >= 500 and not _is_expected_503(operation, response):
            yield f"{_name(operation)}: status {response.status}"
        elif operation is None:
            yield from _without_operation(response)
        else:
            yield from _of_operation(operation, request, response)
            yield from _beyond_role(operation, request, response, role)

    def _add(self, document: Any) -> None:  # noqa: ANN401 - JSON
        for path, operations in document["paths"].items():
            pattern = re.compile(_PARAMETER.sub("[^/]+", re.escape(path)), re.DOTALL)
            made = {
                method: Operation(
                    name=f"{method.upper()} {path}",
                    responses=operation["responses"],
                    is_open=operation.get("security", document.get("security")) in (None, []),
                    components=document.get("components", {}),
                )
                for method, operation in operations.items()
            }
            self._paths.append((pattern, made))


def _name(operation: Operation | None) -> str:
    return operation.name if operation else "no operation"


def _is_expected_503(operation: Operation | None, response: Response) -> bool:
    is_known = response.status == 503 and operation is not None and operation.described(503)
    return bool(is_known) and response.media_type == _PROBLEM and b'"detail":"' in response.body


def _without_operation(response: Response) -> Iterator[str]:
    """A target of no operation is refused, or it is one of the pages, which no document describes."""
    if response.status < 400:
        return
    if response.status not in _WITHOUT_OPERATION:
        yield f"no operation: status {response.status}"
    elif response.body and response.media_type not in _REFUSED_WITH:
        yield f"no operation: {response.status} with {response.media_type or 'no media type'}"


def _of_operation(operation: Operation, request: Request, response: Response) -> Iterator[str]:
    described = operation.described(response.status)
    if described is None:
        yield f"{operation.name}: undocumented status {response.status}"
        return
    if "x-request-id" not in response.headers:
        yield f"{operation.name}: {response.status} without X-Request-Id"
    content = described.get("content", {})
    if request.method == b"HEAD" or not (content or response.body):
        return
    if response.media_type not in content:
        yield f"{operation.name}: {response.status} with undocumented media type {response.media_type!r}"
    elif response.media_type.endswith("json") and response.media_type.startswith("application/"):
        yield from _of_body(operation, response)


def _of_body(operation: Operation, response: Response) -> Iterator[str]:
    if response.media_type.endswith("ndjson") or response.headers.get("content-encoding"):
        return
    try:
        value = orjson.loads(response.body)
    except orjson.JSONDecodeError:
        yield f"{operation.name}: {response.status} with a body that is not JSON"
        return
    validator = operation.validator(response.status, response.media_type)
    if (error := next(validator.iter_errors(value), None)) is not None:
        path = "/".join("*" if isinstance(part, int) else str(part) for part in error.schema_path)
        yield f"{operation.name}: {response.status} does not fit its schema at {path}"


def _beyond_role(
    operation: Operation, request: Request, response: Response, role: str
) -> Iterator[str]:
    if response.status < 400 and role == "none" and not operation.is_open:
        yield f"{operation.name}: {response.status} without a key"
    is_change = request.method not in {b"GET", b"HEAD"} and operation.name not in _FOR_READERS
    if response.status < 300 and role == "reader" and is_change:
        yield f"{operation.name}: {response.status} for a key that may only read"
