"""What needs attention, in the reader's language."""

from unicodedata import name as unicode_name

import orjson
import pytest

from taskmill.dashboard import texts
from taskmill.dashboard.notice_text import shown_notices
from taskmill.dashboard.wording import Words
from taskmill.domain.attention import NoticeKind
from taskmill.domain.attention_texts import TEXTS
from taskmill.wire.attention import page_of
from tests.support.attention import CASES, NOON, ago, notices, queue
from tests.support.every import every
from tests.unit.dashboard.test_texts import PACKAGE, fields, forms

RUSSIAN = orjson.loads((PACKAGE / "texts/attention/ru.json").read_bytes())


def of_english(found: str | tuple[str, str]) -> list[str]:
    return [found] if isinstance(found, str) else list(found)


def test_another_language_has_every_sentence_and_what_ends_it() -> None:
    wanted = {"more", *TEXTS}
    assert set(RUSSIAN) == wanted | {f"{one}.action" for one in wanted}


@every("text_name", TEXTS)
def test_a_sentence_has_the_same_facts_in_every_language(text_name: str) -> None:
    text = TEXTS[text_name]
    for english, russian in (
        (text.sentence, RUSSIAN[text_name]),
        (text.action, RUSSIAN[f"{text_name}.action"]),
    ):
        assert isinstance(russian, str) or set(russian) == {"one", "few", "many"}
        known = {field for form in of_english(english) for field in fields(form)}
        found = {field for form in forms(russian) for field in fields(form)}
        # `n` may be said by a plural form alone.
        assert found - {"n"} == known - {"n"}


@pytest.mark.parametrize("language", texts.LANGUAGES)
@every("case", CASES)
def test_every_case_is_shown_in_every_language(language: str, case: str) -> None:
    found = shown_notices(Words(language, NOON), notices(**CASES[case]))
    [shown] = [one for one in found if one.notice.text == case]
    assert shown.language == language
    is_russian = any(unicode_name(letter, "").startswith("CYRILLIC") for letter in shown.sentence)
    assert is_russian is (language == "ru")
    assert "{" not in shown.sentence + shown.action


def test_numbers_spans_and_shares_are_written_as_the_language_does() -> None:
    paused = [queue(waiting=2345, paused_at=ago(hours=1))]
    texts_of = {
        language: shown_notices(Words(language, NOON), notices(queues=paused))[0].sentence
        for language in texts.LANGUAGES
    }
    assert texts_of == {
        "en": "Queue mail is paused, 2,345 tasks wait.",
        "ru": "Очередь mail приостановлена, ждут 2\u202f345 задач.",
    }
    up = notices(**CASES["failures_up.up"])
    assert "20 %" in shown_notices(Words("en", NOON), up)[0].sentence
    late = notices(**CASES["late.waiting"])
    assert "2\u00a0мин" in shown_notices(Words("ru", NOON), late)[0].sentence


def test_a_name_from_outside_keeps_its_direction() -> None:
    found = notices(**CASES["worker_lost.idle"])
    assert "\u2068host-9\u2069" in shown_notices(Words("en", NOON), found)[0].sentence


def test_others_of_a_kind_are_counted_in_every_language() -> None:
    many = [queue(f"q{number:02}", waiting=1, paused_at=NOON) for number in range(30)]
    for language, words in (("en", "And 11 more"), ("ru", "Ещё 11")):
        last = shown_notices(Words(language, NOON), notices(queues=many))[-1]
        assert last.notice.kind is NoticeKind.PAUSED
        assert last.sentence.startswith(words)
        assert last.page == "/ui/tasks?status=new"


def test_a_text_that_a_language_lacks_is_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("taskmill.dashboard.notice_text.notice_text", lambda *_: None)
    [shown] = shown_notices(Words("ru", NOON), notices(**CASES["worker_lost.idle"]))
    assert (shown.language, shown.action[:4]) == ("en", "Find")


@every("case", CASES)
def test_what_a_notice_leads_to_is_a_page_of_the_dashboard(case: str) -> None:
    pages = {page_of(one) for one in notices(**CASES[case])}
    assert all(page is None or page.startswith("/ui/") for page in pages)
