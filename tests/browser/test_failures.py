"""The pages of failures in a real browser: a kind is found, looked at, resolved, and comes back."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Mill, Window
from tests.browser.test_pages import QUICK, VIEWS, has_stayed, stays


def fail_one(mill: Mill, number: int, *, place: str) -> str:
    """Make a task fail in a worker of another language."""
    payload = {"page": number, "printer": "\N{HEBREW LETTER ALEF}" * 20}
    made = mill.http.post(
        "/tasks",
        json={"name": f"Print page {number}", "type": "plot", "queue": "plot"}
        | {"payload": payload},
    )
    task_id = str(made.raise_for_status().json()["id"])
    lease = (
        mill.http.post("/leases", json={"worker": "plotter", "types": ["plot"], "wait_s": 5})
        .raise_for_status()
        .json()
    )
    [task] = lease["tasks"]
    error = {"type": "OutOfInk", "message": f"cartridge {number} is empty", "place": place}
    end = {"lease_id": lease["lease_id"], "claim_no": task["claim_no"], "error": error}
    mill.http.post(f"/tasks/{task_id}/fail", json=end).raise_for_status()
    return task_id


def the_kind(mill: Mill, place: str) -> str:
    """Return the path of the page of a kind, after three failures and a success."""
    made = mill.http.post(
        "/tasks", json={"name": "Print", "type": "plot", "queue": "plot", "payload": {"page": 0}}
    )
    lease = (
        mill.http.post("/leases", json={"worker": "plotter", "types": ["plot"], "wait_s": 5})
        .raise_for_status()
        .json()
    )
    claim = {"lease_id": lease["lease_id"], "claim_no": lease["tasks"][0]["claim_no"]}
    mill.http.post(f"/tasks/{made.json()['id']}/finish", json=claim).raise_for_status()
    for number in range(3):
        fail_one(mill, number, place=place)
    [kind] = mill.http.get("/failures", params={"text": place}).json()["items"]
    return f"/ui/failures/{kind['id']}"


def check(window: Window) -> None:
    page = window.open(the_kind(window.mill, f"plotter.draw_{'_'.join(['x' * 30] * 4)}"))
    expect(page.locator(".diff")).to_be_visible()
    window.check()


@pytest.mark.parametrize("window", QUICK, indirect=True, ids="-".join)
def test_the_page_of_a_kind_is_sound(window: Window) -> None:
    check(window)


@pytest.mark.slow
@pytest.mark.parametrize(
    "window", [v for v in VIEWS if v not in QUICK], indirect=True, ids="-".join
)
def test_the_page_of_a_kind_is_sound_in_every_view(window: Window) -> None:
    check(window)


def test_a_kind_is_found_looked_at_resolved_and_comes_back(window: Window) -> None:
    place = "plotter.comes_back"
    the_kind(window.mill, place)
    page = window.open("/ui/failures")
    page.locator("#search").fill("comes_back")
    page.keyboard.press("Enter")
    link = page.locator("#live td.at-head a").first
    expect(link).to_have_text(f"OutOfInk in {place}")
    link.click()
    expect(page.locator("#example")).to_contain_text("Example 1 of 3")
    page.locator("a[rel=next]").click()
    expect(page.locator("#example")).to_contain_text("Example 2 of 3")
    page.get_by_role("button", name="Resolve").click()
    expect(page.locator("#live .status").first).to_have_text("Resolved")
    stays(page)
    fail_one(window.mill, 9, place=place)
    expect(page.locator("#live .status").first).to_have_text("Came back")
    expect(page.locator("#example")).to_contain_text("Example 1 of 4")
    assert has_stayed(page)
    page.get_by_role("button", name="Ignore").click()
    expect(page.locator("#live .status").first).to_have_text("Ignored")
    assert window.errors == []
