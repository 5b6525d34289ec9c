"""`make release`, in a clone: what it makes, and what it refuses."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from tests.support.processes import ROOT, environment

pytestmark = pytest.mark.slow

_WHO = ("-c", "user.name=a", "-c", "user.email=a@example.org")


def git(clone: Path, *arguments: str) -> str:
    command = ("git", *_WHO, *arguments)
    done = subprocess.run(command, cwd=clone, check=True, capture_output=True, text=True)  # noqa: S603 - git
    return done.stdout.strip()


def release(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", "tools.release", *arguments],
        cwd=clone,
        env={**environment(), "PYTHONPATH": f"{clone}/src:{clone}"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone of what is here, with what is not committed yet, on the way to a release."""
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", f"file://{ROOT}", str(clone))
    changed = git(ROOT, "ls-files", "--modified", "--others", "--exclude-standard").splitlines()
    for name in changed:
        target = clone / name
        target.unlink(missing_ok=True)
        if (ROOT / name).exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes((ROOT / name).read_bytes())
    changelog = clone / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    more = "## [Unreleased]\n\n### Added\n\n- Something.\n"
    changelog.write_text(text.replace("## [Unreleased]\n", more, 1), encoding="utf-8")
    version = clone / "src" / "taskmill" / "version.py"
    written = version.read_text(encoding="utf-8").rpartition("_with_commit(")
    version.write_text(f'{written[0]}_with_commit("9.8.0.dev0")\n', encoding="utf-8")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "Add something")
    return clone


def test_a_version_is_cut_from_what_is_committed(clone: Path) -> None:
    refused = release(clone)
    assert refused.returncode == 1
    assert "9.8.0.dev0+g" in refused.stderr
    assert "is no release: cut one first" in refused.stderr
    (clone / "more").write_text("")
    assert "these differ from the commit" in release(clone, "--cut", "9.8.7").stderr
    (clone / "more").unlink()
    assert release(clone, "--cut", "9.8.7").returncode == 0
    assert "these differ from the commit" in release(clone).stderr


@pytest.fixture
def tagged(clone: Path) -> Path:
    """The same after its release."""
    release(clone, "--cut", "9.8.7")
    git(clone, "commit", "--quiet", "--all", "--message", "Release 9.8.7")
    made = release(clone, "--no-image")
    assert made.returncode == 0, made.stderr
    assert "v9.8.7 is this commit" in made.stdout
    return clone


def test_its_files_are_made_and_it_is_tagged_and_the_next_version_begins(tagged: Path) -> None:
    assert git(tagged, "rev-parse", "v9.8.7") == git(tagged, "rev-parse", "HEAD")
    first = files_of(tagged)
    check_files(first, tagged)
    git(tagged, "commit", "--quiet", "--all", "--message", "Begin 9.9.0")
    assert '_with_commit("9.9.0.dev0")' in (tagged / "src/taskmill/version.py").read_text("utf-8")
    git(tagged, "checkout", "--quiet", "v9.8.7")
    again = release(tagged, "--no-image")
    assert again.returncode == 0, again.stderr
    assert "is this commit" not in again.stdout
    assert files_of(tagged) == first
    assert git(tagged, "status", "--porcelain") == ""


def test_another_commit_and_entries_under_unreleased_are_refused(tagged: Path) -> None:
    git(tagged, "checkout", "--quiet", "--force", "v9.8.7")
    git(tagged, "commit", "--quiet", "--allow-empty", "--message", "Change something")
    assert "v9.8.7 is commit " in release(tagged).stderr
    changelog = tagged / "CHANGELOG.md"
    text = changelog.read_text(encoding="utf-8")
    more = "## [Unreleased]\n\n- More.\n"
    changelog.write_text(text.replace("## [Unreleased]\n", more, 1), encoding="utf-8")
    git(tagged, "commit", "--quiet", "--all", "--message", "Add more")
    assert "has entries under Unreleased" in release(tagged).stderr


def files_of(clone: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (clone / "dist/taskmill-9.8.7").iterdir()}


def check_files(contents: dict[str, bytes], clone: Path) -> None:
    assert set(contents) == {
        "taskmill-9.8.7-py3-none-any.whl",
        "taskmill_service-9.8.7-py3-none-any.whl",
        "taskmill-9.8.7.tar.gz",
        "taskmill-9.8.7.tgz",
        "taskmill-9.8.7.cdx.json",
        "taskmill-9.8.7-changes.md",
        "SHA256SUMS",
    }
    folder = clone / "dist" / "taskmill-9.8.7"
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, check=True)  # noqa: S607 - coreutils
    own = json.loads(contents["taskmill-9.8.7.cdx.json"])["metadata"]["component"]
    parts = {(part["name"], part["version"]) for part in own["components"]}
    assert own["version"] == "9.8.7"
    assert parts == {("taskmill", "9.8.7"), ("taskmill-service", "9.8.7")}
    with tarfile.open(folder / "taskmill-9.8.7.tar.gz") as source:
        names = {name.partition("/")[2] for name in source.getnames()}
    assert {"pyproject.toml", "CHANGELOG.md", "LICENSE", "src/taskmill/__init__.py"} <= names
    assert {"packages/service/pyproject.toml", "packages/versions.py"} <= names
    assert not any(name.startswith(("tests/", "dist/", ".venv")) for name in names)
