"""Regular expressions of schemas: accepted ones mean what the standard says."""

import re

import pytest

from taskmill.wire.contracts.patterns import UnsupportedPattern, read_pattern

TEXTS = (
    "",
    "a",
    "b",
    "ab",
    "aB9",
    "a b",
    "x\ny",
    "д",
    "a" * 300,
    "a" * 301,
    "1",
    "-",
    "]",
    "\\",
    "a.b",
    "é",
)


def matches(pattern: str, text: str) -> bool:
    return read_pattern(pattern).matches(text)


@pytest.mark.parametrize(
    "pattern",
    [
        "",
        "a",
        "^a$",
        "^[a-c]+$",
        "^[^a-c]+$",
        "^(a|b)*$",
        "^(?:a|)b?$",
        "^(?P<x>a)b$",
        "^(?<x>a)b$",
        "a{2}",
        "^a{300}$",
        "^a{1,300}$",
        "^a{2,}$",
        r"^\d$",
        r"^\D$",
        r"^\w+$",
        r"\s",
        r"\S",
        r"^[\w-]+$",
        r"^[\d\s]$",
        r"^[^\W]$",
        r"a\.b",
        r"\\",
        r"^[\]\-]$",
        "^.$",
        "^a+?$",
        r"\x61",
        r"\u0061",
        r"^[+-\]]$",
        r"^[a-c-]$",
        r"^[^\S\s]",
        r"^[&b~.]$",
        "^]|}$",
        r"^(?=a)(?!ab)",
        "^(?!a)",
    ],
)
def test_accepted_expressions_match_as_in_ecma_262(pattern: str) -> None:
    # Python's own engine agrees with the standard if classes are ASCII only, and `$` is the very end.
    theirs = re.compile(pattern.replace("$", r"\Z").replace("(?<x>", "(?P<x>"), re.ASCII)
    for text in TEXTS:
        assert matches(pattern, text) == bool(theirs.search(text)), text


@pytest.mark.parametrize(
    "pattern",
    [
        "(", ")", "[", "[]", "[^]", "a**", "*", "a{", "{2}", "a{2,1}", "a{1001}", "(a{500}){5}", "^*", "[b-a]",
        r"[\d-z]", r"[a-\d]", "[a", "a)",
        "(?=a)", "a(?!b)", "(?<=a)", "(?i)a", r"\b", r"\1", r"\p{L}", r"\k<x>", r"\ud800", r"\0", "\\",
        "a" * 501, "^(?=a)b|c", "(" * 51 + "a" + ")" * 51, "(" * 240 + "a" + ")" * 240, "(" * 500,
    ],
)  # fmt: skip
def test_expressions_that_can_not_be_checked_are_refused(pattern: str) -> None:
    with pytest.raises(UnsupportedPattern):
        read_pattern(pattern)


def test_fifty_nested_groups_are_accepted_and_any_number_in_a_row() -> None:
    deep = "(" * 50 + "a" + ")" * 50
    assert matches(f"^{deep}(b)(c){deep}$", "abca")


def test_an_expression_that_would_backtrack_for_ever_does_not() -> None:
    assert not matches("^(a+)+$", "a" * 100_000 + "b")
