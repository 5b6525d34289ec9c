"""The texts of the pages: complete in each language, used, and in the right plural form."""

import re
from pathlib import Path
from string import Formatter

import pytest

import taskmill.dashboard.app
from taskmill.dashboard import texts
from taskmill.dashboard.navigation import NAVIGATION
from taskmill.dashboard.pages import schedule_shown, types
from taskmill.dashboard.pages.queues import ORDERS
from taskmill.dashboard.pages.schedule_form import CHOICES, SpecKind
from taskmill.dashboard.pages.workers import Condition
from taskmill.dashboard.preferences import THEMES
from taskmill.domain.activity import Window
from taskmill.domain.blockers import BlockerName
from taskmill.domain.fires import FireCause, FireOutcome
from taskmill.domain.lifecycle import EventType, Reason, Status
from taskmill.domain.marks import MarkKind
from taskmill.domain.schedule_health import ScheduleTrouble
from taskmill.domain.schedules.spec import ClockNote
from taskmill.domain.webhooks import DeliveryState, WebhookCondition
from tests.support.every import every

PACKAGE = Path(taskmill.dashboard.app.__file__).parent
# All but the docstring that explains how to add a page.
SOURCES = sorted([*PACKAGE.rglob("*.html"), *PACKAGE.rglob("[a-z]*.py")])
FORMS = {"en": {"one", "many"}, "ru": {"one", "few", "many"}}


def fields(form: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(form) if name is not None}


def forms(found: texts.Forms) -> list[str]:
    return [found] if isinstance(found, str) else list(found.values())


def test_every_language_has_every_text() -> None:
    keys = {language: set(texts.catalogue(language)) for language in texts.LANGUAGES}
    assert keys["ru"] == keys["en"]


@every("key", sorted(texts.catalogue("en")))
def test_a_text_has_the_same_values_in_every_language_and_all_its_plural_forms(key: str) -> None:
    values = set()
    for language in texts.LANGUAGES:
        found = texts.catalogue(language)[key]
        assert isinstance(found, str) or set(found) == FORMS[language]
        assert all(form.strip() for form in forms(found))
        values |= {frozenset(fields(form)) for form in forms(found)}
    assert len(values) == 1


def used_keys() -> tuple[set[str], set[str]]:
    """Return the keys that sources use: whole ones, and the prefixes of composed ones."""
    whole: set[str] = set()
    prefixes: set[str] = set()
    for path in SOURCES:
        content = path.read_text("utf-8")
        # In Python a composed key is an f-string, whose prefix ends at its first brace.
        for match in re.finditer(r"\bt\(\s*(f?)\"([^\"]+)\"\s*(~?)", content):
            key = match[2].partition("{")[0]
            (prefixes if match[1] or match[3] else whole).add(key)
        whole |= set(re.findall(r"\bkey = \"([\w.]+)\"", content))
        for one, other in re.findall(r"\bkey = \"([\w.]+)\" if .* else \"([\w.]+)\"", content):
            whole |= {one, other}
    return whole, {key for key in prefixes if key}


def test_every_text_that_is_used_exists_and_every_one_that_exists_is_used() -> None:
    whole, prefixes = used_keys()
    keys = set(texts.catalogue("en"))
    assert whole - keys == set()
    assert {key for key in prefixes if not any(one.startswith(key) for one in keys)} == set()
    unused = {one for one in keys - whole if not one.startswith((*prefixes, "unit."))}
    assert unused == set()


def test_every_value_of_a_closed_set_has_its_text() -> None:
    wanted = {
        *(f"status.{one}" for one in Status),
        *(f"event.{one}" for one in EventType),
        *(f"reason.{one}" for one in Reason),
        *(f"blocker.{one}" for one in BlockerName),
        *(f"window.{one}" for one in Window),
        *(f"theme.{one}" for one in THEMES),
        *(f"nav.{one.name}" for one in NAVIGATION),
        *(f"worker.{prefix}.{one}" for one in Condition for prefix in ("is", "means")),
        *(f"queues.order.{one}" for one in ORDERS),
        *(f"types.order.{one}" for one in types.ORDERS),
        *(f"schedule.is.{one}" for one in schedule_shown.Condition),
        *(f"schedule.kind.{one}" for one in SpecKind),
        *(f"schedule.outcome.{one}" for one in FireOutcome),
        *(f"schedule.cause.{one}" for one in FireCause),
        *(f"schedule.note.{one}" for one in ClockNote),
        *(f"schedule.trouble.{one}{end}" for one in ScheduleTrouble for end in ("", ".text")),
        *(f"schedule.choice.{name}.{one}" for name, ones in CHOICES.items() for one in ones),
        *(f"schedule.field.{name}" for name in CHOICES),
        *(f"webhook.is.{one}" for one in WebhookCondition),
        *(f"delivery.is.{one}" for one in DeliveryState),
        *(f"mark.{one}" for one in MarkKind),
    }
    assert wanted - set(texts.catalogue("en")) == set()


@pytest.mark.parametrize(
    ("number", "form"),
    [
        *((0, "many"), (1, "one"), (2, "few"), (5, "many"), (11, "many"), (12, "many")),
        *((21, "one"), (22, "few"), (25, "many"), (111, "many"), (1_000_001, "one"), (1.5, "few")),
    ],
)
def test_russian_numbers_take_their_forms(number: float, form: str) -> None:
    assert texts.plural("ru", number) == form


def test_a_number_in_a_text_has_its_thousands_apart() -> None:
    assert texts.text("en", "tasks.total", {"n": 1234567}) == "1,234,567 tasks"
    assert texts.text("ru", "tasks.total", {"n": 1234562}) == "1\u202f234\u202f562 задачи"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("", "en"),
        ("de, fr;q=0.5", "en"),
        ("ru", "ru"),
        ("ru-RU,ru;q=0.9,en;q=0.8", "ru"),
        ("en;q=0.2, ru;q=0.7", "ru"),
        ("ru;q=0, en;q=0.1", "en"),
        ("*;q=x, \x00, ru;q=9", "en"),
    ],
)
def test_the_language_is_what_the_browser_prefers(header: str, language: str) -> None:
    assert texts.preferred(header) == language
