"""Creates thumbnails of all images of a folder, and waits until all are there.

python -m gallery PICTURES
"""

import argparse
import hashlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from gallery.tasks import thumbnails
from taskmill import Client
from taskmill.client import ClientError

KINDS = {".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}


def main() -> int:
    """Create the tasks, show their progress, and return an exit status of 0 if all succeeded."""
    parser = argparse.ArgumentParser(prog="python -m gallery", description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--size", type=int, action="append", help="may be repeated [128 and 512]")
    arguments = parser.parse_args()
    try:
        return make_all(
            sorted(find_images(arguments.folder.resolve())), arguments.size or [128, 512]
        )
    except (ClientError, OSError) as error:
        sys.exit(str(error))


def make_all(images: list[Path], sizes: list[int]) -> int:
    """Create a task for each image, and wait for one after the other; return the exit status."""
    with Client(os.environ.get("TASKMILL_URL", "http://127.0.0.1:8000")) as client:
        tasks = {image: client.create(**request(image, sizes)).id for image in images}
        outcomes = [
            watch(client, tasks[image], f"[{number}/{len(images)}] {image.name}")
            for number, image in enumerate(images, start=1)
        ]
    return 0 if all(outcomes) else 1


def find_images(folder: Path) -> Iterator[Path]:
    """Yield the images of a folder, but not of its subfolders."""
    return (path for path in folder.iterdir() if path.suffix.lower() in KINDS)


def request(image: Path, sizes: list[int]) -> dict[str, Any]:
    """Return the request for an image's task; it is the same for the same file, so that it is made once."""
    facts = image.stat()
    version = f"{image} {facts.st_size} {facts.st_mtime_ns} {sizes}"
    return thumbnails.request(image=image, sizes=sizes) | {
        "name": image.name[:200],
        "idempotency_key": f"thumbnails-{hashlib.sha256(version.encode()).hexdigest()}",
    }


def watch(client: Client, task_id: UUID, title: str) -> bool:
    """Show a task's progress until it has ended; True when it succeeded."""
    shown = None
    for task in client.watch(task_id, hold_s=1):
        if task.progress is not None and task.progress != shown and task.finished_at is None:
            print(f"{title}: {task.progress.share:.0%}, {task.progress.message}", flush=True)
        shown = task.progress
    if task.status == "succeeded":
        sizes = (f"{made['width']}x{made['height']}" for made in task.result)
        print(f"{title}: {', '.join(sizes)}", flush=True)
    else:
        print(f"{title}: {task.status}, {task.error and task.error.message}", flush=True)
    return task.status == "succeeded"


if __name__ == "__main__":
    sys.exit(main())
