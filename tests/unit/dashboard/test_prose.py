"""Sentences for a terminal, as pages show them."""

import pytest

from taskmill.dashboard.prose import prose


@pytest.mark.parametrize(
    ("sentence", "shown"),
    [
        ("Nothing to do.", "Nothing to do."),
        ("Run `taskmill up`, then `ls`.", "Run <code>taskmill up</code>, then <code>ls</code>."),
        (
            "Paused since 2026-11-25T21:31:31Z (28 s ago).",
            'Paused since <time datetime="2026-11-25T21:31:31Z" data-full>2026-11-25 21:31:31</time> (28 s ago).',
        ),
        (
            "at 2026-11-25T21:31:31.25Z",
            'at <time datetime="2026-11-25T21:31:31.25Z" data-full>2026-11-25 21:31:31</time>',
        ),
        ("<b> `<i>` & ` alone", "&lt;b&gt; <code>&lt;i&gt;</code> &amp; ` alone"),
    ],
)
def test_code_and_times_are_shown_as_such_and_all_else_as_text(sentence: str, shown: str) -> None:
    assert str(prose(sentence)) == shown
