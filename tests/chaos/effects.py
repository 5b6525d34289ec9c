"""The effects of handlers, in a file to which they append, independent of the database."""

import json
import os
import time
from pathlib import Path
from uuid import UUID


class Effects:
    """The file; several processes may append to it."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, what: str, task_id: UUID, claim_no: int) -> None:
        """Append a line, completely or not at all."""
        line = {
            "what": what,
            "task": str(task_id),
            "claim_no": claim_no,
            # TID251: the clock of this machine that is never faked, and that clients use.
            "at": time.monotonic(),  # noqa: TID251
        }
        os.write(self._file, (json.dumps(line) + "\n").encode())
