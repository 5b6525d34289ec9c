"""The admin port of a role."""

from pathlib import Path

import httpx
import yaml  # type: ignore[import-untyped]  # no stubs for one call

from tests.support.polling import wait_until
from tests.support.processes import ROOT, Program


def test_a_role_without_an_api_serves_its_health_and_its_metrics(
    database_url: str, tmp_path: Path
) -> None:
    settings = {"TASKMILL_DATABASE_URL": database_url, "TASKMILL_ADMIN_PORT": "0"}
    with Program("run", "maintenance", folder=tmp_path, env=settings) as program:
        wait_until(lambda: bool(program.logged("admin.started")), "the admin port responds")
        [line] = program.logged("admin.started")
        with httpx.Client(base_url=line["url"], timeout=10) as admin:
            assert admin.get("/healthz").status_code == 200
            assert admin.get("/readyz").json()["parts"] == {
                "database": "ok",
                "schema": "ok",
                "broker": "none (claims come from PostgreSQL)",
                "intake": "none (there is no broker)",
            }
            assert "taskmill_hints_published_total" in admin.get("/metrics").text


def test_a_container_is_scraped_and_probed_by_its_address_and_by_its_services_name(
    database_url: str, tmp_path: Path
) -> None:
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text("utf-8"))
    hosts = compose["x-environment"]["TASKMILL_API__ALLOWED_HOSTS"].replace("${API_HOSTS:-}", "")
    settings = {
        "TASKMILL_DATABASE_URL": database_url,
        "TASKMILL_ADMIN_PORT": "0",
        "TASKMILL_API__ALLOWED_HOSTS": hosts,
    }
    with Program("run", "api", "--port", "0", folder=tmp_path, env=settings) as program:
        wait_until(lambda: bool(program.logged("admin.started")), "the admin port responds")
        [line] = program.logged("admin.started")
        for url in (line["url"], program.facts["url"]):
            with httpx.Client(base_url=url, timeout=10) as client:
                for host, scraped in (
                    ("api:8001", 200),
                    ("172.18.0.5:8001", 200),
                    ("[fd00::5]:8001", 200),
                    ("api.evil.test:8001", 421),
                ):
                    named = {"host": host}
                    assert client.get("/metrics", headers=named).status_code == scraped
                    for probe in ("/healthz", "/readyz"):
                        assert client.get(probe, headers=named).status_code == 200


def test_a_role_names_a_broker_that_is_away_and_serves(database_url: str, tmp_path: Path) -> None:
    settings = {
        "TASKMILL_DATABASE_URL": database_url,
        "TASKMILL_BROKER_URL": "amqp://user:secret@127.0.0.1:1/",
    }
    with Program("run", "api", "--port", "0", folder=tmp_path, env=settings) as program:
        with program.client() as client:
            ready = client.get("/readyz")
            assert (ready.status_code, ready.json()["parts"]["database"]) == (200, "ok")
            assert ready.json()["parts"]["broker"].startswith("away: ")
            assert ready.json()["parts"]["intake"].startswith("away: ")
            assert client.get("/stats").json()["broker"]["state"] == "away"
            assert 'taskmill_broker_up{link="watch"} 0.0' in client.get("/metrics").text
            assert client.post("/tasks", json={"name": "a"}).status_code == 201
            assert "secret" not in ready.text
        assert "secret" not in program.log_file.read_text()
