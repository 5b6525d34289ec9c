"""`python -m benchmarks.peers NAME install|enqueue|pace|work …`, in the environment of the peer of this name."""

import argparse
import importlib
import json
import os
from pathlib import Path
from typing import Protocol

from benchmarks.peers import given


class App(Protocol):
    """The interface of each `NAME_app.py`."""

    def install(self) -> None:
        """Prepare the queue; over a broker the workers do that."""

    def enqueue(self, count: int) -> None: ...

    def pace(self, pauses: list[float], sent: Path) -> None: ...

    def work(self, variant: str) -> None:
        """Work in one process until SIGTERM; the runner starts more of them. `variant` is empty or of `Peer`."""


def main() -> None:
    options = _options()
    os.environ["PEER_READY_FILE"] = str(options.ready_file)
    app: App = importlib.import_module(f"benchmarks.peers.{options.name}_app")
    if options.action == "work":
        app.work(options.variant)
        return
    if options.action == "install":
        app.install()
    elif options.action == "enqueue":
        app.enqueue(options.count)
    else:
        app.pace(json.loads(options.pauses.read_text()), options.sent)
    given.report_ready()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.peers", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("action", choices=("install", "enqueue", "pace", "work"))
    parser.add_argument("--count", type=int, default=0)
    parser.add_argument("--variant", default="")
    parser.add_argument("--pauses", type=Path)
    parser.add_argument("--sent", type=Path)
    parser.add_argument("--ready-file", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    main()
