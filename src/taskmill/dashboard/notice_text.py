"""What is shown of notices in the reader's language: a text of that language, or else the English one.

Which there are is decided in `domain/attention_rules`.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from taskmill.dashboard.direction import isolated
from taskmill.dashboard.texts import DEFAULT, notice_text
from taskmill.dashboard.wording import NOTHING, Words, shortened
from taskmill.domain.attention import MORE, Notice
from taskmill.domain.attention_texts import SHARES, filled, text_of
from taskmill.domain.blockers import a_few
from taskmill.wire.attention import page_of

_LONGEST: Final = 160
_THEIRS: Final = frozenset({"worker", "error", "trouble", "reason", "webhook", "process"})
"""The facts that are texts from outside, in any script."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownNotice:
    """A notice, its sentence, what ends it, the language of both, and the page that shows more."""

    notice: Notice
    sentence: str
    action: str
    language: str
    page: str | None


def shown_notices(words: Words, notices: Iterable[Notice]) -> list[ShownNotice]:
    """Return notices as they are shown, in the same order."""
    return [_shown_notice(words, notice) for notice in notices]


def _shown_notice(words: Words, notice: Notice) -> ShownNotice:
    key = MORE if notice.case == MORE else notice.text
    values = {name: _value(words, name, value) for name, value in notice.facts.items()}
    # A number chooses the plural form, and is shown by the text itself.
    values = {"kind": notice.kind.replace("_", " "), **values, "n": notice.facts.get("n")}
    sentence = notice_text(words.language, key, values)
    action = notice_text(words.language, f"{key}.action", values)
    if sentence is None or action is None:
        return _in_english(words, notice)
    return ShownNotice(
        notice=notice,
        sentence=sentence,
        action=action,
        language=words.language,
        page=page_of(notice),
    )


def _in_english(words: Words, notice: Notice) -> ShownNotice:
    english = Words(DEFAULT, words.now)
    text = text_of(notice)

    def shown(name: str, value: object) -> object:
        return _value(english, name, value)

    return ShownNotice(
        notice=notice,
        sentence=filled(text.sentence, notice, shown),
        action=filled(text.action, notice, shown),
        language=DEFAULT,
        page=page_of(notice),
    )


def _value(words: Words, name: str, value: object) -> object:
    shown: object = NOTHING if value is None else value
    match value:
        case timedelta():
            shown = words.span(value.total_seconds())
        case float() if name in SHARES:
            shown = words.share(value)
        case int() | float():
            shown = words.number(value)
        case list():
            shown = a_few(value)
        case str() if name in _THEIRS:
            shown = isolated(shortened(value, _LONGEST))
    return shown
