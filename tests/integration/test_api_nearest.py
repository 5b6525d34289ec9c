"""The response to an unknown address names the one that was perhaps meant."""

import time

import pytest

from taskmill.api.app import openapi_document
from taskmill.api.nearest import Addresses
from tests.support.api import Served

ADDRESSES = [
    (method.upper(), path)
    for path, operations in openapi_document()["paths"].items()
    for method in operations
]
ID = "0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f"


@pytest.mark.parametrize(
    ("method", "path", "status", "nearest"),
    [
        ("POST", "/tasks/", 404, "POST /tasks"),
        ("GET", "/task", 404, "GET /tasks"),
        ("POST", "/task", 404, "POST /tasks"),
        ("HEAD", "/task", 404, "GET /tasks"),
        ("GET", "/Tasks", 404, "GET /tasks"),
        ("GET", f"/task/{ID}", 404, "GET /tasks/{id}"),
        ("GET", f"/tasks/{ID}/", 404, "GET /tasks/{id}"),
        ("POST", f"/tasks/{ID}/cancle", 404, "POST /tasks/{id}/cancel"),
        ("POST", f"/tasks/{ID}", 405, None),
        ("POST", "/tasks/batches", 405, "POST /tasks/batch"),
        ("PUT", "/queues/default", 405, None),
        ("POST", "/stat", 404, "GET /stats"),
        ("POST", "/leases/", 404, "POST /leases"),
        ("POST", "/lease", 404, "POST /leases"),
        ("GET", "/doc", 404, "GET /docs"),
        ("GET", "/openapi.jsn", 404, "GET /openapi.json"),
        ("GET", "/health", 404, "GET /healthz"),
        ("GET", "/metric", 404, "GET /metrics"),
        ("GET", "/nowhere", 404, None),
        ("GET", "/wp-login.php", 404, None),
        ("GET", "/" + "tasks" * 100, 404, None),
        ("GET", "/\u0442asks", 404, "GET /tasks"),
    ],
)
async def test_the_nearest_address_is_named(
    api: Served, method: str, path: str, status: int, nearest: str | None
) -> None:
    response = await api.http.request(method, path)
    assert response.status_code == status
    if method == "HEAD":
        return
    detail = response.json()["detail"]
    if nearest is None:
        assert "nearest" not in detail
    else:
        assert detail.endswith(f"; the nearest address is {nearest}")


@pytest.mark.parametrize(("method", "template"), ADDRESSES)
def test_every_address_is_found_by_a_slash_too_many_and_a_letter_too_few(
    method: str, template: str
) -> None:
    """A rule for all of them, also for those that are to come."""
    addresses = Addresses(ADDRESSES)
    filled = template.replace("{id}", ID).replace("{", "").replace("}", "")
    assert addresses.nearest(method, filled + "/") == f"{method} {template}"
    first, _, rest = filled[1:].partition("/")
    short = f"/{first[:-1]}{'/' if rest else ''}{rest}"
    assert addresses.nearest(method, short) == f"{method} {template}"


async def test_the_legacy_addresses_keep_their_form(api: Served) -> None:
    response = await api.get("/task_service/api/v1/tasks/")
    assert (response.status_code, response.json()) == (404, {"detail": "Not found"})


def test_finding_the_nearest_address_costs_little() -> None:
    addresses = Addresses(ADDRESSES)
    for path in ("/" + "a/" * 99, "/" + "tasks" * 39, "/" + "/".join(["x" * 24] * 8)):
        begun = time.thread_time()
        addresses.nearest("GET", path)
        assert time.thread_time() - begun < 0.05
