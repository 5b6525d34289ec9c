"""PostgreSQL finds a text in a name exactly where Python's case folding does, in the locale C, too."""
# ruff: noqa: RUF001  (letters that look like others are what this is about)

import re
from collections.abc import Iterator
from typing import Final

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from sqlalchemy import select
from sqlalchemy.dialects import postgresql

from taskmill.domain import name_search
from taskmill.domain.name_search import name_pattern
from taskmill.storage.scan import has_in_name
from taskmill.storage.schema import task
from taskmill.storage.search import key_pattern
from tests.support.postgres import DatabaseServer

_DIALECT: Final = postgresql.psycopg.dialect()  # type: ignore[no-untyped-call]
FOLDING: Final = "".join(
    one for one in map(chr, range(0x110000)) if one.casefold() != one or len(one.casefold()) > 1
)
# Letters of foldings to several characters come next to each other often, and so do those that fold to each other.
_FEW: Final = "sSſßẞﬆﬅtTfFiIİıﬀﬃﬁlhẖʼnŉΐΐιΙͅᾳῼωΩΩkKKåÅÅ %_\\.[]^$*+?()|{}-"
_texts: Final = st.text(
    st.sampled_from(_FEW) | st.sampled_from(FOLDING) | st.characters(exclude_categories=["Cs"]),
    min_size=1,
    max_size=12,
).filter(lambda text: "\0" not in text)


@pytest.fixture(scope="module")
def names(database_server: DatabaseServer, database_template: str) -> Iterator[psycopg.Connection]:
    url = database_server.create(template=database_template)
    with psycopg.connect(url, autocommit=True) as connection:
        locale = connection.execute(
            "SELECT datcollate FROM pg_database WHERE datname = current_database()"
        ).fetchone()
        assert locale == ("C",), "no rules of a language help"
        yield connection
    database_server.drop(url)


def found(names: psycopg.Connection, needle: str, name: str) -> bool:
    """Ask PostgreSQL by the condition of the listing."""
    query = select(has_in_name(needle, task.c.name)).compile(dialect=_DIALECT)
    text = f"WITH task AS (SELECT %(the_name)s::text AS name) {query}"
    row = names.execute(
        text.replace("FROM taskmill.task", "FROM task").replace("taskmill.task.name", "task.name"),
        {**query.params, "the_name": name},
    ).fetchone()
    assert row is not None
    return bool(row[0])


@settings(suppress_health_check=list(HealthCheck), max_examples=400)
@given(name=_texts, needle=_texts)
def test_it_finds_what_pythons_case_folding_finds(
    names: psycopg.Connection, name: str, needle: str
) -> None:
    assert found(names, needle, name) == (needle.casefold() in name.casefold())


@settings(suppress_health_check=list(HealthCheck), max_examples=400)
@given(data=st.data(), name=_texts)
def test_it_finds_every_part_of_a_folded_name_in_any_case(
    names: psycopg.Connection, data: st.DataObject, name: str
) -> None:
    folded = name.casefold()
    start = data.draw(st.integers(0, len(folded) - 1))
    part = folded[start : data.draw(st.integers(start + 1, len(folded)))]
    for needle in {part, part.upper(), part.title()}:
        assert found(names, needle, name) == (needle.casefold() in folded)


@pytest.mark.parametrize(
    ("needle", "name"),
    [
        ("письмо", "Письмо клиенту"),
        ("ПИСЬМО", "это письмо"),
        ("STRASSE", "Straße 5"),
        ("straße", "STRASSE"),
        ("s", "ß"),
        ("ass", "aß"),
        ("sa", "ßa"),
        ("ffs", "ﬃ ﬀs"),
        ("ΣΊΣΥΦΟΣ", "Σίσυφος"),
        ("kelvin", "\u212aELVIN"),
    ],
)
def test_what_people_would_look_for_is_found(
    names: psycopg.Connection, needle: str, name: str
) -> None:
    assert found(names, needle, name)


def test_every_character_that_folds_is_known() -> None:
    foldings = name_search._foldings()
    known = {*foldings.expanding, *"".join(foldings.equals.values())}
    assert known == set(FOLDING)


@settings(suppress_health_check=list(HealthCheck), max_examples=400)
@given(name=_texts, needle=_texts)
def test_the_index_finds_at_least_what_the_condition_finds(
    names: psycopg.Connection, name: str, needle: str
) -> None:
    for text in (needle, name.upper(), name[1:] or name, name.swapcase()):
        if text.casefold() in name.casefold():
            assert may_be_found(names, text, name)


def may_be_found(names: psycopg.Connection, needle: str, name: str) -> bool:
    """Compare the key that the index has with the pattern of a search."""
    keys = names.execute("SELECT taskmill.name_key(%s), taskmill.name_key(%s)", (name, needle))
    row = keys.fetchone()
    assert row is not None
    pattern = key_pattern(row[1])
    return pattern is None or bool(re.search(pattern.replace("%", ".*"), row[0], re.DOTALL))


@pytest.mark.parametrize(
    ("key", "pattern"),
    [
        ("customer c000018", "%custo%mer%c000%018%"),
        ("mal c0001", "%mal%c0001%"),
        ("100%_\\ of a", "%100%"),
        ("ab c1", None),
    ],
)
def test_a_search_asks_for_few_trigrams_that_have_all_letters(key: str, pattern: str) -> None:
    assert key_pattern(key) == pattern


def test_a_character_has_the_key_of_what_it_folds_to(names: psycopg.Connection) -> None:
    """Beside a letter that is not ASCII, and alone; and each key is ASCII."""
    every = [one for one in map(chr, range(1, 0x110000)) if not "\ud800" <= one <= "\udfff"]
    keys = "SELECT taskmill.name_key(one), taskmill.name_key('я' || one) FROM unnest(%s::text[]) AS one"
    own = names.execute(keys, (every,)).fetchall()
    folded = names.execute(keys, ([one.casefold() for one in every],)).fetchall()
    different = [one for one, a, b in zip(every, own, folded, strict=True) if a != b]
    assert different == []
    assert all(alone.isascii() and beside == f"5{alone}" for alone, beside in own)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("Письмо КЛИЕНТУ №7", "pis2mo klientu  7"),
        ("Straße", "strasse"),
        ("Report 7", "report 7"),
        ("ΣΊΣΥΦΟΣ 7", "  7"),
    ],
)
def test_the_index_knows_latin_and_cyrillic(names: psycopg.Connection, name: str, key: str) -> None:
    row = names.execute("SELECT taskmill.name_key(%s)", (name,)).fetchone()
    assert row == (key,)


def test_a_run_of_the_same_letter_makes_no_large_expression(names: psycopg.Connection) -> None:
    for needle in ("s" * 200, "ß" * 200, "ΐ" * 200, "ffi" * 60):
        pattern = name_pattern(needle)
        assert len(pattern.expression) <= 6 * len(needle.casefold())
        assert len(pattern.expanded) <= 104, "all that fold to several characters"
        assert found(names, needle, f"é{needle.upper()}é")
