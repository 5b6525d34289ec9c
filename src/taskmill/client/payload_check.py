"""Checks a payload against the contract of its type before `enqueue` sends it.

It needs the packages of `taskmill[contracts]`. Without them nobody imports this, and a payload is checked when its
task is first claimed, as that of a task which SQL creates.
"""

import json
from collections.abc import Generator, Mapping, Sequence
from typing import Final

from taskmill.client.json_text import read_json
from taskmill.client.reading import reader_of
from taskmill.client.refusal_kinds import refusal
from taskmill.client.views.problems import Problem
from taskmill.domain.task_fields import DEFAULT_TYPE
from taskmill.wire.contracts.contract import Contract
from taskmill.wire.first_claim import payload_problem
from taskmill.wire.problems import problem_json
from taskmill.wire.push import TYPE as PUSH

_BUILT_IN: Final = frozenset({DEFAULT_TYPE, PUSH})
_FIND_CONTRACT: Final = """
SELECT (SELECT json_build_object('digest', encode(contract_digest, 'hex'), 'schema', contract_schema)::text
FROM taskmill.contract_of({}::text, decode({}::text, 'hex'))) AS id
"""
# By type: the digest of its contract, and the contract. Another database may have another one, with another
# digest.
_CONTRACTS: Final[dict[str, tuple[str, Contract]]] = {}
_MOST_CONTRACTS: Final = 500


def check_payload(
    given: Mapping[str, str], marks: Sequence[str]
) -> Generator[tuple[str, tuple[str, ...]], str | None, None]:
    """Yield the queries to run, with their parameters, of which `marks` are two; each result is sent back in.

    Raises:
        NotAccepted: The payload does not fit.
    """
    task_type = given.get("type", DEFAULT_TYPE)
    contract = known = _CONTRACTS.get(task_type)
    if task_type not in _BUILT_IN:
        digest = "" if known is None else known[0]
        found = yield _FIND_CONTRACT.format(*marks), (task_type, digest)
        contract = _current_contract(task_type, found, known)
    contracts = {} if contract is None else {task_type: contract[1]}
    problem = payload_problem(
        task_type, given.get("payload"), contracts, given.get("payload_secrets")
    )
    if problem is not None:
        raise refusal(reader_of(Problem)(read_json(problem_json(problem)[2])))


def _current_contract(
    task_type: str, found: str | None, known: tuple[str, Contract] | None
) -> tuple[str, Contract] | None:
    """Return the contract of a type from a row of the database; without a schema, the known one is current."""
    if found is None:
        return None
    row = json.loads(found)
    if row["schema"] is None:
        return known
    if len(_CONTRACTS) >= _MOST_CONTRACTS:
        _CONTRACTS.clear()
    sent = _CONTRACTS[task_type] = row["digest"], Contract(task_type, 0, row["schema"])
    return sent
