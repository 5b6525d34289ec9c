"""Log lines of handlers: the bytes are those of the model, and levels have an order."""

from datetime import UTC, datetime

import pytest

from taskmill.domain.task_log import LineLevel, LogLine
from taskmill.wire.task_log import LogPage, log_page_json

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)


def a_line(**parts: object) -> LogLine:
    usual = {"claim_no": 1, "seq": 2, "at": NOON, "level": LineLevel.INFO, "logger": None}
    return LogLine(**{**usual, "message": "said", "fields": None, **parts})  # type: ignore[arg-type]


def test_a_page_is_its_view_to_the_byte() -> None:
    lines = [a_line(), a_line(level=LineLevel.ERROR, logger="a.b", fields='{"n":1,"t":"ü"}')]
    for shown in (
        log_page_json(lines, "next", has_more=True),
        log_page_json([], "next", has_more=False),
    ):
        assert LogPage.model_validate_json(shown).model_dump_json().encode() == shown


@pytest.mark.parametrize(
    ("number", "level"),
    [(-5, "debug"), (0, "debug"), (19, "debug"), (20, "info"), (35, "warning"), (99, "critical")],
)
def test_a_level_between_two_counts_as_the_lower(number: int, level: str) -> None:
    assert LineLevel.of(number) == level


def test_levels_have_the_numbers_of_pythons_logging() -> None:
    assert [level.number for level in LineLevel] == [10, 20, 30, 40, 50]
    assert all(LineLevel.of(level.number) is level for level in LineLevel)
