"""The legacy API, as programs that were written for the earlier service use it."""
# ruff: noqa: RUF001  (the earlier statuses are Russian words)

import pytest

from taskmill.domain.lifecycle import ErrorInfo, Failed, Succeeded
from tests.support.api import Served, serving
from tests.support.stage import Stage

TASKS = "/task_service/api/v1/task"
NAMES = {
    "new": "Создана",
    "in_progress": "В процессе",
    "succeeded": "Завершена успешно",
    "failed": "Ошибка",
    "cancelled": "Ошибка",
}


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_task_is_created_and_read_in_the_legacy_form(api: Served, slash: str) -> None:
    created = await api.post(f"{TASKS}{slash}", {"name": "old", "description": "way"})
    task = created.json()
    assert created.status_code == 201
    assert created.headers["content-type"] == "application/json"
    assert task.keys() == {"id", "uid", "name", "description", "created_at", "status"}
    assert (task["name"], task["description"], task["status"]) == ("old", "way", "Создана")
    assert (await api.get(f"{TASKS}/{task['uid']}{slash}")).json() == task
    same = (await api.get(f"/tasks/{task['uid']}")).json()
    assert (same["number"], same["created_at"]) == (task["id"], task["created_at"])


async def test_each_status_has_its_legacy_name_also_as_a_filter(api: Served, stage: Stage) -> None:
    lease_id = await stage.open_lease()
    ids = {}
    for status, outcome in (
        ("succeeded", Succeeded(result=None)),
        ("failed", Failed(error=ErrorInfo(type="E", message="m"))),
        ("in_progress", None),
    ):
        taken = await stage.running(lease_id)
        ids[status] = str(taken.task.id)
        if outcome is not None:
            await stage.end(taken, lease_id, outcome)
    ids["cancelled"] = (await api.create())["id"]
    await api.post(f"/tasks/{ids['cancelled']}/cancel")
    ids["new"] = (await api.create())["id"]
    for status, task_id in ids.items():
        assert (await api.get(f"{TASKS}/{task_id}/")).json()["status"] == NAMES[status]
    for name in set(NAMES.values()):
        page = (await api.get(f"{TASKS}/", params={"status": name})).json()
        expected = [task_id for status, task_id in ids.items() if NAMES[status] == name]
        assert [task["uid"] for task in page["objects"]] == expected
        assert page["total"] == len(expected)
    for word, status in (("\u0043оздана", "new"), ("Выполнено успешно", "succeeded")):
        page = (await api.get(f"{TASKS}/", params={"status": word})).json()
        assert [task["uid"] for task in page["objects"]] == [ids[status]], "as the README had it"


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_page_is_the_oldest_first_and_twenty_long(api: Served, slash: str) -> None:
    for number in range(25):
        await api.post(f"{TASKS}/", {"name": f"task {number}"})
    page = (await api.get(f"{TASKS}{slash}")).json()
    assert (page["limit"], page["offset"], page["total"]) == (20, 0, 25)
    assert [task["name"] for task in page["objects"]] == [f"task {n}" for n in range(20)]
    rest = (await api.get(f"{TASKS}{slash}?skip=23&limit=10&unknown=1")).json()
    assert (rest["limit"], rest["offset"], rest["total"]) == (10, 23, 25)
    assert [task["name"] for task in rest["objects"]] == ["task 23", "task 24"]


async def test_unknown_fields_are_ignored(api: Served) -> None:
    assert (await api.post(f"{TASKS}/", {"name": "a", "priority": 99})).status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/01970000-0000-7000-8000-000000000000/", b"", 404),
        ("GET", "/17/", b"", 422),
        ("GET", "/?status=new", b"", 422),
        ("GET", "/?skip=-1", b"", 422),
        ("GET", "/?skip=100001", b"", 422),
        ("GET", "/?limit=0", b"", 422),
        ("GET", "/?limit=501", b"", 422),
        ("GET", "/?limit=x", b"", 422),
        ("GET", "/x/y/z", b"", 404),
        ("GET", "/%0Ax/", b"", 422),
        ("GET", "/%0Ax/%0A/", b"", 404),
        ("GET", "/%FF/", b"", 400),
        ("POST", "/", b"", 400),
        ("POST", "/", b"[]", 422),
        ("POST", "/", b"{}", 422),
        ("POST", "/", b'{"name":""}', 422),
        ("POST", "/", b'{"name":"\\u0000"}', 422),
        ("DELETE", "/", b"", 405),
        ("PUT", "/17/", b"", 405),
    ],
)
async def test_errors_are_a_detail_and_nothing_else(
    api: Served, method: str, path: str, body: bytes, status: int
) -> None:
    response = await api.http.request(method, f"{TASKS}{path}", content=body)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/json"
    assert list(response.json()) == ["detail"]
    assert isinstance(response.json()["detail"], str)
    if status == 405:
        assert response.headers["allow"] in {"GET, HEAD, POST", "GET, HEAD"}
    if status == 404:
        assert response.json() == {"detail": "Not found"}


@pytest.mark.parametrize("slash", ["", "/"])
async def test_a_request_for_a_worker_starts_one(stage: Stage, slash: str) -> None:
    calls: list[str] = []
    async with serving(stage.service, drain=lambda: calls.append("drain")) as served:
        assert (await served.get(f"/task_service/api/v1/worker{slash}")).status_code == 200
        assert calls == ["drain"]


async def test_without_a_worker_to_start_the_response_is_the_same(api: Served) -> None:
    assert (await api.get("/task_service/api/v1/worker/")).status_code == 200
