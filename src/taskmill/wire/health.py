"""The health of a process: `/healthz` and `/readyz`, alike on every port."""

from collections.abc import Mapping
from typing import Final, Literal

from pydantic import BaseModel, Field

from taskmill.domain.system import Readiness
from taskmill.wire.encoding import encode_json
from taskmill.wire.problems import problem_for_status

_JSON: Final = {"content-type": "application/json"}
_RETRY_AFTER: Final = {"retry-after": "1"}

HEALTH_JSON: Final = encode_json({"status": "ok"})


class Health(BaseModel):
    """The process is alive."""

    status: Literal["ok"] = "ok"


class Ready(BaseModel):
    """The process can serve, with the state of its parts."""

    status: Literal["ready"] = "ready"
    parts: dict[str, str] = Field(
        description="ok for each. The broker and the intake of its messages may also be starting, away (and why) "
        "or none, which stops nothing"
    )


def ready_response(
    readiness: Readiness, *, is_stopping: bool
) -> tuple[int, Mapping[str, str], bytes]:
    """Return status, headers and body: a `Ready`, or a problem with the reasons."""
    troubles = {part: trouble for part, trouble in readiness.parts.items() if trouble is not None}
    if is_stopping:
        troubles["process"] = "it is stopping"
    if troubles:
        detail = "; ".join(f"{part}: {trouble}" for part, trouble in troubles.items())
        status, headers, body = problem_for_status(503, "/readyz", detail)
        return status, {**headers, **_RETRY_AFTER}, body
    parts = {**dict.fromkeys(readiness.parts, "ok"), "broker": str(readiness.broker)}
    if readiness.intake is not None:
        parts["intake"] = str(readiness.intake)
    return 200, _JSON, encode_json({"status": "ready", "parts": parts})
