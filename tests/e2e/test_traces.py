"""Traces of whole processes: what a collector gets, and that they cost nothing when off."""

import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.collector import a_collector
from tests.support.polling import wait_until
from tests.support.processes import ROOT, Program
from tests.support.spans import CALLER, PARENT_ID, TRACE_ID

AT_ONCE = {"delay_min_s": 0, "delay_max_s": 0, "failure_probability": 0}
QUICK = {"OTEL_BSP_SCHEDULE_DELAY": "100"}


def create(api: Program, **headers: str) -> str:
    with api.client() as client:
        body = {"name": "a", "payload": AT_ONCE}
        response = client.post("/tasks", json=body, headers=headers)
        assert response.status_code == 201
        task_id: str = response.json()["id"]
        return task_id


def test_a_collector_gets_one_trace_of_the_api_and_the_worker(
    database_url: str, tmp_path: Path
) -> None:
    with a_collector() as collector:
        settings = {
            "TASKMILL_DATABASE_URL": database_url,
            "TASKMILL_TRACES": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            **QUICK,
        }
        named = {**settings, "TASKMILL_WORKER__NAME": "worker-1"}
        with (
            Program("run", "api", "--port", "0", folder=tmp_path / "api", env=settings) as api,
            Program("run", "worker", folder=tmp_path / "worker", env=named) as worker,
        ):
            task_id = create(api, traceparent=CALLER)
            collector.has("POST /tasks", "process emulate")
            # Spans of the framework itself would be here, too.
            with api.client() as client:
                assert client.get("/stats").status_code == 200
            wait_until(lambda: bool(worker.logged("task.succeeded")), "the task has ended")
            [succeeded] = worker.logged("task.succeeded")
    request, process = collector.one("POST /tasks"), collector.one("process emulate")
    assert len(collector.spans) == 2
    assert (request.trace_id, request.parent_id) == (TRACE_ID, PARENT_ID)
    assert (process.trace_id, process.parent_id) == (TRACE_ID, request.span_id)
    assert request.attributes["taskmill.task.id"] == task_id
    assert process.attributes["messaging.message.id"] == task_id
    assert request.resource["service.name"] == process.resource["service.name"] == "taskmill"
    assert process.resource["service.instance.id"] == "worker-1"
    assert (succeeded["trace_id"], succeeded["span_id"]) == (TRACE_ID, process.span_id)


def test_the_last_spans_are_sent_when_a_process_stops(database_url: str, tmp_path: Path) -> None:
    with a_collector() as collector:
        settings = {
            "TASKMILL_DATABASE_URL": database_url,
            "TASKMILL_TRACES": "otlp",
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_BSP_SCHEDULE_DELAY": "3600000",
        }
        with Program("run", "api", "--port", "0", folder=tmp_path, env=settings) as api:
            create(api)
            assert collector.spans == []
            assert api.interrupt() == 0
    assert [span.name for span in collector.spans] == ["POST /tasks"]


def test_without_a_collector_tasks_run_it_is_logged_and_stopping_is_bounded(
    database_url: str, tmp_path: Path
) -> None:
    settings = {
        "TASKMILL_DATABASE_URL": database_url,
        "TASKMILL_TRACES": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
        **QUICK,
    }
    roles = ("run", "api", "worker", "--port", "0")
    with Program(*roles, folder=tmp_path, env=settings) as program:
        create(program)
        wait_until(lambda: bool(program.logged("task.succeeded")), "the task has ended")
        wait_until(lambda: bool(program.logged("traces.unsent")), "it is logged")
        create(program)
        wait_until(lambda: len(program.logged("task.succeeded")) == 2, "another has ended")
        stopped_at = time.monotonic()  # noqa: TID251 - how long it really takes
        assert program.interrupt() == 0
        assert time.monotonic() - stopped_at < 10  # noqa: TID251 - see above
    [unsent] = program.logged("traces.unsent")
    assert unsent["spans"] >= 1
    assert "Connection refused" in unsent["error"] or "timeout" in unsent["error"]


@pytest.mark.parametrize("traces", ["off", "otlp"])
def test_a_worker_without_traces_imports_nothing_of_opentelemetry(
    database_url: str, tmp_path: Path, traces: str
) -> None:
    settings = {"TASKMILL_DATABASE_URL": database_url, "TASKMILL_TRACES": traces}
    command = (sys.executable, "-X", "importtime", "-m", "taskmill")
    with Program("run", "worker", folder=tmp_path, env=settings, command=command) as program:
        wait_until(lambda: bool(program.logged("lease.opened")), "the worker may claim")
        imported = re.findall(
            r"^import time:.*\| +([\w.]+)$", program.log_file.read_text(), re.MULTILINE
        )
    assert "taskmill.worker.loop" in imported
    found = {name for name in imported if name.startswith(("opentelemetry", "requests", "google"))}
    assert bool(found) == (traces == "otlp"), sorted(found)


def test_traces_without_opentelemetry_are_an_error_with_advice(database_url: str) -> None:
    program = (
        "import sys; sys.modules['opentelemetry.sdk'] = None\n"
        "from taskmill.cli.main import main; main()"
    )
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program, "run", "worker"],
        env={
            "PYTHONPATH": str(ROOT / "src"),
            "TASKMILL_DATABASE_URL": database_url,
            "TASKMILL_TRACES": "otlp",
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode != 0
    assert "pip install 'taskmill[traces]'" in done.stderr
    assert "Traceback" not in done.stderr
