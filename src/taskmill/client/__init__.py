"""Talks to a Taskmill service over HTTP, from ordinary and from asynchronous Python.

    from taskmill.client import TaskmillClient

    with TaskmillClient("http://127.0.0.1:8000") as taskmill:
        task = taskmill.create("monthly report", payload={"customer": 4711})
        print(taskmill.wait(task.id, timeout_s=60).status)

It knows the wire format and nothing of the server.
"""

from taskmill.client.asynchronous import AsyncTaskmillClient
from taskmill.client.errors import (
    ClientError,
    NotAccepted,
    ServiceUnavailable,
    StillRunning,
    Unexpected,
    Unreachable,
)
from taskmill.client.synchronous import TaskmillClient

__all__ = [
    "AsyncTaskmillClient",
    "ClientError",
    "NotAccepted",
    "ServiceUnavailable",
    "StillRunning",
    "TaskmillClient",
    "Unexpected",
    "Unreachable",
]
