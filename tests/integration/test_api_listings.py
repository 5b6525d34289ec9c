"""Listings over HTTP: filters, pages, cursors and links."""

from typing import Any
from urllib.parse import quote

import pytest

from tests.support.api import Served


async def names(api: Served, **query: Any) -> list[str]:  # noqa: ANN401 - query parameters
    response = await api.get("/tasks", params=query)
    assert response.status_code == 200, response.text
    return [task["name"] for task in response.json()["items"]]


async def test_filters_select_and_order_reverses(api: Served) -> None:
    await api.create(name="one", queue="mail", labels={"team": "a", "env": "test"})
    two = await api.create(name="Two", type="pdf", labels={"team": "a"})
    three = await api.create(name="three", labels={"team": "b", "q": "x=y"})
    await api.post(f"/tasks/{two['id']}/cancel")
    assert await names(api) == ["three", "Two", "one"]
    assert await names(api, order="asc") == ["one", "Two", "three"]
    assert await names(api, status="cancelled") == ["Two"]
    assert await names(api, status=["cancelled", "new"]) == ["three", "Two", "one"]
    assert await names(api, queue="mail") == ["one"]
    assert await names(api, type="pdf") == ["Two"]
    assert await names(api, label="team=a") == ["Two", "one"]
    assert await names(api, label=["team=a", "env=test"]) == ["one"]
    assert await names(api, label="q=x=y") == ["three"]
    assert await names(api, name="T") == ["three", "Two"]
    assert await names(api, name="%") == []
    assert await names(api, created_after=three["created_at"]) == ["three"]
    assert await names(api, created_before=three["created_at"], order="asc") == ["one", "Two"]


async def test_a_zone_whose_plus_was_not_encoded_is_understood(api: Served) -> None:
    await api.create()
    for zone in ("+03:00", quote("+03:00"), "Z"):
        response = await api.get(f"/tasks?created_after=2001-01-01T00:00:00{zone}")
        assert response.json()["total"] == 1


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_cursors_and_links_lead_through_all_pages(api: Served, order: str) -> None:
    created = [(await api.create(name=f"task {n}", labels={"n": "1"}))["id"] for n in range(7)]
    expected = created if order == "asc" else created[::-1]
    seen: list[str] = []
    path = f"/tasks?limit=3&order={order}&label=n%3D1&status=new&status=failed"
    while path:
        page = await api.get(path)
        body = page.json()
        seen += [task["id"] for task in body["items"]]
        assert body["total"] == 7
        path = page.links["next"]["url"] if "next" in page.links else ""
        assert bool(path) == (body["next_cursor"] is not None)
        if path:
            by_cursor = await api.get(
                "/tasks",
                params={
                    "limit": 3,
                    "order": order,
                    "label": "n=1",
                    "status": ["failed", "new"],
                    "cursor": body["next_cursor"],
                },
            )
            assert by_cursor.json() == (await api.get(path)).json()
    assert seen == expected


async def test_an_offset_leaves_out_what_comes_first(api: Served) -> None:
    for name in "abcd":
        await api.create(name=name)
    assert await names(api, offset=1, limit=2) == ["c", "b"]


async def test_a_cursor_belongs_to_its_listing_alone(api: Served) -> None:
    for _ in range(3):
        await api.create()
    cursor = (await api.get("/tasks?limit=1")).json()["next_cursor"]
    assert (await api.get("/tasks", params={"cursor": cursor, "limit": 2})).status_code == 200
    refused = [
        {"cursor": cursor, "order": "asc"},
        {"cursor": cursor, "status": "new"},
        {"cursor": cursor, "queue": "default"},
        {"cursor": cursor, "name": "a"},
        {"cursor": cursor[:-1] + ("A" if cursor[-1] != "A" else "B")},
        {"cursor": cursor[:-1]},
        {"cursor": cursor + "AAAA"},
        {"cursor": ""},
        {"cursor": "ё"},
        {"cursor": "-" * 32},
    ]
    for query in refused:
        response = await api.get("/tasks", params=query)
        assert response.status_code == 400, query
        assert response.json()["type"] == "/problems/bad-cursor"


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("limit=0", "query:limit"),
        ("limit=501", "query:limit"),
        ("limit=1e2", "query:limit"),
        ("limit=+5", "query:limit"),
        ("limit=1_0", "query:limit"),
        ("limit=", "query:limit"),
        ("limit=99999999999999999999999", "query:limit"),
        ("limit=1&limit=2", "query:limit"),
        ("offset=10001", "query:offset"),
        ("offset=-1", "query:offset"),
        ("offset=1&cursor=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "query:offset"),
        ("status=done", "query:status"),
        ("status=", "query:status"),
        ("queue=UPPER", "query:queue"),
        ("queue=a&queue=b", "query:queue"),
        ("type=%D1%91", "query:type"),
        ("label=team", "query:label"),
        ("label==x", "query:label"),
        ("label=a=1&label=a=2", "query:label"),
        ("name=", "query:name"),
        ("name=" + "x" * 201, "query:name"),
        ("name=%00", "query:name"),
        ("created_after=yesterday", "query:created_after"),
        ("created_after=1999-12-31T23:59:59Z", "query:created_after"),
        ("created_after=0001-01-01T00:00:00%2B14:00", "query:created_after"),
        ("created_before=9999-12-31T23:59:59-14:00", "query:created_before"),
        ("created_before=2030-01-01T00:00:00", "query:created_before"),
        ("order=up", "query:order"),
        ("page=2", "query:page"),
        ("&".join(f"p{n}=1" for n in range(300)), "query:"),
    ],
)
async def test_a_bad_query_is_refused_with_the_pointer(
    api: Served, query: str, pointer: str
) -> None:
    response = await api.get(f"/tasks?{query}")
    assert response.status_code == 422, response.text
    assert response.json()["errors"][0]["pointer"] == pointer


async def test_an_unknown_parameter_is_refused_with_the_known_ones(api: Served) -> None:
    error = (await api.get("/tasks?statsu=new")).json()["errors"][0]
    assert "status, waiting, queue, type, label" in error["expected"]
    assert "did you mean status?" in error["got"]
    for path in ("/stats?x=1", "/workers?x=1", "/queues?x=1"):
        assert (await api.get(path)).status_code == 422
    assert (await api.post("/tasks?dry_run=1", {"name": "a"})).status_code == 422
    task = await api.create()
    assert (await api.get(f"/tasks/{task['id']}?wait=1")).status_code == 422
