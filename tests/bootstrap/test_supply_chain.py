"""`make sbom` lists what the lock names, and the same each time."""

import json
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.slow
@pytest.mark.parametrize("lock", ["run", "traces"])
def test_the_list_of_packages_is_that_of_the_lock_and_always_the_same(lock: str) -> None:
    made = ROOT / "dist" / "taskmill.cdx.json"
    contents = set()
    for _ in range(2):
        made.unlink(missing_ok=True)
        subprocess.run([ROOT / "scripts" / "sbom", lock], check=True, timeout=300)  # noqa: S603 - our own script
        contents.add(made.read_bytes())
    [content] = contents
    found = json.loads(content)
    assert found["bomFormat"] == "CycloneDX"
    assert found["metadata"]["component"]["name"] == "taskmill"
    locked = re.findall(
        r"^([\w.-]+)==(\S+)", (ROOT / "requirements" / f"{lock}.txt").read_text(), re.MULTILINE
    )
    listed = [(component["name"], component["version"]) for component in found["components"]]
    assert len(locked) > 40
    assert sorted(listed) == sorted(locked)
    hashes = [
        reference["hashes"]
        for component in found["components"]
        for reference in component["externalReferences"]
    ]
    assert len(hashes) == len(locked)
    assert all(hashes)
