"""PostgreSQL finds the kind of an error by the same rules as `domain/error_kinds.py`."""

from collections.abc import Iterator
from dataclasses import asdict
from typing import Final

import orjson
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from taskmill.domain.error_kinds import kind_id, kind_of
from taskmill.domain.lifecycle import ErrorInfo
from taskmill.storage.claims import error_text
from tests.support.postgres import DatabaseServer

# Parts of messages for which there are rules, next to each other in all orders.
_PARTS: Final = (
    *(
        "<html>",
        "<HTML",
        "<!doctype html>",
        "<?xml",
        "<title>",
        "</title>",
        "<Title x>",
        "<p>",
        "<",
        ">",
        "<E",
    ),
    *(
        "\n",
        "\r",
        "\t",
        " ",
        "Traceback",
        "ValueError: ",
        ":",
        ".",
        ",",
        "-",
        "#",
        "_",
        "ж",
        "é",
        "\N{KELVIN SIGN}",
    ),
    *(
        "0x",
        "0",
        "7",
        "12",
        "af",
        "fe-",
        "g",
        "0197b0d2-1111-7abc",
        "card ",
        "\N{LATIN SMALL LETTER LONG S}",
        "\v",
        "\x85",
        "\u2028",
    ),
)
_messages: Final = st.lists(st.sampled_from(_PARTS), max_size=14).map("".join) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=30
)
_keys: Final = st.none() | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=200
)


@pytest.fixture(scope="module")
def database(
    database_server: DatabaseServer, database_template: str
) -> Iterator[psycopg.Connection]:
    url = database_server.create(template=database_template)
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection
    database_server.drop(url)


def stored_kind(database: psycopg.Connection, error: ErrorInfo) -> tuple[str, str]:
    row = database.execute(
        "SELECT kind, left(md5(kind), 16) FROM taskmill.error_kind(%s::jsonb) AS kind",
        [error_text(error)],
    ).fetchone()
    assert row is not None
    return row[0], row[1]


@settings(suppress_health_check=list(HealthCheck), max_examples=1_000)
@given(message=_messages)
def test_a_message_has_the_same_shape(database: psycopg.Connection, message: str) -> None:
    error = ErrorInfo(type="E", message=message)
    kind = kind_of(error)
    assert stored_kind(database, error) == (kind, kind_id(kind))


@settings(suppress_health_check=list(HealthCheck), max_examples=200)
@given(
    type_=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    place=_keys,
    key=_keys,
)
def test_a_place_and_a_fingerprint_count_the_same(
    database: psycopg.Connection, type_: str, place: str | None, key: str | None
) -> None:
    error = ErrorInfo(type=type_, message="12 <html>", place=place, fingerprint=key)
    assert stored_kind(database, error)[0] == kind_of(error)


@settings(suppress_health_check=list(HealthCheck), max_examples=20)
@given(message=st.text(st.sampled_from("a1<>\n -"), min_size=3_990, max_size=4_010))
def test_a_long_message_has_the_same_shape(database: psycopg.Connection, message: str) -> None:
    for text in (
        message,
        message.replace("\n", "0").replace("<", "b"),
        f"<p>{message}>",
        f"Traceback{message}",
    ):
        error = ErrorInfo(type="E", message=text)
        assert stored_kind(database, error)[0] == kind_of(error)


def test_an_error_is_stored_with_what_is_known_of_it() -> None:
    error = ErrorInfo(type="E", message="no", place="shop.pay")
    known = {name: value for name, value in asdict(error).items() if value is not None}
    assert (
        orjson.loads(error_text(error))
        == known
        == {"type": "E", "message": "no", "place": "shop.pay"}
    )
