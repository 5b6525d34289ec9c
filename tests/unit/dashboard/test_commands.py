"""What a terminal says by commands, a page says by its buttons."""

import pytest

from taskmill.dashboard.commands import with_buttons
from taskmill.dashboard.texts import text


def shown(sentence: str, language: str = "en") -> str:
    return with_buttons(
        lambda key, **values: text(language, key, values),
        lambda path, pairs: path + "".join(f"?{name}={value}" for name, value in pairs),
        sentence,
    )


@pytest.mark.parametrize(
    ("sentence", "html"),
    [
        (
            "Nothing. `taskmill task retry 01a2` would run it again.",
            "Nothing. <b>Retry</b> would run it again.",
        ),
        (
            "Wait. `taskmill task reschedule 01a2 --now` would run it now.",
            "Wait. <b>Run now</b> would run it now.",
        ),
        ("`taskmill queue resume mail`", '<a href="/ui/queues?name=mail">Resume</a>'),
        (
            "Have one: `taskmill worker resume NAME`; or `taskmill run worker`.",
            'Have one: <a href="/ui/workers">Resume</a>; or <code>taskmill run worker</code>.',
        ),
        (
            "`taskmill task show 01a2` & <more>",
            "<code>taskmill task show 01a2</code> &amp; &lt;more&gt;",
        ),
        ("Wait.", "Wait."),
    ],
)
def test_a_command_is_named_as_its_button(sentence: str, html: str) -> None:
    assert shown(sentence) == html


def test_names_of_buttons_are_in_the_readers_language() -> None:
    assert shown("`taskmill task retry 01a2`", "ru") == "<b>«Повторить»</b>"
