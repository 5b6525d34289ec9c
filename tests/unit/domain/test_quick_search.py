"""What a search text may mean."""

from uuid import UUID

import pytest

from taskmill.domain.quick_search import MatchBy, SearchText

ID = "019ae000-1234-7abc-8def-0123456789ab"


@pytest.mark.parametrize("text", [ID, ID.upper(), f"  {ID} "])
def test_an_id_is_nothing_else(text: str) -> None:
    sought = SearchText.of(text)
    assert sought.id == UUID(ID)
    assert sought.is_exact
    assert sought.ways == ()


def test_a_number_with_its_sign_is_nothing_else() -> None:
    sought = SearchText.of("#42")
    assert (sought.number, sought.is_exact, sought.ways) == (42, True, ())


def test_digits_may_be_a_number_and_a_name() -> None:
    sought = SearchText.of("42")
    assert (sought.number, sought.ways) == (42, (MatchBy.NAME,))


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("456789ab", "456789ab"),
        ("…456789AB", "456789ab"),
        ("6789ab", "6789ab"),
        ("8def-0123456789ab", "8def-0123456789ab"),
        ("-8def-0123456789ab", "-8def-0123456789ab"),
        ("789ab", None),
        ("0456789abcdef", None),
        ("8def-0123456789a", None),
        ("facades", None),
    ],
)
def test_the_end_of_an_id_has_six_digits_at_least(text: str, end: str | None) -> None:
    assert SearchText.of(text).id_end == end


def test_the_end_of_an_id_is_searched_for_before_names() -> None:
    sought = SearchText.of("decade")
    assert sought.ways == (MatchBy.ID_END, MatchBy.NAME)
    assert sought.wanted(MatchBy.ID_END).id_end == "decade"
    assert sought.wanted(MatchBy.NAME).name == "decade"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("team=billing", ("team", "billing")),
        ("team=a=b", ("team", "a=b")),
        ("team=", ("team", "")),
        ("=billing", None),
        ("a sentence = more", None),
        (f"{'k' * 64}=x", None),
    ],
)
def test_a_label_is_a_key_and_a_value(text: str, label: tuple[str, str] | None) -> None:
    sought = SearchText.of(text)
    assert sought.label == label
    # A name may have such a part, too.
    assert sought.ways == ((MatchBy.LABEL, MatchBy.NAME) if label else (MatchBy.NAME,))
    assert sought.wanted(MatchBy.LABEL).labels == ((label,) if label else ())


@pytest.mark.parametrize("text", ["", "   "])
def test_nothing_is_searched_for_without_a_text(text: str) -> None:
    assert SearchText.of(text).ways == ()


def test_a_number_beyond_what_tasks_have_is_a_name() -> None:
    assert SearchText.of("#" + "9" * 30).number is None
    assert SearchText.of("#" + "9" * 30).ways == (MatchBy.NAME,)
