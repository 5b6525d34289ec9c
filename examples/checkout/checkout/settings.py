"""Settings of the shop, from its environment."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Addresses, folder and key; `signing_key` is the one of TASKMILL_OUTBOUND__SIGNING_KEYS."""

    signing_key: str
    own_url: str
    taskmill_url: str
    folder: Path


def load() -> Settings:
    """Read the environment.

    Raises:
        KeyError: There is no WEBHOOK_KEY; without it anybody could claim that an order was paid.
    """
    return Settings(
        signing_key=os.environ["WEBHOOK_KEY"],
        own_url=os.environ.get("CHECKOUT_URL", "http://127.0.0.1:9000"),
        taskmill_url=os.environ.get("TASKMILL_URL", "http://127.0.0.1:8000"),
        folder=Path(os.environ.get("CHECKOUT_FOLDER", ".")),
    )
