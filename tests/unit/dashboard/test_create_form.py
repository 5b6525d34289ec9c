"""The form for a new task makes a body that can be written as JSON, whatever is typed."""

import orjson
import pytest

from taskmill.dashboard.pages.create_form import CreateForm
from taskmill.dashboard.pages.payload_fields import number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18446744073709551615", 2**64 - 1),
        ("-9223372036854775808", -(2**63)),
        ("18446744073709551616", 2.0**64),
        ("99999999999999999999", 1e20),
        ("-9223372036854775809", -(2.0**63)),
        ("9" * 400, "9" * 400),
    ],
)
def test_a_number_of_any_length_can_be_written_as_json(text: str, value: object) -> None:
    assert number(text) == value
    assert type(number(text)) is type(value)
    form = CreateForm.of([("priority", text), ("p.seed", text)], {})
    assert orjson.loads(orjson.dumps(form.body())) == {
        "priority": value,
        "payload": {"seed": value},
    }
