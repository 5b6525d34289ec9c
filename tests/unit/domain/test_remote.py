"""Which tasks a worker that pulls over HTTP wants."""

import pytest

from taskmill.domain.parts import Part
from taskmill.domain.remote import LeaseRequest


@pytest.mark.parametrize(
    ("queues", "types", "takes"),
    [
        ({}, {"report"}, True),
        ({"mail"}, {"report", "x"}, True),
        ({"mail"}, {"x"}, False),
        ({"post"}, {"report"}, False),
        ({}, {}, False),
    ],
)
def test_a_request_takes_its_types_of_its_queues_or_of_all(
    queues: set[str], types: set[str], *, takes: bool
) -> None:
    request = LeaseRequest(
        worker="w", queues=frozenset(queues), types=frozenset(types), limit=1, ttl_s=1, wait_s=0
    )
    assert request.takes("mail", "report") is takes


@pytest.mark.parametrize("has_more", [True, False])
def test_a_part_is_a_list_that_knows_whether_more_follows(*, has_more: bool) -> None:
    part = Part(iter([1, 2]), has_more=has_more)
    assert (part, part.has_more) == ([1, 2], has_more)
