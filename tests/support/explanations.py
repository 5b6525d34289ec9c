"""Explanations over the API, as tests read them."""

from typing import Any

from taskmill.domain.blockers import BlockerName
from taskmill.wire.explanations import ExplanationView
from tests.support.api import Served

Json = dict[str, Any]


async def explained(api: Served, task_id: object) -> Json:
    """Get an explanation, and check what holds for all of them."""
    response = await api.get(f"/tasks/{task_id}/explain")
    assert response.status_code == 200, response.text
    view = ExplanationView.model_validate_json(response.content)
    assert view.model_dump_json().encode() == response.content
    explanation: Json = response.json()
    assert [blocker["blocker"] for blocker in explanation["blockers"]] == list(BlockerName)
    first = next(blocker for blocker in explanation["blockers"] if blocker["state"] == "holds")
    assert (explanation["blocker"], explanation["summary"]) == (first["blocker"], first["sentence"])
    assert explanation["todo"] == first["todo"]
    return explanation


def holding(explanation: Json) -> list[str]:
    return [
        blocker["blocker"] for blocker in explanation["blockers"] if blocker["state"] == "holds"
    ]


def blocker_of(explanation: Json, name: str) -> Json:
    return next(blocker for blocker in explanation["blockers"] if blocker["blocker"] == name)


def facts_of(explanation: Json, name: str) -> Json:
    facts: Json = blocker_of(explanation, name)["facts"]
    return facts
