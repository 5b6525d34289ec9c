"""Binding payloads to the arguments of a function."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any, Literal, Unpack
from uuid import UUID

import jsonschema_rs
import orjson
import pytest
from pydantic import BaseModel, ConfigDict, Field, RootModel, SecretStr
from typing_extensions import TypedDict

from taskmill.app import Context, PayloadRefused
from taskmill.app.binding import Binding, binding_of
from tests.support.contexts import a_context

Function = Callable[..., object]


class Size(StrEnum):
    SMALL = "small"
    LARGE = "large"


class Order(BaseModel):
    model_config = ConfigDict(strict=True)

    id: UUID
    at: datetime
    amount: Decimal = Decimal(1)


@dataclass
class Address:
    street: str
    zip: str = "00000"


class Both(TypedDict):
    left: int
    right: int


def bound(function: Function, payload: dict[str, Any] | None = None) -> dict[str, Any]:
    arguments = binding_of(function, "made").arguments(a_context(payload))
    return {name: value for name, value in arguments.items() if not isinstance(value, Context)}


def refused(function: Function, payload: dict[str, Any] | None = None) -> str:
    with pytest.raises(PayloadRefused) as caught:
        bound(function, payload)
    return str(caught.value)


def plain(to: str, size: Size, tags: list[str], copies: int = 1) -> None: ...


def test_each_parameter_takes_the_field_of_its_name() -> None:
    payload = {"to": "ada", "size": "large", "tags": ["a"], "copies": 2}
    assert bound(plain, payload) == {"to": "ada", "size": Size.LARGE, "tags": ["a"], "copies": 2}


def test_an_omitted_field_is_the_functions_own_default() -> None:
    assert "copies" not in bound(plain, {"to": "ada", "size": "small", "tags": []})


def test_everything_that_does_not_fit_is_named() -> None:
    refusal = refused(plain, {"to": 5, "size": "huge", "tags": [1], "kopies": 2})
    for pointer in ("/payload/to", "/payload/size", "/payload/tags/0", "/payload/kopies"):
        assert pointer in refusal
    assert "huge" not in refusal.split("/payload/size")[0]


def test_no_payload_is_an_empty_one() -> None:
    assert bound(lambda: None) == {}
    assert "/payload/to: Field required" in refused(plain)


def test_a_function_without_parameters_takes_no_fields() -> None:
    assert "/payload/surplus" in refused(lambda: None, {"surplus": 1})


def test_more_fields_are_taken_by_double_star() -> None:
    def open_ended(a: int, **rest: list[int]) -> None: ...

    assert bound(open_ended, {"a": 1, "b": [2]}) == {"a": 1, "b": [2]}


def test_a_single_model_takes_the_payload_as_a_whole() -> None:
    def takes(order: Order) -> None: ...

    payload = {"id": str(UUID(int=7)), "at": "2030-01-31T09:00:00Z", "amount": "1.10"}
    order = bound(takes, payload)["order"]
    assert (order.id, order.amount) == (UUID(int=7), Decimal("1.10"))
    assert order.at.tzinfo is not None


def test_a_dataclass_a_typed_dict_and_a_mapping_do_so_too() -> None:
    def address(where: Address) -> None: ...
    def both(sides: Both) -> None: ...
    def anything(data: dict[str, int]) -> None: ...

    assert bound(address, {"street": "x"}) == {"where": Address("x")}
    assert bound(both, {"left": 1, "right": 2}) == {"sides": {"left": 1, "right": 2}}
    assert bound(anything, {"a": 1}) == {"data": {"a": 1}}


def test_a_choice_of_models_takes_the_payload_as_a_whole() -> None:
    class Cat(BaseModel):
        kind: Literal["cat"]

    class Dog(BaseModel):
        kind: Literal["dog"]

    def pet(one: Annotated[Cat | Dog, Field(discriminator="kind")]) -> None: ...

    assert bound(pet, {"kind": "dog"}) == {"one": Dog(kind="dog")}


def test_two_models_are_two_fields() -> None:
    def ships(order: Order, to: Address | None = None) -> None: ...

    assert set(binding_of(ships, "ships").json_schema("ships")["properties"]) == {"order", "to"}


class Options(BaseModel):
    size: int = 3


def test_an_optional_model_may_be_left_out() -> None:
    fallback = Options(size=7)

    def takes(options: Options = fallback) -> None: ...
    def optional(options: Options | None) -> None: ...
    def both(options: Annotated[Options | None, "note"] = None) -> None: ...

    assert bound(takes) == bound(both) == {}
    assert bound(optional) == bound(takes, {}) == {"options": Options(size=3)}
    for function in (takes, optional, both):
        assert bound(function, {"size": 5}) == {"options": Options(size=5)}


def test_the_rest_of_the_fields_is_checked_by_its_annotation() -> None:
    def counted(name: str, **rest: int) -> None: ...

    assert bound(counted, {"name": "a", "b": 1}) == {"name": "a", "b": 1}
    assert "/payload/b: Input should be a valid integer" in refused(
        counted, {"name": "a", "b": "x"}
    )
    schema = binding_of(counted, "counted").json_schema("counted")
    assert schema["additionalProperties"] == {"type": "integer"}


def test_a_root_model_takes_the_whole_if_it_is_an_object_else_a_field() -> None:
    def listed(numbers: RootModel[list[int]]) -> None: ...
    def named(numbers: RootModel[dict[str, int]]) -> None: ...

    assert bound(listed, {"numbers": [1, 2]})["numbers"].root == [1, 2]
    assert bound(named, {"a": 1})["numbers"].root == {"a": 1}
    assert refused(listed, {"a": 1})


def test_the_method_of_an_object_is_a_handler() -> None:
    assert bound(Mailer().send, {"to": "ada"}) == {"to": "ada"}
    assert bound(Mailer.count, {"number": 1}) == {"number": 1}


def test_the_context_is_given_where_it_is_requested() -> None:
    def typed(ctx: Context, a: int) -> None: ...
    def named(a, context) -> None: ...  # type: ignore[no-untyped-def]  # noqa: ANN001 - the point

    for function, name in ((typed, "ctx"), (named, "context")):
        context = a_context({"a": 1})
        assert binding_of(function, "made").arguments(context) == {"a": 1, name: context}


class Late: ...


class Mailer:
    def send(self, to: str) -> None: ...
    @classmethod
    def made(cls, to: str) -> None: ...
    @staticmethod
    def count(number: int) -> None: ...


def may_be_left_out(where: Address | None) -> None: ...
def has_a_default(where: Address = Address("nowhere")) -> None: ...  # noqa: B008 - that is the point
def unpacks(**rest: Unpack[Both]) -> None: ...


def positional(a: int, /) -> None: ...
def gathers(*all_of_them: int) -> None: ...
def twice(a: Context, b: Context) -> None: ...
def no_json(a: Late) -> None: ...
def unknown(a: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821 - that is the point


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (positional, "parameter a of made has no name in a payload"),
        (gathers, "parameter all_of_them of made"),
        (twice, "the context more than once: a, b"),
        (no_json, "no payload can provide the parameters of made"),
        (unknown, "annotations of made can't be read"),
        (Mailer.send, "made is a method of Mailer, and no payload can give its self"),
        (vars(Mailer)["made"].__func__, "no payload can give its cls"),
        (may_be_left_out, "parameter where of made looks optional"),
        (has_a_default, "/payload/street: Field required.*: give its fields defaults"),
        (unpacks, "unpacks a TypedDict"),
    ],
)
def test_a_function_that_no_payload_fits_is_refused(function: Function, words: str) -> None:
    with pytest.raises(TypeError, match=words):
        binding_of(function, "made")


def test_the_schema_describes_what_the_function_takes() -> None:
    schema = binding_of(plain, "made").json_schema("send-email")
    assert schema["title"] == "send-email"
    assert schema["required"] == ["to", "size", "tags"]
    assert schema["properties"]["copies"]["default"] == 1
    assert schema["additionalProperties"] is False


def test_a_default_that_is_no_json_is_not_in_the_schema() -> None:
    def waits(longest: timedelta = timedelta(1), late: object = Late()) -> None: ...

    properties = binding_of(waits, "made").json_schema("made")["properties"]
    assert properties["longest"]["default"] == "P1D"
    assert "default" not in properties["late"]


@pytest.mark.parametrize(
    "payload",
    [
        {"to": "ada", "size": "large", "tags": []},
        {"to": "ada", "size": "none", "tags": []},
        {"to": "ada", "tags": []},
        {"to": "ada", "size": "large", "tags": [], "more": 1},
    ],
)
def test_the_schema_and_the_function_agree(payload: dict[str, Any]) -> None:
    validator = jsonschema_rs.Draft202012Validator(binding_of(plain, "made").json_schema("made"))
    try:
        bound(plain, payload)
    except PayloadRefused:
        assert not validator.is_valid(payload)
    else:
        assert validator.is_valid(payload)


def test_a_payload_is_made_of_values_and_becomes_them_again() -> None:
    def takes(order: Order) -> None: ...

    binding: Binding = binding_of(takes, "made")
    order = Order(id=UUID(int=7), at=datetime.fromisoformat("2030-01-31T09:00:00+00:00"))
    payload = binding.payload(order)
    assert orjson.loads(orjson.dumps(payload)) == payload
    assert bound(takes, payload) == {"order": order}
    with pytest.raises(PayloadRefused, match="/payload/to"):
        binding_of(plain, "made").payload({"size": "large", "tags": []})


def test_only_the_first_of_very_many_faults_are_named() -> None:
    def takes(numbers: list[int]) -> None: ...

    refusal = refused(takes, {"numbers": ["x"] * 500})
    assert refusal.endswith("and 480 more")


def test_an_alias_may_have_a_default() -> None:
    def takes(sender: Annotated[str, Field(alias="from")] = "x") -> None: ...

    binding = binding_of(takes, "made")
    assert "from" in binding.json_schema("made")["properties"]


def test_what_would_be_lost_as_json_is_refused() -> None:
    def secret(password: SecretStr) -> None: ...
    def number(share: float) -> None: ...
    def data(content: bytes) -> None: ...

    for function, value in (
        (secret, {"password": "x"}),
        (number, {"share": float("nan")}),
        (data, {"content": b"\xff"}),
    ):
        with pytest.raises(PayloadRefused):
            binding_of(function, "made").payload(value)


def test_a_default_that_is_a_field_is_refused() -> None:
    def takes(n: int = Field(default=3, gt=0)) -> None: ...

    with pytest.raises(TypeError, match="put it into the annotation"):
        binding_of(takes, "made")
