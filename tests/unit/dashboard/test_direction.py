"""Texts from outside end the changes of direction that they begin."""

import unicodedata

import orjson
import pytest
from hypothesis import given, strategies as st

from taskmill.dashboard import direction
from taskmill.dashboard.pages.snippets import snippets_of

RLO, PDF, RLI, PDI = "\u202e", "\u202c", "\u2067", "\u2069"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("usual", "usual"),
        ("שלום", "שלום"),
        (f"a{RLO}b", f"a{RLO}b{PDF}"),
        (f"a{RLO}b{PDF}c", f"a{RLO}b{PDF}c"),
        (f"{PDI}a{PDF}{PDF}", "a"),
        (f"{RLI}{RLO}a{PDI}b", f"{RLI}{RLO}a{PDI}b"),
        (f"{RLO}{RLI}a{PDF}", f"{RLO}{RLI}a{PDI}{PDF}"),
        (f"{RLO}a\nb", f"{RLO}a{PDF}\nb"),
    ],
)
def test_each_line_ends_what_it_has_begun_and_nothing_else(text: str, shown: str) -> None:
    assert direction.balanced(text) == shown
    assert direction.theirs(f"<{text}") == f"<bdi>&lt;{shown}</bdi>"


@given(st.text(alphabet=f"ab\n{RLO}{PDF}{RLI}{PDI}\u2066\u202a"))
def test_what_is_shown_is_balanced_and_has_the_same_text(text: str) -> None:
    shown = direction.balanced(text)
    assert direction.without_turning(shown) == direction.without_turning(text)
    assert direction.balanced(shown) == shown
    for sparkline in shown.splitlines():
        kinds = [unicodedata.bidirectional(one) for one in sparkline]
        assert kinds.count("PDI") == sum(kinds.count(kind) for kind in ("LRI", "RLI", "FSI"))


def test_the_snippets_escape_what_reverses_and_mean_the_same() -> None:
    body = {"name": f"a{RLO}b", "payload": {f"{PDI}k": 1}}
    shown = snippets_of("http://x", body)
    assert direction.without_turning(shown.curl + shown.amqp + shown.python) == (
        shown.curl + shown.amqp + shown.python
    )
    assert orjson.loads(shown.amqp.partition("'END'\n")[2].removesuffix("\nEND")) == body
