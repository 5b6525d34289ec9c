"""The limits of a contract's cost: which ones are refused at registration, and which stay valid."""

import orjson
import pytest

from taskmill.domain.errors import ContractRefused
from tests.support.api import Served
from tests.support.contracts import NEEDS_TO, TYPE, a_contract, registered
from tests.support.stage import Stage


def doubled(times: int) -> dict[str, object]:
    """Return a schema of which one value meets `2 ** times` alternatives."""
    defs: dict[str, object] = {"at-0": NEEDS_TO}
    for n in range(times):
        defs[f"at-{n + 1}"] = {"anyOf": [{"$ref": f"#/$defs/at-{n}"}, {"$ref": f"#/$defs/at-{n}"}]}
    return {"$defs": defs, "$ref": f"#/$defs/at-{times}"}


@pytest.mark.parametrize(
    ("schema", "pointer", "expected"),
    [
        ({"properties": {"a": {"pattern": "(" * 240 + "a" + ")" * 240}}}, "/properties/a/pattern", "expression"),
        ({"patternProperties": {"(" * 240 + "a" + ")" * 240: {}}}, None, "expression"),
        (doubled(15), "", "at most 256 schemas that check one value"),
    ],
)  # fmt: skip
async def test_a_contract_that_costs_too_much_is_refused_when_it_is_registered(
    api: Served, schema: object, pointer: str | None, expected: str
) -> None:
    response = await api.http.put(
        f"/types/{TYPE}", content=orjson.dumps({"payload_schema": schema})
    )
    assert response.status_code == 422, response.text
    [fault] = response.json()["errors"]
    assert expected in fault["expected"]
    assert pointer is None or fault["pointer"] == f"/payload_schema{pointer}"
    assert (await api.get("/types")).json() == {"items": []}


async def test_a_current_contract_that_would_be_refused_today_is_registered_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that starts again must not fail because of a contract from before the limit."""
    current, new = a_contract(doubled(3)), a_contract({"title": "new", **doubled(3)})
    await registered(stage, current)
    monkeypatch.setattr("taskmill.wire.contracts.contract.MOST_CHECKS", 14)
    await registered(stage, current)
    with pytest.raises(ContractRefused, match="at most 14 schemas that check one value"):
        await registered(stage, new)
    assert (await stage.service.contracts.get(TYPE)).current.version == 1
