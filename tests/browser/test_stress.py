"""Nothing breaks the layout: an empty system, one task, and names, payloads, errors and logs as long as may be."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.conftest import DATABASE, HERE, Mill, Window, a_context
from tests.support.postgres import DatabaseServer
from tests.support.processes import Program
from tests.support.refusals import refused_message, store_refused_in_thread
from tests.support.wire import a_wire

SIZES = [("desktop", "light", "en"), ("phone", "dark", "ru")]
LONGEST = "W" * 200
LINES = 10_000
MEBIBYTE = 1024 * 1024
NAMES = {
    "long": LONGEST,
    "rtl": "שלום עולם, זו משימה ארוכה מאוד " * 6,
    "emoji": "👩‍👩‍👧‍👦🏳️‍🌈🎉" * 14,
    "marks": "Z͑ͫ̓ͪ̂ͫ̽͏̴̙̤̞͉͚̯̞̠͍A̴̵̜̰͔ͫ͗͢L" * 4,
    "turned": "\u202ednuorA\u202c \u2066inside\u2069 \u200f mark",
    "markup": "<h1>&lt;script>alert(1)</script>\"'`${}",
}


@pytest.fixture(scope="module")
def stressed(mill: Mill) -> dict[str, str]:
    """Tasks with values of the maximal length, by what is long about them."""
    tasks = {
        kind: mill.create(
            name=name[:200],
            type="t" * 63,
            queue="s" * 63,
            description=name * 20,
            labels={f"{name[:50]}{n}": name[:200] for n in range(20)},
            payload={name: {name: [name * 20] * 3}},
        )
        for kind, name in NAMES.items()
    }
    tasks["large"] = mill.create(
        name="1 MiB", type="unknown", payload={"x": "x" * (MEBIBYTE - 200)}
    )
    rows = {"rows": [{"n": n, "text": "y" * 80} for n in range(8_000)]}
    tasks["many"] = mill.create(name="many rows", type="unknown", payload=rows)
    deep: object = 1
    for _ in range(60):
        deep = {"a long name of a member": deep}
    tasks["deep"] = mill.create(name="deep", type="unknown", payload={"deep": deep})
    tasks["shout"] = mill.create(name="shouts", type="shout", payload={"lines": LINES})
    assert mill.ended(tasks["shout"]) == "failed"
    return tasks


def is_in_shape(window: Window, path: str) -> None:
    page = window.open(path)
    expect(page.locator("h1")).to_be_visible()
    for summary in page.locator("main details:not([open]) > summary").all()[:6]:
        if summary.is_visible():
            summary.click()
    wider = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(wider) <= 0, path
    # Nothing is cut off that can't be scrolled to.
    beyond = page.evaluate(
        "[...document.querySelectorAll('main .card, main .head, main .tile')]"
        ".filter((one) => one.getBoundingClientRect().right > innerWidth + 1).map((one) => one.className)"
    )
    assert beyond == [], path
    assert window.errors == [], path


@pytest.mark.parametrize("window", SIZES, indirect=True, ids="-".join)
def test_names_of_any_kind_break_no_page(window: Window, stressed: dict[str, str]) -> None:
    is_in_shape(window, f"/ui/tasks?queue={'s' * 63}")
    expect(window.page.locator("#list tbody tr")).to_have_count(len(NAMES))
    window.check()
    is_in_shape(window, f"/ui/tasks/{stressed['long']}")
    window.check()
    is_in_shape(window, f"/ui/create?like={stressed['long']}")
    window.check()


@pytest.mark.slow
@pytest.mark.parametrize("window", SIZES, indirect=True, ids="-".join)
@pytest.mark.parametrize("kind", [*NAMES, "large", "many", "deep", "shout"])
def test_a_task_as_large_as_may_be_breaks_no_page(
    window: Window, stressed: dict[str, str], kind: str
) -> None:
    is_in_shape(window, f"/ui/tasks/{stressed[kind]}")
    is_in_shape(window, f"/ui/create?like={stressed[kind]}")
    window.check()


@pytest.mark.parametrize("window", SIZES[1:], indirect=True, ids="-".join)
def test_ten_thousand_lines_are_shown_in_part(window: Window, stressed: dict[str, str]) -> None:
    is_in_shape(window, f"/ui/tasks/{stressed['shout']}")
    expect(window.page.locator(".trouble pre")).to_contain_text("File 0, in a place")
    assert window.page.locator(".lines li").count() == 200
    assert window.page.locator(".lines").bounding_box()["height"] < 500  # type: ignore[index]  # it is visible


@pytest.mark.slow
@pytest.mark.parametrize("window", SIZES, indirect=True, ids="-".join)
def test_rejected_messages_of_any_kind_break_no_page(window: Window) -> None:
    bodies = [*(name.encode() for name in NAMES.values()), b"\xff" * MEBIBYTE, b"x" * MEBIBYTE, b""]
    name = f"{uuid4()}{'m' * 219}"
    for rejection_id in store_refused_in_thread(
        window.mill.wire.url, [refused_message(body, name) for body in bodies]
    ):
        is_in_shape(window, f"/ui/rejections/{rejection_id}")
    is_in_shape(window, "/ui/rejections")
    window.check()


@pytest.fixture(scope="module")
def empty(
    database_server: DatabaseServer,
    database_template: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Mill]:
    """A service without tasks and workers."""
    folder: Path = tmp_path_factory.mktemp("empty")
    shutil.copy(HERE / "mill.py", folder)
    with (
        a_wire(database_server.create(template=database_template)) as wire,
        Program("run", "api", "--port", "0", folder=folder, env={DATABASE: wire.url}) as program,
        program.client() as http,
    ):
        yield Mill(url=program.facts["url"], http=http, wire=wire)


@pytest.mark.slow
def test_an_empty_system_and_one_task_break_no_page(empty: Mill, browser: Browser) -> None:
    paths = ["/", "/ui/tasks", "/ui/tasks?status=new&name=x", "/ui/create", "/ui/rejections"]
    for _ in range(2):
        for view in SIZES:
            context = a_context(browser, *view)
            window = Window(page=context.new_page(), mill=empty)
            for path in paths:
                is_in_shape(window, path)
                window.check()
            context.close()
        paths.append(f"/ui/tasks/{empty.create(name='the only one')}")
