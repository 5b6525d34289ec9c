"""The words of a refusal stand next to every field that a request may have."""

import pytest
from pydantic import BaseModel, ConfigDict

from taskmill.domain.errors import InvalidInput
from taskmill.wire.legacy import LegacyCreate
from taskmill.wire.queues import QueueChange
from taskmill.wire.retry import RetrySpec
from taskmill.wire.tasks import CreateTask
from taskmill.wire.violations import validated


class Wordless(BaseModel):
    model_config = ConfigDict(strict=True)

    inner: dict[str, int]


@pytest.mark.parametrize("model", [CreateTask, RetrySpec, QueueChange, LegacyCreate])
def test_every_field_of_a_request_has_words_of_its_own(model: type[BaseModel]) -> None:
    body = dict.fromkeys(model.model_fields, object())
    with pytest.raises(InvalidInput) as caught:
        validated(model, body)
    told = {violation.pointer: violation.expected for violation in caught.value.violations}
    assert set(told) == {f"/{name}" for name in model.model_fields}
    assert "an object" not in told.values()


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
def test_a_key_and_its_value_are_told_apart(labels: object, pointer: str, got: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        validated(CreateTask, {"name": "x", "labels": labels})
    assert [(v.pointer, v.got) for v in caught.value.violations] == [(pointer, got)]


def test_a_body_that_fits_becomes_the_model() -> None:
    assert validated(Wordless, {"inner": {"a": 1}}).inner == {"a": 1}
