"""Settings of the shop, from its environment."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Addresses, folder and keys.

    `calls_key` is the one of TASKMILL_OUTBOUND__PUSH_SIGNING_KEYS, `events_key` of
    TASKMILL_OUTBOUND__CALLBACK_SIGNING_KEYS.
    """

    calls_key: str
    events_key: str
    own_url: str
    taskmill_url: str
    folder: Path


def load() -> Settings:
    """Read the environment.

    Raises:
        KeyError: A key is missing; without them anybody could claim that an order was paid.
    """
    return Settings(
        calls_key=os.environ["CALLS_KEY"],
        events_key=os.environ["EVENTS_KEY"],
        own_url=os.environ.get("CHECKOUT_URL", "http://127.0.0.1:9000"),
        taskmill_url=os.environ.get("TASKMILL_URL", "http://127.0.0.1:8000"),
        folder=Path(os.environ.get("CHECKOUT_FOLDER", ".")),
    )
