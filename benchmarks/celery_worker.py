"""A Celery worker with a task that does nothing: prefork with two processes, all else as Celery has it.

Tasks are acknowledged before they run, no results are kept, and nothing below a warning is logged: these
are its defaults. The tasks themselves count, in memory that the processes share; who runs the last one writes
down how long all of them took from the start of the first.
"""

import argparse
import json
import multiprocessing
import time
from pathlib import Path

from celery import Celery
from celery.signals import worker_ready

PROCESSES = 2
NOOP = "noop"


def application(url: str) -> Celery:
    return Celery("benchmark", broker=url)


class Counter:
    """Counts what is done by all processes, which inherit it."""

    def __init__(self, count: int, done: Path) -> None:
        self._count = count
        self._done = done
        self._counted = multiprocessing.Value("i", 0)
        self._began_at = multiprocessing.Value("d", 0.0, lock=False)

    def add(self) -> None:
        with self._counted.get_lock():
            self._counted.value += 1
            if self._counted.value == 1:
                self._began_at.value = time.time()
            if self._counted.value == self._count:
                self._tell(time.time() - self._began_at.value)

    def _tell(self, seconds: float) -> None:
        draft = self._done.with_suffix(".draft")
        draft.write_text(json.dumps({"seconds": seconds}))
        draft.replace(self._done)


def main(url: str, count: int, done: Path, ready_file: Path) -> None:
    app = application(url)
    counter = Counter(count, done)

    @app.task(name=NOOP)
    def _noop() -> None:
        counter.add()

    @worker_ready.connect(weak=False)
    def _tell_ready(**_: object) -> None:
        ready_file.write_text("{}")

    app.worker_main(["worker", "--pool", "prefork", "--concurrency", str(PROCESSES)])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--url", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--done", type=Path, required=True)
    parser.add_argument("--ready-file", type=Path, required=True)
    return parser.parse_args()


if __name__ == "__main__":
    options = _options()
    main(options.url, options.count, options.done, options.ready_file)
