"""Texts that change their direction do not affect what is around them: names, labels, errors and lines."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Mill, Window
from tests.browser.test_reach import do
from tests.browser.test_system_pages import fail_one
from tests.support.refusals import refused_message, store_refused_in_thread

# An override that is not closed, and one that closes what may be around it.
TURNING = "\u202eturning"
CLOSING = "\u2069\u202eclosing"

WORKER = "00000000-0000-7000-8000-000000007e57"
A_WORKER = """
INSERT INTO taskmill.lease (id, worker, queues, types, slots, expires_at) VALUES (
    '00000000-0000-7000-8000-000000007e57',
    U&'\\2069\\202Eclosing worker', '{}', '{*}', 3, now() + interval '1 day'
)
"""

# Our texts, and those from outside that do not change the direction, run from left to right: a node's first letter
# is left of its last one, when both are on one line.
TURNED = """() => {
    const turned = [], walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    const boxOf = (node, at) => {
        const range = document.createRange();
        range.setStart(node, at);
        range.setEnd(node, at + 1);
        return range.getBoundingClientRect();
    };
    for (let node; (node = walker.nextNode());) {
        const text = node.data, letters = [...text.matchAll(/[\\p{L}\\p{N}#:/]/gu)].map((one) => one.index);
        if (letters.length < 2 || /[\\u202a-\\u202e\\u2066-\\u2069]/.test(text)) continue;
        if (!node.parentElement.checkVisibility() || node.parentElement.closest("script, style, option")) continue;
        const first = boxOf(node, letters[0]), last = boxOf(node, letters[letters.length - 1]);
        if (Math.abs(first.top - last.top) < 2 && first.left > last.left) turned.push(text.trim().slice(0, 60));
    }
    // What stands behind a text in the same line is behind it on the page.
    for (const one of document.querySelectorAll("bdi")) {
        const next = one.nextSibling;
        if (!next || next.nodeType !== Node.TEXT_NODE || !next.data.trim() || !one.checkVisibility()) continue;
        const own = one.getBoundingClientRect(), behind = boxOf(next, next.data.search(/\\S/));
        const isBefore = Math.abs(own.bottom - behind.bottom) < 4 && behind.left < own.left;
        if (isBefore) turned.push(`before: ${next.data}`);
    }
    return turned;
}"""


@pytest.fixture(scope="module")
def turning(mill: Mill) -> list[str]:
    """Return pages with texts that change the direction, wherever a text from outside can be."""
    task = mill.create(
        name=TURNING,
        description=f"{CLOSING} of it",
        type="turn",
        queue="turn",
        labels={TURNING: CLOSING, "plain": TURNING},
        payload={TURNING: {CLOSING: [TURNING]}},
        max_attempts=1,
    )
    lines = mill.create(name=f"{CLOSING} logs", type="say", payload={"text": TURNING})
    assert mill.ended(lines) == "failed"
    fail_one(mill, "turn", f"{CLOSING}Error")
    rows = mill.http.get("/tasks", params={"queue": "turn"}).json()["items"]
    assert [one["status"] for one in rows] == ["failed"]
    bodies = [f'{{"name": 1, "{TURNING}": 1}}'.encode(), f"{CLOSING} is no JSON".encode()]
    rejection_ids = store_refused_in_thread(
        mill.wire.url, [refused_message(body, f"{TURNING}-id") for body in bodies]
    )
    do(mill.wire.url, A_WORKER)
    return [
        *(
            "/",
            "/ui/tasks?queue=turn",
            "/ui/tasks?type=say",
            f"/ui/tasks/{task}",
            f"/ui/tasks/{lines}",
        ),
        *("/ui/failures", "/ui/workers", f"/ui/workers/{WORKER}", f"/ui/create?like={task}"),
        *(
            "/ui/rejections",
            f"/ui/rejections/{rejection_ids[0]}",
            f"/ui/rejections/{rejection_ids[1]}",
        ),
    ]


@pytest.mark.parametrize(
    "window", [("desktop", "light", "en"), ("phone", "dark", "ru")], indirect=True, ids="-".join
)
def test_what_reverses_text_reverses_nothing_around_it(window: Window, turning: list[str]) -> None:
    found = {}
    for path in turning:
        page = window.open(path)
        expect(page.locator("h1")).to_be_visible()
        for summary in page.locator("main details:not([open]) > summary").all():
            if summary.is_visible():
                summary.click()
        if turned := page.evaluate(TURNED):
            found[path] = turned
    assert found == {}
    assert window.errors == []
