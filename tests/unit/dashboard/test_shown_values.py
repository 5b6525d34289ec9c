"""How values are formatted, and how JSON folds."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from taskmill.dashboard import json_tree
from taskmill.dashboard.wording import NOTHING, Words, iso, utc

NOW = datetime(2026, 11, 25, 20, 0, tzinfo=UTC)
EN, RU = Words("en", NOW), Words("ru", NOW)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, NOTHING),
        (-1, "0 ms"),
        (0.1234, "123 ms"),
        (4.21, "4.2 s"),
        (59.6, "1 min"),
        (200, "3 min 20 s"),
        (3600, "1 h"),
        (187_200, "2 d 4 h"),
    ],
)
def test_a_length_of_time_has_two_units_at_most(seconds: float | None, shown: str) -> None:
    assert EN.span(seconds).replace("\u00a0", " ") == shown


def test_a_time_is_shown_by_how_far_away_it_is_in_the_readers_language() -> None:
    before, after = NOW - timedelta(minutes=3, seconds=20), NOW + timedelta(hours=25)
    assert [EN.ago(before), EN.ago(after), EN.ago(NOW)] == [
        "3\u00a0min ago",
        "in 1\u00a0d",
        "0\u00a0s ago",
    ]
    assert RU.ago(before) == "3\u00a0мин назад"
    assert (iso(NOW), utc(NOW)) == ("2026-11-25T20:00:00.000Z", "2026-11-25 20:00:00")


def test_numbers_are_short_and_in_the_readers_way() -> None:
    assert [EN.number(one) for one in (1234, 12.345, 1234.5, None)] == [
        "1,234",
        "12.3",
        "1,234",
        NOTHING,
    ]
    assert [RU.number(12.345), RU.share(0.125)] == ["12,3", "12,5 %"]


def test_what_is_next_to_nothing_or_to_all_is_shown_as_such() -> None:
    assert [EN.number(one) for one in (0.0653, 1e-9, 0.1, 0.0)] == ["<0.1", "<0.1", "0.1", "0"]
    assert RU.number(0.0497) == "<0,1"
    shares = [EN.share(one) for one in (0.0, 0.0004, 0.001, 1 / 3, 0.9991, 0.9999, 1.0)]
    assert shares == ["0 %", "<0.1 %", "0.1 %", "33.3 %", ">99.9 %", ">99.9 %", "100 %"]


def test_of_a_traceback_its_last_line_is_the_error() -> None:
    error = orjson.dumps({"type": "E", "message": "Traceback\n  File x\nValueError: no\n"}).decode()
    assert EN.error(error) == "E: ValueError: no"
    assert EN.error('{"type": "E", "message": ""}') == "E: "


def test_json_folds_and_nothing_of_it_becomes_markup() -> None:
    html, is_whole = json_tree.tree('{"<b>": ["<script>alert(1)</script>", 1, null, {}]}')
    assert is_whole
    assert "<script>" not in html
    assert "&lt;script&gt;" in html
    assert html.count("<details open>") == 2
    assert html.count("<details") == html.count("</details>")


@pytest.mark.parametrize(
    "content",
    [
        orjson.dumps(list(range(100_000))).decode(),
        orjson.dumps({"text": "x" * 1_000_000}).decode(),
        "[" * 60 + "]" * 60,
        orjson.dumps([{"a": [{"b": "c" * 3000}] * 50}] * 50).decode(),
    ],
)
def test_json_of_any_size_makes_a_bounded_piece_of_a_page(content: str) -> None:
    html, _ = json_tree.tree(content)
    assert len(html) < json_tree.MOST_NODES * 2_500
    assert html.count("<ul>") == html.count("</ul>")
    assert html.count("<li>") == html.count("</li>")


def test_what_is_left_out_is_reported() -> None:
    assert json_tree.tree(orjson.dumps(list(range(1000))).decode())[1] is False
    assert json_tree.tree(orjson.dumps("x" * 300_000).decode())[1] is False


def test_an_error_is_shown_by_its_first_line() -> None:
    page = "the bank answered 503\n<html>\n<p>busy</p>\n</html>\n"
    error = orjson.dumps({"type": "E", "message": page}).decode()
    assert EN.error(error) == "E: the bank answered 503"
