"""`pip install taskmill`: the client and `enqueue`, and nothing that they do not need."""

import pytest

from tests.support.extras import files_of, files_of_taskmill, packages_of, run_with

BASE = packages_of()
_MOST_PACKAGES = 8
_MOST_MB = 15
# Of what pip compiles on Python 3.11, the larger of the two that are tested, as measured.
_BYTECODE = 1.8
_USE = """
import json, pickle, httpx
from taskmill import Client, AsyncClient, __version__, enqueue
from taskmill.client import InvalidInput, NotAllCreated, TaskNotFound

TASK = json.loads('''{task}''')

def respond(request):
    if request.url.path == "/tasks/batch":
        lines = ({{"line": n, "status": 201, "id": TASK["id"]}} for n in (1, 2))
        body = "\\n".join(map(json.dumps, lines))
        return httpx.Response(201, headers={{"Content-Type": "application/x-ndjson"}}, text=body)
    if request.method == "POST":
        return httpx.Response(201, json=TASK | json.loads(request.content))
    problem = {{"type": "/problems/task-not-found", "title": "t", "status": 404, "detail": "d"}}
    return httpx.Response(404, json=problem, headers={{"Content-Type": "application/problem+json"}})

with Client("http://x", transport=httpx.MockTransport(respond)) as client:
    made = client.create("first", payload={{"a": 1.5}}, labels={{"b": "c"}})
    assert (made.name, made.payload, made.created_at.year) == ("first", {{"a": 1.5}}, 2026)
    assert pickle.loads(pickle.dumps(made)) == made
    assert client.create_many([{{"name": "a"}}, {{"name": "b"}}]) == [made.id] * 2
    try:
        client.get(7)
    except TaskNotFound as error:
        print(error)

class Cursor:
    def fetchone(self):
        return [TASK["id"]]

class Connection:  # as psycopg's
    pgconn = cursor_factory = object
    def execute(self, query, values):
        self.query = query
        return Cursor()

connection = Connection()
assert enqueue(connection, "first", type="pdf", payload={{"a": 1}}) == made.id
assert "create_task(name => " in connection.query
"""
TASK = """{"id": "0197a3b2-6c4e-7d21-8f10-2a9b3c4d5e6f", "number": 1, "name": "n", "description": null,
"type": "emulated", "payload": null, "payload_secrets": null, "queue": "default", "priority": 4, "status": "new",
"run": 1, "attempt": 0, "max_attempts": 3, "losses": 0, "max_losses": 3, "retry": null, "timeout_s": null,
"cancel_requested": false, "run_at": "2026-11-30T05:00:00.000000Z", "expires_at": null,
"created_at": "2026-11-30T05:00:00.000000Z", "started_at": null, "finished_at": null,
"updated_at": "2026-11-30T05:00:00.000000Z", "progress": null, "result": null, "error": null, "labels": {},
"callback_url": null, "source": "rest", "version": 1}"""


def test_it_brings_few_packages_that_are_small_and_not_compiled() -> None:
    own = [path for listed in files_of_taskmill() for path in (listed, *listed.rglob("*"))]
    files = [path for path in (*files_of(BASE), *own) if path.is_file() and path.suffix != ".pyc"]
    assert len(BASE) + 1 <= _MOST_PACKAGES, BASE
    size = sum(file.stat().st_size for file in files)
    code = sum(file.stat().st_size for file in files if file.suffix == ".py")
    assert (size + code * _BYTECODE) / 1e6 <= _MOST_MB
    assert [file for file in files if file.suffix in {".so", ".pyd", ".dylib"}] == []


def test_the_client_and_enqueue_work_with_these_packages_alone() -> None:
    done = run_with(BASE, _USE.format(task=TASK))
    assert (done.stdout, done.stderr) == ("d\n", "")


@pytest.mark.parametrize("package", ["httpx", "idna"])
def test_a_missing_package_is_noticed(package: str) -> None:
    """So the test above could fail."""
    done = run_with(BASE - {package}, _USE.format(task=TASK))
    assert f"No module named '{package}'" in done.stderr


def test_it_imports_no_more_than_the_client_itself() -> None:
    script = """
import sys, taskmill.client
print(*sorted(name for name in sys.modules if name.startswith("taskmill.") and name.count(".") == 1))
print(*(name for name in ("asyncpg", "orjson", "pydantic", "rich") if name in sys.modules))
"""
    done = run_with(BASE, script)
    assert done.stdout.splitlines() == [
        "taskmill.client taskmill.domain taskmill.wire",
        "",
    ], done.stderr


def test_what_handlers_need_says_which_extra_has_it() -> None:
    done = run_with(BASE, "from taskmill import Taskmill")
    assert done.stderr.splitlines()[-1].endswith(
        "needs packages that are not installed (taskmill-service): pip install 'taskmill[worker]'"
    )
