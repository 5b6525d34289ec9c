"""Examples of the doctor's report for the OpenAPI document."""

from typing import Any, Final

Json = dict[str, Any]

_DIAGNOSIS: Final[Json] = {
    "kind": "old_snapshot",
    "severity": "warning",
    "subject": "",
    "sentence": "A transaction has been open for 12m 4s: PostgreSQL can't clean up, and gets slower.",
    "evidence": [
        "span: 12m 4s",
        "session 4711, login anna, application psql, idle in transaction, open for 12m 4s",
    ],
    "command": "SELECT pg_terminate_backend(4711)",
    "counts": True,
}
_UNSEEN: Final[Json] = {
    "what": "the disk of PostgreSQL",
    "reason": "it is on another machine, or this login may not see where its data is",
    "command": "df -h # on its machine",
}

DOCTOR: Final[Json] = {
    "DiagnosisView": _DIAGNOSIS,
    "UnseenView": _UNSEEN,
    "DoctorReportView": {
        "at": "2026-11-25T01:37:32.820000Z",
        "took_s": 0.19,
        "verdict": "warning",
        "version": "0.2.0",
        "migration": "0047",
        "needed_migration": "0047",
        "postgres": "17.2",
        "rabbitmq": "4.0.5",
        "versions": {"0.2.0": 4},
        "diagnoses": [_DIAGNOSIS],
        "unseen": [_UNSEEN],
    },
}
"""An example for each model."""
