"""The OpenAPI documents and the pages that show them."""

import re
from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import pytest

from taskmill.api.routers.documents import PackageFiles
from tests.support.api import Served

PAGES = {
    "/docs": "/openapi.json",
    "/redoc": "/openapi.json",
    "/task_service/docs": "/task_service/openapi.json",
}
BODY_STATUSES = {"400", "408", "413", "415"}


class Addresses(HTMLParser):
    """Collects every address that a page names."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002 - as the base has it
        names = {"src", "href", "data-document", "action", "srcset", "poster"}
        self.found += [value for name, value in attrs if name in names and value]


@pytest.mark.parametrize("page", PAGES)
async def test_a_page_loads_everything_from_this_service(api: Served, page: str) -> None:
    response = await api.get(page)
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'self'" in response.headers["content-security-policy"]
    addresses = Addresses()
    addresses.feed(response.text)
    local = [address for address in addresses.found if not address.startswith("data:")]
    assert PAGES[page] in [urljoin(page, address) for address in local]
    assert len(local) >= 4
    for address in local:
        assert not re.match(r"[a-z]+:|//", address), address
        part = await api.get(urljoin(page, address))
        assert part.status_code == 200, address
        assert b"sourceMappingURL=" not in part.content[-200:]
    assert "<script>" not in response.text


async def test_versioned_files_are_cached_and_others_revalidated(api: Served) -> None:
    page = (await api.get("/redoc")).text
    library = "/" + next(iter(re.findall(r'src="(static/redoc[^"]+)"', page)))
    response = await api.get(library)
    assert "immutable" in response.headers["cache-control"]
    assert response.headers["content-type"].startswith("text/javascript")
    for path in ("/static/pages/redoc.js", "/openapi.json", "/asyncapi.json"):
        first = await api.get(path)
        assert first.headers["cache-control"] == "no-cache"
        again = await api.get(path, headers={"if-none-match": first.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


def test_vendored_files_come_with_their_licences() -> None:
    folder = PackageFiles().all_directories[0]
    from pathlib import Path  # noqa: PLC0415 - the library says str or PathLike

    vendored = [path for path in Path(folder).iterdir() if re.search(r"-\d", path.name)]
    assert len(vendored) == 2
    for path in vendored:
        assert (path / "LICENSE").read_text()


@pytest.mark.parametrize("path", ["/openapi.json", "/task_service/openapi.json"])
async def test_every_operation_has_all_its_responses_with_examples(api: Served, path: str) -> None:
    document = (await api.get(path)).json()
    assert document["openapi"].startswith("3.1")
    operations = [
        (f"{method} {where}", operation)
        for where, methods in document["paths"].items()
        for method, operation in methods.items()
    ]
    assert operations
    for name, operation in operations:
        statuses = set(operation["responses"])
        assert "500" in statuses, name
        assert any(status.startswith("2") for status in statuses), name
        assert operation["summary"], name
        if "requestBody" in operation:
            assert statuses >= BODY_STATUSES - {"408"}, name
        for status, response in operation["responses"].items():
            assert response["description"], (name, status)
            assert "X-Request-Id" in response["headers"], (name, status)
            for content in response.get("content", {}).values():
                assert_resolves(document, content["schema"])


def assert_resolves(document: dict[str, Any], schema: dict[str, Any]) -> None:
    """Follow a reference to the schema that it names."""
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/components/schemas/")
        assert name in document["components"]["schemas"]


async def test_the_documents_describe_the_existing_addresses(api: Served) -> None:
    new = (await api.get("/openapi.json")).json()["paths"]
    earlier = (await api.get("/task_service/openapi.json")).json()["paths"]
    assert set(earlier) == {
        "/task_service/api/v1/task/",
        "/task_service/api/v1/task/{uid}/",
        "/task_service/api/v1/worker/",
    }
    assert set(new) == {
        "/audit",
        "/failures",
        "/failures/{id}",
        "/failures/{id}/ignore",
        "/failures/{id}/reopen",
        "/failures/{id}/resolve",
        "/failures/{id}/sample",
        "/jobs",
        "/jobs/{id}",
        "/jobs/{id}/stop",
        "/login-links",
        "/sessions",
        "/sessions/{id}",
        "/tasks",
        "/tasks/batch",
        "/tasks/cancel",
        "/tasks/retry",
        "/tasks/{id}",
        "/tasks/{id}/deliveries",
        "/tasks/{id}/events",
        "/tasks/{id}/explain",
        "/tasks/{id}/logs",
        "/tasks/{id}/cancel",
        "/tasks/{id}/finish",
        "/tasks/{id}/fail",
        "/tasks/{id}/cancelled",
        "/tasks/{id}/progress",
        "/leases",
        "/leases/{id}",
        "/leases/{id}/renew",
        "/tasks/{id}/retry",
        "/stats",
        "/attention",
        "/attention/{id}",
        "/doctor",
        "/queues",
        "/queues/{name}",
        "/workers",
        "/workers/{id}/quiet",
        "/workers/{id}/stop",
        "/workers/{id}/resume",
        "/schedules/preview",
        "/types",
        "/types/{name}",
        "/webhooks",
        "/webhooks/{id}",
        "/webhooks/{id}/test",
        "/webhooks/{id}/deliveries",
        "/webhooks/{id}/deliveries/{delivery}/resend",
        "/schedules",
        "/schedules/{name}",
        "/schedules/{name}/run",
        "/schedules/{name}/backfill",
        "/schedules/{name}/fires",
        "/rejections",
        "/rejections/{id}",
        "/rejections/{id}/resend",
        "/healthz",
        "/readyz",
        "/metrics",
        "/asyncapi.json",
        "/events",
    }
    assert set(new["/tasks"]["post"]["responses"]) == {
        "200",
        "201",
        "400",
        "401",
        "403",
        "408",
        "409",
        "413",
        "415",
        "421",
        "422",
        "429",
        "500",
        "503",
    }
    parameters = {parameter["name"] for parameter in new["/tasks"]["get"]["parameters"]}
    assert parameters >= {"status", "label", "cursor", "limit", "order", "created_after"}


async def test_asyncapi_has_the_same_models(api: Served) -> None:
    openapi = (await api.get("/openapi.json")).json()
    asyncapi = (await api.get("/asyncapi.json")).json()
    assert asyncapi["asyncapi"] == "3.0.0"
    assert "asyncapi.json" in openapi["info"]["description"]
    mine, theirs = (document["components"]["schemas"] for document in (asyncapi, openapi))
    assert mine["CreateTask"] == theirs["CreateTask"]


async def test_the_address_that_the_start_prints_leads_to_the_documents(api: Served) -> None:
    response = await api.http.get("/")
    assert response.status_code == 307
    assert response.headers["location"] == "docs"


async def test_a_packed_file_is_unpacked_for_clients_that_do_not_accept_gzip(api: Served) -> None:
    page = (await api.get("/docs")).text
    [library] = re.findall(r'src="(static/swagger[^"]+[.]js)"', page)
    packed = await api.get(f"/{library}", headers={"Accept-Encoding": "gzip"})
    plain = await api.get(f"/{library}", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.content == plain.content
    assert len(plain.content) > 1_000_000
    for response in (packed, plain):
        assert response.headers["content-type"].startswith("text/javascript")
        assert response.headers["vary"] == "accept-encoding"
        assert "immutable" in response.headers["cache-control"]
