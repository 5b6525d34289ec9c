"""What the client returns is what the service shows."""

from pathlib import Path

from scripts import client_views


def test_the_views_of_the_client_are_made_of_the_models_of_responses(tmp_path: Path) -> None:
    client_views.write(tmp_path)
    made = {file.name: file.read_text(encoding="utf-8") for file in tmp_path.glob("*.py")}
    there = {
        file.name: file.read_text(encoding="utf-8") for file in client_views.FOLDER.glob("*.py")
    }
    assert there == made, "run scripts/client_views.py"
