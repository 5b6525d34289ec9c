"""The example with images: sound ones, broken ones, hostile ones, and workers that die over them."""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from taskmill import Client
from taskmill.client.views.tasks import TaskView
from tests.support.examples import Worker, python, where
from tests.support.polling import wait_until
from tests.support.processes import Program


@pytest.fixture(scope="module")
def worker(
    service_env: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Worker]:
    folder = tmp_path_factory.getbasetemp()
    env = {
        **service_env,
        **where("thumbnails"),
        "GALLERY": str(folder),
        "TASKMILL_WORKER__ISOLATED": "2",
    }
    with Worker("--app", "gallery.tasks:app", folder=folder / "gallery", env=env) as worker:
        yield worker


@pytest.fixture
def gallery(worker: Worker, tmp_path: Path) -> Path:  # noqa: ARG001 - who works on it
    return tmp_path


def an_image(path: Path) -> Path:
    Image.effect_noise((300, 200), 80).convert("RGB").save(path)
    return path


def a_bomb(path: Path) -> None:
    """A PNG of a few bytes that claims to have 3.6 billion pixels."""
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 1, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(10_000))), (b"IEND", b""))
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))


def create_thumbnails(taskmill: Client, image: Path, **more: float) -> TaskView:
    payload = {"image": str(image)}
    return taskmill.create(image.name, type="thumbnails", payload=payload, **more)  # type: ignore[arg-type]  # fields of a task


def test_a_folder_of_images_is_done_once_and_each_bad_one_is_named(
    service: Program, taskmill: Client, gallery: Path
) -> None:
    an_image(gallery / "lake.png")
    a_bomb(gallery / "bomb.png")
    whole = an_image(gallery / "torn.jpg").read_bytes()
    (gallery / "torn.jpg").write_bytes(whole[: len(whole) // 2])
    (gallery / "words.gif").write_text("no image")
    env = {"TASKMILL_URL": service.facts["url"]}
    done, again = (python("thumbnails", "-m", "gallery", gallery, env=env) for _ in range(2))
    assert (done.returncode, done.stderr) == (1, "")
    assert "[2/4] lake.png: 128x85, 300x200\n" in done.stdout
    assert "bomb.png: failed, bomb.png: too many pixels" in done.stdout
    assert "torn.jpg: failed, torn.jpg: not a sound image: image file is truncated" in done.stdout
    assert "words.gif: failed, words.gif: not a sound image: cannot identify" in done.stdout
    assert set(again.stdout.splitlines()) <= set(done.stdout.splitlines())
    tasks = list(taskmill.list(queue="images"))
    ours = [one for one in tasks if one.payload and str(gallery) in one.payload["image"]]
    assert [one.attempt for one in ours] == [1, 1, 1, 1], "nothing was created or tried twice"
    [lake] = [one for one in ours if one.name == "lake.png"]
    for made in lake.result:
        with Image.open(made["path"]) as small:
            assert small.size == (made["width"], made["height"])
    assert sorted(path.name for path in (gallery / "thumbnails").iterdir()) == [
        "lake.png-128.jpg",
        "lake.png-512.jpg",
    ]


def test_a_stuck_one_is_killed_and_does_not_delay_others(taskmill: Client, gallery: Path) -> None:
    os.mkfifo(gallery / "stuck.png")  # opening it waits for a writer
    stuck = [
        create_thumbnails(taskmill, gallery / "stuck.png", timeout_s=0.5, max_attempts=1)
        for _ in range(2)
    ]
    sound = create_thumbnails(taskmill, an_image(gallery / "lake.png"))
    for one in stuck:
        ended = taskmill.wait(one.id, timeout_s=15)
        assert ended.error is not None
        assert (ended.status, ended.error.type) == ("failed", "Timeout")
    assert taskmill.wait(sound.id, timeout_s=15).status == "succeeded"


def test_a_path_that_leads_out_of_the_gallery_is_refused(taskmill: Client, gallery: Path) -> None:
    (gallery / "link.png").symlink_to("/etc/hostname")
    for path in (Path("/etc/hostname"), gallery / "link.png"):
        ended = taskmill.wait(create_thumbnails(taskmill, path).id, timeout_s=15)
        assert ended.error is not None
        assert ended.error.message == f"{path} is not in the gallery"


def test_another_worker_does_what_a_killed_one_left(
    worker: Worker, taskmill: Client, gallery: Path
) -> None:
    image = gallery / "lake.png"
    os.mkfifo(image)
    task = create_thumbnails(taskmill, image)
    wait_until(lambda: taskmill.get(task.id).progress is not None, "the image to be decoded")
    worker.kill()
    image.unlink()
    an_image(image)
    worker.start()
    ended = taskmill.wait(task.id, timeout_s=15)
    assert (ended.status, ended.attempt, ended.losses) == ("succeeded", 1, 1)
