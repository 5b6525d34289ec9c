"""Generates src/taskmill/client/synchronous from the asynchronous client, without `async` and `await`.

`python scripts/synchronous_client.py` writes it; `tests/architecture/test_synchronous_client.py` fails while
the two differ.
"""
# ruff: noqa: INP001 - a program of its own

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import unasync

ROOT: Final = Path(__file__).resolve().parent.parent
SOURCE: Final = ROOT / "src/taskmill/client/asynchronous"
MADE: Final = SOURCE.with_name("synchronous")

_NAMES: Final = {
    "AsyncAttentionCalls": "AttentionCalls",
    "AsyncBaseTransport": "BaseTransport",
    "AsyncContractCalls": "ContractCalls",
    "AsyncFailureCalls": "FailureCalls",
    "AsyncJobCalls": "JobCalls",
    "AsyncPools": "Pools",
    "AsyncScheduleCalls": "ScheduleCalls",
    "AsyncSender": "Sender",
    "AsyncSessionCalls": "SessionCalls",
    "AsyncSteeringCalls": "SteeringCalls",
    "AsyncTaskmillClient": "TaskmillClient",
    "AsyncTasks": "Tasks",
    "AsyncWebhookCalls": "WebhookCalls",
    "aclose": "close",
    "aiter_bytes": "iter_bytes",
    "aread": "read",
    "async_chunks": "chunks",
    "async_pools": "pools",
    "asynchronous": "synchronous",
    "asyncio": "time",
}
# Texts, and what is not a single name.
_TEXTS: Final = {
    "The client for asynchronous Python; `scripts/synchronous_client.py` generates `synchronous` from it.": (
        "The client for synchronous Python, generated from `asynchronous` by `scripts/synchronous_client.py`."
    ),
    "The asynchronous client;": "The synchronous client;",
    "in an `async with`": "in a `with`",
    "between the tasks of one event loop. Cancelling a call gives up its response; the request may\n"
    "    still take effect.": "between threads, and across a fork.",
    "Generator[ChangeView, None]": "Generator[ChangeView, None, None]",
}
# Join what fits on one line, whatever the layout of the source.
_IMPORTS: Final = (
    "lint.isort.known-first-party = ['taskmill']",
    "lint.isort.split-on-trailing-comma = false",
)
_BREAKS: Final = ("format.skip-magic-trailing-comma = true",)


def write(folder: Path) -> None:
    """Write the synchronous client into a folder.

    Raises:
        ValueError: A text of the table is not found.
    """
    rule = unasync.Rule(f"{SOURCE}", f"{folder}", additional_replacements=_NAMES)
    unasync.unasync_files([str(file) for file in sorted(SOURCE.glob("*.py"))], [rule])
    left = dict(_TEXTS)
    for file in folder.glob("*.py"):
        text = file.read_text(encoding="utf-8")
        for before, after in _TEXTS.items():
            if before in text:
                text = text.replace(before, after)
                left.pop(before, None)
        file.write_text(text, encoding="utf-8")
    if left:
        raise ValueError(f"not found in {SOURCE}: {', '.join(left)}")
    _tidy(folder)


def _tidy(folder: Path) -> None:
    """Sort the imports, simplify loops to `yield from`, and format again."""
    ruff = [sys.executable, "-m", "ruff"]
    options = ["--config", str(ROOT / "pyproject.toml"), "--no-cache", "--quiet", str(folder)]
    fixes = ["check", "--select", "I,UP028", "--fix", "--unsafe-fixes", *_settings(_IMPORTS)]
    subprocess.run([*ruff, *fixes, *options], check=True)  # noqa: S603 - our own
    subprocess.run([*ruff, "format", *_settings(_BREAKS), *options], check=True)  # noqa: S603 - our own


def _settings(settings: Iterable[str]) -> list[str]:
    return [part for setting in settings for part in ("--config", setting)]


def main() -> None:
    """Replace the synchronous client."""
    with TemporaryDirectory(dir=ROOT) as made:
        write(Path(made))
        for file in Path(made).glob("*.py"):
            (MADE / file.name).write_bytes(file.read_bytes())


if __name__ == "__main__":
    main()
