"""Schemathesis against the running service: what is not in the document must not happen."""

from collections.abc import Iterator
from typing import Any, TypeAlias

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed as from_seed, settings, strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi import checks

from tests.contract.acceptance import (
    what_does_not_fit_is_refused,
    what_fits_is_accepted,
    with_whole_numbers,
)
from tests.contract.conftest import RunningService
from tests.support.search import seed_of, tries

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
    what_does_not_fit_is_refused,
    what_fits_is_accepted,
]
_PARTS = 8
_PATHS_OF_A_TASK = ("/tasks/{id}", "/task/{uid}")
DOCUMENTS = ("/openapi.json", "/task_service/openapi.json")


AnyOperation: TypeAlias = APIOperation[Any, Any, Any, Any]


def operations(url: str) -> Iterator[AnyOperation]:
    for document in DOCUMENTS:
        schema = schemathesis.openapi.from_url(url + document)
        for found in schema.get_all_operations():
            assert isinstance(found, Ok), found
            yield found.ok()


def send_requests(
    service: RunningService, operation: AnyOperation, examples: int, *, seed: int = 0
) -> int:
    """Send valid and invalid requests; return how many."""
    sent = 0
    is_of_task = any(path in operation.path for path in _PATHS_OF_A_TASK)
    valid = operation.as_strategy(generation_mode=GenerationMode.POSITIVE)
    strategies = [valid]
    if operation.body or operation.query or operation.path_parameters or operation.headers:
        strategies.append(operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))

    @from_seed(seed)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(strategies), known=st.sampled_from((None, None, *service.task_ids)))
    def run(case: Case[Any], known: str | None) -> None:
        nonlocal sent
        for name in ("id", "uid"):
            if known is not None and is_of_task and name in (case.path_parameters or {}):
                case.path_parameters[name] = known
        sent += 1
        case.body = with_whole_numbers(case.body)
        case.validate_response(case.call(base_url=service.url), checks=CHECKS)

    run()
    return sent


def test_every_response_is_documented_and_none_is_a_fault(service: RunningService) -> None:
    sent = sum(send_requests(service, operation, 15) for operation in operations(service.url))
    assert sent >= 360


@pytest.mark.slow
@pytest.mark.parametrize("part", range(_PARTS))
def test_thousands_of_responses_are_documented_and_none_is_a_fault(
    service: RunningService, part: int, pytestconfig: pytest.Config
) -> None:
    seed = seed_of(pytestconfig)
    found = list(operations(service.url))[part::_PARTS]
    sent = sum(send_requests(service, operation, tries(350), seed=seed) for operation in found)
    assert sent >= tries(1000)
