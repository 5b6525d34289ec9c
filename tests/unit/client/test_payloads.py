"""Payloads become JSON, or are not sent."""

import json
from collections import OrderedDict, deque
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum
from ipaddress import ip_address
from pathlib import PurePath
from types import MappingProxyType
from typing import NamedTuple

import orjson
import pytest
from pydantic import BaseModel

from taskmill.client import json_text
from taskmill.client.json_text import json_bytes, plain, read_json
from tests.support.fake_transport import ID, TASK, FakeTransport, a_response


class Colour(Enum):
    RED = "red"


class Order(BaseModel):
    at: datetime


def test_a_payload_is_converted_to_json() -> None:
    transport = FakeTransport(a_response(TASK, 201))
    moment = datetime(2030, 1, 1, tzinfo=UTC)
    payload = {
        "order": Order(at=moment),
        "at": moment,
        "day": date(2030, 1, 1),
        "pause": timedelta(minutes=1),
        "id": ID,
        "colour": Colour.RED,
        "some": {1},
    }
    transport.client().create("a task", payload=payload)
    assert orjson.loads(transport.requests[0].content)["payload"] == {
        "order": {"at": "2030-01-01T00:00:00Z"},
        "at": "2030-01-01T00:00:00+00:00",
        "day": "2030-01-01",
        "pause": "PT1M",
        "id": str(ID),
        "colour": "red",
        "some": [1],
    }


class Level(IntEnum):
    HIGH = 9


class Text(str):
    __slots__ = ()


class Point(NamedTuple):
    x: int
    y: float


@dataclass
class Size:
    width: int


@pytest.mark.parametrize(
    "value",
    [
        {"a": [None, True, 1, -1.5, "", "null", 'ä\u2028\x00\ud800"', (1, 2)]},
        {"large": 2**70, "small": -(2**63), "tiny": 1e-310, "huge": 1.5e308, "zero": -0.0},
        {1: "a", False: "b", None: "c", 1.5: "d"},
        {Text("key"): Text("value")},
        [Level.HIGH, Point(1, 2.0), OrderedDict(a=1)],
    ],
)
def test_json_is_what_the_standard_library_makes_of_it(value: object) -> None:
    assert json.loads(json_bytes(value)) == json.loads(json.dumps(value))


def test_what_json_lacks_is_written_alike_wherever_it_is() -> None:
    """Even beside values that only the standard library writes."""
    moment = datetime(2030, 1, 1, 12, 30, 15, 120, tzinfo=timezone(timedelta(hours=2)))
    values = [
        moment,
        date(2030, 1, 1),
        time(1, 2),
        ID,
        Colour.RED,
        Size(3),
        moment.replace(tzinfo=None),
    ]
    for value in values:
        [alone] = orjson.loads(json_bytes([value]))
        [beside, _] = orjson.loads(json_bytes([value, None]))
        assert alone == beside == plain(value)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_lacks_are_refused_wherever_they_are(number: float) -> None:
    for value in (number, [number], {"a": {"b": (number,)}}, [number, 2**70], [Colour.RED, number]):
        with pytest.raises(ValueError, match="compliant"):
            json_bytes(value)


@pytest.mark.parametrize("value", [object(), b"\xff", float("nan"), len])
def test_what_can_not_be_json_is_not_sent(value: object) -> None:
    transport = FakeTransport(a_response(TASK, 201))
    with pytest.raises(ValueError, match=r"serialize|decode|compliant"):
        transport.client().create("a task", payload={"value": value})
    assert transport.requests == []


@pytest.fixture
def without_orjson(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an installation of the client alone has."""
    monkeypatch.setattr(json_text, "_quick", None)
    monkeypatch.setattr(json_text, "_loads", json.loads)


VALUES: list[object] = [
    {"a": [None, True, 1, -1.5, "ä\u2028", (1, 2)], "at": datetime(2030, 1, 1, tzinfo=UTC)},
    [ID, Colour.RED, Size(3), Order(at=datetime(2030, 1, 1, tzinfo=UTC)), {1}, Level.HIGH],
    [timedelta(days=-1, seconds=-1.5), PurePath("a/b"), ip_address("::1"), Decimal("1.50"), b"x"],
    [deque([1]), (n for n in (1, 2)), MappingProxyType({"a": 1}), OrderedDict(b=2)],
]


def test_values_are_written_alike_with_and_without_orjson(
    request: pytest.FixtureRequest,
) -> None:
    quick = [read_json(json_bytes(value)) for value in VALUES[:3]]
    request.getfixturevalue("without_orjson")
    assert [read_json(json_bytes(value)) for value in VALUES[:3]] == quick


@pytest.mark.usefixtures("without_orjson")
def test_what_json_lacks_is_converted_without_orjson() -> None:
    assert read_json(json_bytes(VALUES[2])) == ["-P1DT1.5S", "a/b", "::1", "1.50", "x"]
    assert read_json(json_bytes(VALUES[3])) == [[1], [1, 2], {"a": 1}, {"b": 2}]
    for wrong in (object(), float("nan"), b"\xff"):
        with pytest.raises(ValueError, match=r"serialize|decode|compliant"):
            json_bytes([wrong])
