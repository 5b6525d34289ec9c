"""Every field of a request has a description of what it accepts."""

import pytest
from pydantic import BaseModel, ConfigDict, ValidationError

from taskmill.domain.errors import InvalidInput
from taskmill.wire.legacy import LegacyCreate
from taskmill.wire.queues import QueueChange
from taskmill.wire.retry import RetrySpec
from taskmill.wire.tasks import CreateTask, to_draft
from taskmill.wire.violations import bounded, validated

MANY = {f"f{number}": 1 for number in range(80_000)}


class Wordless(BaseModel):
    model_config = ConfigDict(strict=True)

    inner: dict[str, int]


@pytest.mark.parametrize("model", [CreateTask, RetrySpec, QueueChange, LegacyCreate])
def test_every_field_of_a_request_has_words_of_its_own(model: type[BaseModel]) -> None:
    body = dict.fromkeys(model.model_fields, object())
    with pytest.raises(InvalidInput) as caught:
        validated(model, body)
    texts = {violation.pointer: violation.expected for violation in caught.value.violations}
    assert set(texts) == {f"/{name}" for name in model.model_fields}
    assert "an object" not in texts.values()


def test_a_field_without_words_is_at_least_pointed_at() -> None:
    with pytest.raises(InvalidInput) as caught:
        validated(Wordless, {"inner": {"a": "b"}})
    assert [v.pointer for v in caught.value.violations] == ["/inner/a"]


@pytest.mark.parametrize("model", [CreateTask, RetrySpec])
def test_a_field_may_have_any_name(model: type[BaseModel]) -> None:
    for name in ("[key]", "", "/", "__class__", "\n"):
        with pytest.raises(InvalidInput) as caught:
            validated(model, {name: 1})
        pointers = {v.pointer for v in caught.value.violations if v.got == "an unknown field"}
        assert pointers == {f"/{name}".replace("//", "/~1").replace("\n", "\\u000a")}


@pytest.mark.parametrize(
    ("labels", "pointer", "got"),
    [
        ({"[key]": 5}, "/labels/[key]", "the number 5"),
        ({"": "x"}, "/labels/", "an empty string"),
        ({"k" * 64: "x"}, f"/labels/{'k' * 59}…", "a string of 64 characters"),
    ],
)
def test_a_key_and_its_value_are_distinguished(labels: object, pointer: str, got: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validated(CreateTask, {"name": "x", "labels": labels})
    assert [(v.pointer, v.got) for v in caught.value.violations] == [(pointer, got)]


def test_a_body_that_fits_becomes_the_model() -> None:
    assert validated(Wordless, {"inner": {"a": 1}}).inner == {"a": 1}


def texts(body: object) -> list[str]:
    with pytest.raises(InvalidInput) as caught:
        to_draft(body, source="rest")
    return [f"{one.pointer}: {one.got}" for one in caught.value.violations]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "x", **MANY},
        {**MANY, "name": "x", "queue": "q"},
        {"name": "x", "retry": MANY},
        {**MANY, "name": "x", "retry": {"base_s": 1, **MANY}},
    ],
)
def test_of_very_many_unknown_fields_few_are_validated(body: dict[str, object]) -> None:
    """pydantic makes a fault of each, in one call that can't be interrupted."""
    few = bounded(body, CreateTask)
    assert isinstance(few, dict)
    with pytest.raises(ValidationError) as caught:
        CreateTask.model_validate(few)
    assert caught.value.error_count() < 100
    assert few.keys() >= body.keys() & CreateTask.model_fields.keys()
    assert len(texts(body)) == 20


def test_what_is_wrong_with_known_fields_is_named_however_many_others_there_are() -> None:
    found = texts({**MANY, "name": 1, "retry": {**MANY, "factor": "x"}})
    assert found[:2] == ["/name: the number 1", '/retry/factor: the string "x"']
    assert found[2:4] == ["/retry/f0: an unknown field", "/retry/f1: an unknown field"]


def test_a_body_without_very_many_fields_is_validated_completely() -> None:
    bodies: list[object] = [{"name": "x", "labels": {str(n): "v" for n in range(64)}}, [], None, 1]
    assert [bounded(body, CreateTask) for body in bodies] == bodies
