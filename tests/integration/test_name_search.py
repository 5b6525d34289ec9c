"""Names are found in any case of any alphabet: in lists, counts, sweeps and pages."""

import pytest

from tests.support.api import Served

NAMES = ("Письмо клиенту", "Straße kehren", "mail")


@pytest.fixture
async def named(pages: Served) -> Served:
    """Pages and API with tasks of these names."""
    for name in NAMES:
        await pages.create(name=name)
    return pages


@pytest.mark.parametrize(
    ("needle", "name"),
    [("письмо", NAMES[0]), ("КЛИЕНТ", NAMES[0]), ("STRASSE", NAMES[1]), ("Mail", NAMES[2])],
)
async def test_a_name_is_found_in_any_case(named: Served, needle: str, name: str) -> None:
    listed = (await named.get("/tasks", params={"name": needle})).json()
    assert [task["name"] for task in listed["items"]] == [name]
    assert listed["total"] == 1
    counted = await named.post("/tasks/cancel", {"name": needle, "dry_run": True})
    assert counted.json()["matched"] == 1
    html = (await named.get("/ui/tasks", params={"name": needle})).text
    assert [other for other in NAMES if other in html] == [name]
