"""Schemas of payloads that use everything: one made of models, and a hostile one."""

import enum
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from ipaddress import IPv4Address
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, SecretStr


class Color(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: Annotated[int, Field(ge=0, lt=10)] = 9


class Dog(BaseModel):
    kind: Literal["dog"]
    name: str


class Branch(BaseModel):
    value: int
    branches: "list[Branch]" = []


class Everything(BaseModel):
    """A model with a field of every kind."""

    model_config = ConfigDict(extra="forbid")

    whole: Annotated[int, Field(gt=0, le=100, multiple_of=5)]
    exact: Annotated[float, Field(ge=0.5, lt=2)] = 1.0
    code: Annotated[str, Field(min_length=2, max_length=300, pattern=r"^[A-Z]{2}\d{0,300}$")]
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    tree: Branch | None = None
    color: Color
    size: Literal["s", "m", 3] | None = "s"
    at: datetime
    day: date | None = None
    clock: time | None = None
    span: timedelta | None = None
    id: UUID
    price: Annotated[Decimal, Field(max_digits=6, decimal_places=2)] = Decimal(1)
    pair: tuple[int, str]
    many: tuple[int, ...] = ()
    tags: set[str] = set()
    counts: dict[str, int] = {}
    by_color: dict[Color, int] = {}
    by_code: dict[Annotated[str, Field(pattern="^x")], int] = {}
    anything: Any = None
    raw: bytes = b""
    address: IPv4Address | None = None
    url: HttpUrl | None = None
    secret: SecretStr | None = None


HOSTILE: dict[str, Any] = {
    "title": "</script><script>alert(1)</script>",
    "description": "[x](javascript:alert(1)) \u202e",
    "$id": "https://elsewhere.example/schema",
    "$defs": {
        "a.b-c": {"type": "string", "examples": ["x"]},
        "tree": {"type": "object", "properties": {"next": {"$ref": "#/$defs/tree"}}},
        "cat": {"type": "object", "properties": {"kind": {"const": "cat"}}, "required": ["kind"]},
        "dog": {"type": "object", "properties": {"kind": {"const": "dog"}}, "required": ["kind"]},
    },
    "type": "object",
    "properties": {
        "$ref": {"$ref": "#/$defs/a.b-c"},
        "tree": {"$ref": "#/$defs/tree"},
        "pet": {
            "oneOf": [{"$ref": "#/$defs/cat"}, {"$ref": "#/$defs/dog"}],
            "discriminator": {
                "propertyName": "kind",
                "mapping": {"cat": "#/$defs/cat", "dog": "#/$defs/dog"},
            },
        },
        "any": True,
        "never": False,
        "value": {"const": {"$ref": "#/nowhere"}, "default": {"$ref": "#/nowhere"}},
    },
    "required": ["pet"],
    "additionalProperties": {"type": ["integer", "null"]},
    "x-own": {"$ref": "#/nowhere"},
}
