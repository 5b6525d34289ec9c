"""The API key of commands that talk to a service over HTTP: from the environment, or of a local `taskmill up`.

A key is never an option: command lines are stored in histories, and shown in lists of processes.
"""

import json
import os
from pathlib import Path
from typing import Final

from taskmill.domain.errors import ConfigurationError

ADMIN_KEY_FILE: Final = "admin.key"
"""In the data folder of an `up` that requires keys: a key that grants everything."""

_SERVICE_FILE: Final = "service.json"


def client_key(url: str) -> str | None:
    """Return the key for a service, None when there is none.

    Raises:
        ConfigurationError: The file that is set for it can't be read.
    """
    if key := os.environ.get("TASKMILL_API_KEY", "").strip():
        return key
    if name := os.environ.get("TASKMILL_API_KEY_FILE"):
        try:
            return Path(name).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"TASKMILL_API_KEY_FILE={name} can't be read: {error}"
            ) from None
    return _key_of_up(Path(os.environ.get("TASKMILL_DATA_DIR") or ".taskmill"), url)


def _key_of_up(data: Path, url: str) -> str | None:
    """Return the key of the `up` that runs with a data folder, if it serves at this address."""
    try:
        service = json.loads((data / _SERVICE_FILE).read_text(encoding="utf-8"))
        if not isinstance(service, dict) or service.get("url") != url.rstrip("/"):
            return None
        return (data / ADMIN_KEY_FILE).read_text(encoding="ascii").strip() or None
    except (OSError, ValueError):
        return None
