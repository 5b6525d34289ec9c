"""Finds what the scene must show, by clicks from the overview, as somebody does who sees it for the first time."""

import re
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from playwright.sync_api import Error as PlaywrightError, Page

from tests.support.polling import wait_until

MOST_CLICKS: Final = 2
LONGEST_S: Final = 10.0

_ISOLATES: Final = re.compile("[\u2066-\u2069\u200e\u200f]")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something to find: the links to click, what is then shown, and what must not be."""

    name: str
    shows: str
    clicks: tuple[str, ...] = ()
    hides: str | None = None

    @property
    def slug(self) -> str:
        """The name of its picture."""
        return re.sub(r"[^a-z0-9]+", "-", self.name.lower())


def read_facts() -> list[Fact]:
    """Return all facts, in their order."""
    table = tomllib.loads(Path(__file__).with_name("facts.toml").read_text("utf-8"))
    return [Fact(**{**one, "clicks": tuple(one.get("clicks", ()))}) for one in table["fact"]]


def missing(page: Page, url: str, fact: Fact) -> str | None:
    """Return why a fact is not found in time; None if it is, and the page shows it."""
    began = time.monotonic()  # noqa: TID251 - how long somebody waits is real time
    page.set_default_timeout(LONGEST_S * 1000)
    try:
        page.goto(url)
        for name in fact.clicks:
            page.get_by_role("link", name=re.compile(name)).first.click()
        left_s = LONGEST_S - (time.monotonic() - began)  # noqa: TID251 - see above
        wait_until(lambda: _is_shown(page, fact), f"/{fact.shows}/", timeout_s=left_s)
    except (PlaywrightError, AssertionError) as error:
        return f"{str(error).splitlines()[0]} at {page.url}: {text_of(page)[:2_000]}"
    return None


def _is_shown(page: Page, fact: Fact) -> bool:
    text = text_of(page)
    is_hidden = fact.hides is None or re.search(fact.hides, text) is None
    return is_hidden and re.search(fact.shows, text) is not None


def text_of(page: Page) -> str:
    """Return the title and the text of a page, with single spaces."""
    text = f"{page.title()} {page.locator('main').inner_text()}"
    return " ".join(_ISOLATES.sub("", text).split())
