"""Cases made from the service's OpenAPI documents: valid and invalid requests for each operation.

Schemathesis makes a hundred cases a second at best, so that each is made once and sent many times, with changes.
"""

import multiprocessing
import random
import re
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings, strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from tests.fuzz.exchange import Request
from tests.fuzz.seeds import seeded

DOCUMENTS = ("/openapi.json", "/task_service/openapi.json")
_OWN = frozenset({"connection", "content-length", "host", "user-agent"})
_BASE = "http://127.0.0.1"
# Long pages cost time and say nothing new; a few are enough.
_LONG_PAGE = re.compile(rb"(?<=[?&]limit=)(\d)\d{1,3}(?=&|$)")
_SHARE_OF_LONG_PAGES = 0.02


def make_pool(documents: dict[str, Any], *, number: int, examples: int) -> list[Request]:
    """Make `examples` requests, or fewer, for each operation; `documents` has paths and what is there."""
    rng = seeded(number)
    found: list[Request] = []
    for document in documents.values():
        schema = schemathesis.openapi.from_dict(document)
        for operation in schema.get_all_operations():
            assert isinstance(operation, Ok), operation
            cases = _cases(operation.ok(), number, examples)
            found += [_shorter(request, rng) for case in cases for request in _request(case)]
    return found


def make_pool_beside(documents: dict[str, Any], *, number: int, examples: int) -> list[Request]:
    """Make the pool in a process of its own, so that a thread can wait for it."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as beside:
        return beside.submit(make_pool, documents, number=number, examples=examples).result()


def _cases(
    operation: APIOperation[Any, Any, Any, Any], number: int, examples: int
) -> list[Case[Any]]:
    strategies = [operation.as_strategy(generation_mode=GenerationMode.POSITIVE)]
    if operation.body or operation.query or operation.path_parameters or operation.headers:
        strategies.append(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
    found: list[Case[Any]] = []

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(strategies))
    def collect(case: Case[Any]) -> None:
        found.append(case)

    collect()
    return found


def _request(case: Case[Any]) -> Iterator[Request]:
    """Yield the request of a case, if it can be sent over HTTP/1.1 at all."""
    arguments = case.as_transport_kwargs(base_url=_BASE)
    known = {"method", "url", "headers", "params", "json", "data"}
    try:
        made = requests.Request(**{k: v for k, v in arguments.items() if k in known}).prepare()
    except (requests.RequestException, UnicodeError, ValueError):
        return
    body = made.body or b""
    headers = tuple(
        (name.encode("latin-1"), value if isinstance(value, bytes) else value.encode("latin-1"))
        for name, value in made.headers.items()
        if name.lower() not in _OWN and not name.startswith("X-Schemathesis")
    )
    yield Request(
        method=str(made.method).encode(),
        target=made.path_url.encode(),
        headers=headers,
        body=body if isinstance(body, bytes) else str(body).encode(),
    )


def _shorter(request: Request, rng: random.Random) -> Request:
    if rng.random() < _SHARE_OF_LONG_PAGES:
        return request
    target = _LONG_PAGE.sub(rb"\1", request.target)
    return Request(method=request.method, target=target, headers=request.headers, body=request.body)
