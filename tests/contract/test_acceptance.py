"""Which refusals of requests that fit the document are no fault of it."""

from tests.contract.acceptance import is_undocumentable

REFUSED = {"pointer": "/payload/to", "expected": "a string", "got": "nothing"}


def test_only_a_type_that_may_have_a_contract_may_have_its_payload_refused() -> None:
    problem = {"errors": [REFUSED]}
    assert is_undocumentable(problem, {"name": "A", "type": "registered"})
    assert not is_undocumentable(problem, {"name": "A", "type": "emulate"})
    assert not is_undocumentable(problem, {"name": "A"})
    other = {"errors": [REFUSED, REFUSED | {"pointer": "/name"}]}
    assert not is_undocumentable(other, {"name": "A", "type": "registered"})


def test_a_task_of_a_batch_is_found_by_its_place() -> None:
    problem = {"errors": [REFUSED | {"pointer": "/1/payload/to"}]}
    assert is_undocumentable(problem, [{"name": "A"}, {"name": "B", "type": "registered"}])
    assert not is_undocumentable(problem, [{"name": "A", "type": "registered"}, {"name": "B"}])
