"""Queues, workers and failures in a real browser, on a running system."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Mill, Window
from tests.browser.test_pages import QUICK, VIEWS, has_stayed, stays

PAGES = (
    "/ui/queues",
    "/ui/queues?window=5m&order=oldest",
    "/ui/workers",
    "/ui/failures",
    *("/ui/queues/default", "/ui/queues/default?from=2026-01-01T00:00Z&to=2026-01-02T00:00Z"),
    "/ui/types",
    "/ui/types/charge-card",
    "/ui/system/doctor",
)


def the_worker(mill: Mill) -> str:
    """Return the id of the worker that runs."""
    workers = mill.http.get("/workers").raise_for_status().json()["items"]
    return next(str(one["id"]) for one in workers if one["state"] == "alive")


def check_all(window: Window) -> None:
    for path in (*PAGES, f"/ui/workers/{the_worker(window.mill)}"):
        page = window.open(path)
        expect(page.locator("h1")).to_be_visible()
        window.check()


@pytest.mark.parametrize("window", QUICK, indirect=True, ids="-".join)
def test_pages_of_the_system_are_sound(window: Window) -> None:
    check_all(window)


@pytest.mark.slow
@pytest.mark.parametrize(
    "window", [v for v in VIEWS if v not in QUICK], indirect=True, ids="-".join
)
def test_pages_of_the_system_are_sound_in_every_view(window: Window) -> None:
    check_all(window)


def test_a_queue_is_paused_and_resumed_and_fills_meanwhile_without_a_reload(
    window: Window,
) -> None:
    window.mill.ended(
        window.mill.create(name="First", type="send-email", payload={"to": "x"}, queue="pauses")
    )
    page = window.open("/ui/queues?name=pauses")
    row = page.locator("#q-pauses")
    row.get_by_role("button", name="Pause").first.click()
    window.check()
    page.locator("#confirm[open]").get_by_role("button", name="Confirm").click()
    expect(row).to_contain_text("Paused")
    assert page.url.endswith("/ui/queues?name=pauses")
    stays(page)
    task_id = window.mill.create(
        name="Waits", type="send-email", payload={"to": "x"}, queue="pauses"
    )
    expect(row.locator("td").nth(1).locator("a")).to_have_text(["1", "1 held"])
    assert has_stayed(page)
    row.get_by_role("button", name="Resume").click()
    expect(row).not_to_contain_text("Paused")
    assert window.mill.ended(task_id) == "succeeded"
    expect(row.locator("td").nth(1)).to_have_text("0")
    assert window.errors == []


def test_a_worker_is_made_quiet_and_goes_on(window: Window) -> None:
    page = window.open("/ui/workers")
    row = page.locator(f"#w{the_worker(window.mill)}")
    row.get_by_role("button", name="Quiet").click()
    page.locator("#confirm[open]").get_by_role("button", name="Quiet").click()
    try:
        expect(row.locator(".status")).to_have_text("Quiet")
    finally:
        row.get_by_role("button", name="Resume").click()
    expect(row.locator(".status")).to_have_text("Working")
    row.get_by_role("link").click()
    page.wait_for_url("**/ui/workers/*-*")
    expect(page.locator("h1")).to_have_text("worker-1")
    assert window.errors == []


def test_the_worker_of_a_running_task_is_a_link_and_shows_the_task(window: Window) -> None:
    task_id = window.mill.create(name="Seen at its worker", type="build-report")
    page = window.open(f"/ui/tasks/{task_id}")
    page.locator(".facts").get_by_role("link", name="worker-1").click()
    page.wait_for_url("**/ui/workers?name=worker-1")
    page.get_by_role("link", name="worker-1").first.click()
    row = page.locator(f"#t{task_id}")
    expect(row.locator("progress")).to_be_visible()
    page.get_by_role("link", name="Open as a list").click()
    expect(page.locator(f"#t{task_id}")).to_be_visible()
    window.mill.http.post(f"/tasks/{task_id}/cancel").raise_for_status()
    expect(page.locator(f"#t{task_id}")).to_have_count(0)
    window.check()


def fail_one(mill: Mill, kind: str, error: str) -> None:
    """Pull a task of a type, and report it as failed."""
    claim = {"worker": "puller", "types": [kind], "wait_s": 5}
    lease = mill.http.post("/leases", json=claim).raise_for_status().json()
    [task] = lease["tasks"]
    end = {
        "lease_id": lease["lease_id"],
        "claim_no": task["claim_no"],
        "error": {"type": error, "message": "it burns"},
    }
    mill.http.post(f"/tasks/{task['id']}/fail", json=end).raise_for_status()


def test_failures_of_a_kind_appear_and_are_retried_after_a_preview(window: Window) -> None:
    page = window.open("/ui/failures")
    stays(page)
    for number in range(2):
        window.mill.create(name=f"Print page {number}", type="print", queue="print")
        fail_one(window.mill, "print", "PrinterOnFire")
    row = page.locator("#live tr", has_text="PrinterOnFire")
    expect(row).to_be_visible()
    expect(row.locator("td strong")).to_have_text("2")
    assert has_stayed(page)
    row.get_by_role("button", name="Retry").click()
    sheet = page.locator("#sheet[open]")
    expect(sheet.locator(".big")).to_have_text("2")
    window.check()
    sheet.get_by_role("button", name="Retry them").click()
    expect(page.locator(".job")).to_contain_text("Retried 2 tasks")
    assert "status=failed" in page.url
    assert window.errors == []


def test_the_page_of_the_system_leads_to_the_findings_of_the_doctor(window: Window) -> None:
    page = window.open("/ui/system")
    # Servers of tests are not durable.
    expect(page.locator("#doctor.trouble h2")).to_contain_text("trouble")
    page.locator("#doctor").get_by_role("link").click()
    page.wait_for_url("**/ui/system/doctor")
    expect(page.locator(".diagnoses .code").first).to_contain_text("ALTER SYSTEM SET")
    before = page.locator("#verdict + p time").get_attribute("datetime")
    page.get_by_role("link", name="Examine again").click()
    expect(page.locator("#verdict + p time")).not_to_have_attribute("datetime", str(before))
    assert window.errors == []


def test_pages_of_the_system_are_reached_by_keys(window: Window) -> None:
    page = window.open("/")
    for letter, path in (("q", "queues"), ("w", "workers"), ("f", "failures")):
        page.keyboard.press("g")
        page.keyboard.press(letter)
        page.wait_for_url(f"**/ui/{path}")
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url("**/ui/failures/*")
