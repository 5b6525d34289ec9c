"""How a text is found in names; `tests/property/test_name_search.py` shows the same on PostgreSQL."""
# ruff: noqa: RUF001  (letters that look like others are what this is about)

import re
from typing import Final

import pytest
from hypothesis import given, strategies as st

from taskmill.domain.name_search import _foldings, name_pattern

_texts: Final = st.text("sSſßẞﬆtTfFﬀﬃiİılhẖʼnŉΐιΙωΩΩkK %_\\.[]^$*+?()|{}-", min_size=1, max_size=8)


def found(needle: str, name: str) -> bool:
    pattern = name_pattern(needle)
    expanded = "".join(pattern.expanded.get(one, one) for one in name)
    return re.search(pattern.expression, expanded) is not None


@given(needle=_texts, name=_texts)
def test_a_text_is_found_where_case_folding_finds_it(needle: str, name: str) -> None:
    for one in (name, f"{name}{needle.upper()}"):
        assert found(needle, one) == (needle.casefold() in one.casefold())
    assert name_pattern(needle).folded == needle.casefold()


@pytest.mark.parametrize("needle", ["s", "ss", "asst", "tz", "ff", "fi", "ffis", "ΐ", "x", "ʼna"])
def test_only_characters_that_may_overlap_with_the_text_are_expanded(needle: str) -> None:
    expanding = _foldings().expanding
    assert name_pattern(needle).expanded == {
        one: to for one, to in expanding.items() if _overlaps(to, needle.casefold())
    }


def _overlaps(expansion: str, text: str) -> bool:
    """Whether they agree wherever they overlap, laid over each other in any way."""
    return any(
        all(
            expansion[at] == text[at + shift]
            for at in range(len(expansion))
            if 0 <= at + shift < len(text)
        )
        for shift in range(1 - len(expansion), len(text))
    )


def test_letters_that_fold_to_one_stand_in_a_set_and_others_for_themselves() -> None:
    assert name_pattern("Ka.").expression == "[kK\u212a][aA]\\."
    assert name_pattern("1é").expression == "1[éÉ]"


def test_a_pattern_has_the_folded_text() -> None:
    assert name_pattern("Monthly").folded == "monthly"
    assert name_pattern("Straße").folded == "strasse"
