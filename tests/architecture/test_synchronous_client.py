"""The synchronous client is the asynchronous one, without `async` and `await`."""

from pathlib import Path

from scripts import synchronous_client


def test_the_synchronous_client_is_made_of_the_asynchronous_one(tmp_path: Path) -> None:
    synchronous_client.write(tmp_path)
    made = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.glob("*.py")}
    there = {
        file.name: file.read_text(encoding="utf-8") for file in synchronous_client.MADE.glob("*.py")
    }
    assert there == made, "run scripts/synchronous_client.py"
