"""Reference pages are generated from the program: settings, OpenAPI, AsyncAPI, events."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scripts import access_page, amqp_page, events_page, http_pages, roles_page, settings_page
from taskmill.api.app import openapi_document

PAGES = {
    access_page.PAGE: access_page.page,
    roles_page.PAGE: roles_page.page,
    settings_page.PAGE: settings_page.page,
    http_pages.REQUESTS: http_pages.requests_page,
    http_pages.BODIES: http_pages.bodies_page,
    amqp_page.PAGE: amqp_page.page,
    events_page.PAGE: events_page.page,
}


@pytest.mark.parametrize(
    ("path", "page"), PAGES.items(), ids=lambda item: getattr(item, "stem", "")
)
def test_a_page_matches_the_declarations(path: Path, page: Callable[[], str]) -> None:
    assert path.read_text(encoding="utf-8") == page(), "run the script that the page names"


def test_every_request_has_a_section_with_its_responses() -> None:
    text = http_pages.requests_page()
    for path, methods in openapi_document()["paths"].items():
        for method, operation in methods.items():
            section = text.split(f"### {method.upper()} {path}\n")[1].partition("\n### ")[0]
            for status in operation["responses"]:
                assert f"| {status} |" in section or f" {status}" in section.split("#refusals")[1]
