"""The form for a new task, and rejected messages, in a real browser."""

import json
import runpy
import subprocess
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Mill, Window
from tests.support.polling import wait_until
from tests.support.refusals import refused_message, store_refused_in_thread

BOTH = [("desktop", "light", "en"), ("phone", "dark", "ru")]
SCHEMA = {
    "type": "object",
    "properties": {
        "to": {"type": "string"},
        "copies": {"type": "integer"},
        "urgent": {"type": "boolean"},
    },
    "required": ["to"],
}


@pytest.fixture(scope="module")
def letter(mill: Mill) -> str:
    """A type with a contract."""
    mill.http.put("/types/letter", json={"payload_schema": SCHEMA}).raise_for_status()
    return "letter"


def test_a_task_is_created_by_keys_alone(window: Window) -> None:
    page = window.open("/")
    page.keyboard.press("g")
    page.keyboard.press("n")
    page.wait_for_url("**/ui/create")
    page.locator("#f-name").focus()
    page.keyboard.type("Typed by hand")
    page.keyboard.press("Tab")
    page.keyboard.type("send-email")
    page.keyboard.press("Tab")
    expect(page.locator("[name='p.to']")).to_be_visible()
    page.locator("#f-payload-0").focus()  # its worker has registered a contract
    page.keyboard.type("me")
    page.get_by_role("button", name="Create the task").press("Enter")
    page.wait_for_url("**/ui/tasks/*-*")
    expect(page.locator("h1")).to_have_text("Typed by hand")
    expect(page.locator("main .status").first).to_have_text("Succeeded")
    assert window.errors == []


@pytest.mark.parametrize("window", BOTH, indirect=True, ids="-".join)
def test_the_fields_and_the_snippets_follow_what_is_chosen(window: Window, letter: str) -> None:
    page = window.open("/ui/create")
    page.locator("#f-type").fill(letter)
    page.keyboard.press("Tab")
    expect(page.locator("[name='p.to']")).to_be_visible()
    page.locator("#f-payload-0").fill("anna")
    page.locator("#f-payload-2").select_option("true")
    curl = page.locator("#snippet-curl pre")
    expect(curl).to_contain_text('"urgent": true')
    window.check()
    page.locator("button[name=to][value=json]").click()
    expect(page.locator("#f-payload")).to_have_value('{\n  "to": "anna",\n  "urgent": true\n}')
    page.locator("#f-payload").fill("{")
    expect(page.locator("#same")).to_contain_text("/payload")
    expect(curl).to_have_count(0)
    window.check()


def test_the_command_that_is_shown_creates_the_task(window: Window, tmp_path: Path) -> None:
    page = window.open("/ui/create")
    page.locator("#f-name").fill("it's from the shell 🎉")
    page.locator("#f-queue").fill("shell")
    expect(page.locator("#snippet-curl pre")).to_contain_text("shell 🎉")
    commands = [
        page.locator(f"#snippet-{name} button").get_attribute("data-copy") or ""
        for name in ("curl", "python")
    ]
    (tmp_path / "create.py").write_text(commands[1], "utf-8")
    made = runpy.run_path(str(tmp_path / "create.py"))["task"]
    by_python = window.mill.http.get(f"/tasks/{made.id}").json()
    done = subprocess.run(  # noqa: S603 - our own
        ["/bin/sh", "-c", commands[0]], check=True, capture_output=True, text=True
    )
    by_curl = json.loads(done.stdout)
    for task in (by_python, by_curl):
        assert (task["name"], task["queue"]) == ("it's from the shell 🎉", "shell")


def test_a_snippet_is_copied(window: Window) -> None:
    page = window.open("/ui/create")
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#snippet-curl button").click()
    expect(page.locator("#snippet-curl button.copied")).to_be_visible()
    assert "curl -X POST" in page.evaluate("navigator.clipboard.readText()")


@pytest.mark.parametrize("window", BOTH, indirect=True, ids="-".join)
def test_faults_are_reported_at_their_field_and_nothing_is_lost(
    window: Window, letter: str
) -> None:
    page = window.open("/ui/create")
    page.locator("#f-name").fill("Keep me")
    page.locator("#f-type").fill(letter)
    page.keyboard.press("Tab")
    expect(page.locator("[name='p.to']")).to_be_visible()
    page.locator("#f-payload-1").fill("many")
    page.locator("form .send button").click()
    wrong = page.locator("#f-payload-1[aria-invalid]")
    expect(wrong).to_have_value("many")
    expect(page.locator("#bad-payload-1")).to_contain_text("/payload/copies")
    expect(page.locator("#bad-payload-0")).to_contain_text("/payload/to")
    expect(page.locator("#f-name")).to_have_value("Keep me")
    window.errors.clear()  # the browser counts a page with status 422 as an error
    window.check()
    page.locator("#f-payload-0").fill("anna")
    wrong.fill("2")
    page.locator("form .send button").click()
    page.wait_for_url("**/ui/tasks/*-*")
    expect(page.locator(".tree")).to_contain_text("anna")


def test_another_one_is_created_like_a_task(window: Window) -> None:
    task_id = window.mill.create(name="Once", type="unknown", payload={"rows": [1]}, queue="like")
    page = window.open(f"/ui/tasks/{task_id}")
    page.get_by_role("link", name="Create another").click()
    page.locator("#f-name").fill("Once more")
    page.get_by_role("button", name="Create the task").click()
    page.wait_for_url("**/ui/tasks/*-*")
    made = window.mill.http.get("/tasks", params={"queue": "like"}).json()["items"]
    assert [one["name"] for one in made] == ["Once more", "Once"]
    assert made[0]["payload"] == {"rows": [1]}
    assert window.errors == []


def test_while_the_database_is_away_the_form_stays_and_makes_one_task_then(
    window: Window,
) -> None:
    page = window.open("/ui/create")
    page.locator("#f-name").fill("Through an outage")
    page.locator("#f-queue").fill("outage")
    window.mill.wire.cut()
    try:
        page.get_by_role("button", name="Create the task").click()
        expect(page.locator("main .banner").last).to_contain_text("what you filled in is here")
        expect(page.locator("#f-name")).to_have_value("Through an outage")
    finally:
        window.mill.wire.restore()

    def is_back() -> bool:
        return window.mill.http.get("/tasks").status_code == httpx.codes.OK

    wait_until(is_back, "the database is back", timeout_s=20)
    page.get_by_role("button", name="Create the task").click()
    page.wait_for_url("**/ui/tasks/*-*")
    found = window.mill.http.get("/tasks", params={"queue": "outage"}).json()["items"]
    assert [one["name"] for one in found] == ["Through an outage"]


@pytest.mark.parametrize("window", BOTH, indirect=True, ids="-".join)
def test_rejected_messages_are_shown_and_sent_again(window: Window) -> None:
    bodies = [b'{"name": "", "queu": "x"}', b"\x00\xff\xfe" * 200, "مهمة 🎉 ".encode() * 50]
    ids = store_refused_in_thread(
        window.mill.wire.url, [refused_message(body, f"{uuid4()}{'m' * 200}") for body in bodies]
    )
    page = window.open("/ui/rejections")
    expect(page.locator(f"#m{ids[0]}")).to_be_visible()
    window.check()
    for one in ids:
        window.open(f"/ui/rejections/{one}")
        window.check()
    page.locator("form[action$=resend] button").click()
    page.locator("#confirm[open] button[value=yes]").click()
    expect(page.locator("#again")).to_be_visible()
    window.errors.clear()  # the browser counts a page with status 422 as an error
    window.check()
