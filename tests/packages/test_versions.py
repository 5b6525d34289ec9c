"""Two builds of different commits never carry one version, so that an upgrade is one."""

import re
import subprocess
import zipfile
from pathlib import Path

import pytest

from tests.support.processes import ROOT
from tools.package_sizes.installing import build_wheels

pytestmark = pytest.mark.slow

_VERSION_FILE = "src/taskmill/version.py"
_BUILT = r"9\.8\.0\.dev{}\+g[0-9a-f]{{9}}"


def git(clone: Path, *arguments: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    command = ("git", *who, *arguments)
    done = subprocess.run(command, cwd=clone, check=True, capture_output=True, text=True)  # noqa: S603 - git
    return done.stdout.strip()


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """What is built into packages, in a repository of its own, between two releases."""
    clone = tmp_path / "clone"
    clone.mkdir()
    tracked = ("CHANGELOG.md", "LICENSE", "README.md", "pyproject.toml", "packages", "src")
    names = git(ROOT, "ls-files", "--cached", "--others", "--exclude-standard", "--", *tracked)
    for name in names.splitlines():
        if (ROOT / name).is_file():
            (clone / name).parent.mkdir(parents=True, exist_ok=True)
            (clone / name).write_bytes((ROOT / name).read_bytes())
    git(clone, "init", "--quiet")
    set_version(clone, "9.8.0.dev0")
    git(clone, "add", "--all")
    git(clone, "commit", "--quiet", "--message", "Begin 9.8.0")
    return clone


def set_version(clone: Path, version: str) -> None:
    file = clone / _VERSION_FILE
    begin, call, _ = file.read_text(encoding="utf-8").rpartition("_with_commit(")
    file.write_text(f'{begin}{call}"{version}")\n', encoding="utf-8")


def commit(clone: Path) -> None:
    git(clone, "commit", "--quiet", "--allow-empty", "--message", "Change something")


def built(clone: Path, folder: Path) -> tuple[str, str]:
    """The version of both wheels, and that which the program in them says."""
    wheels = build_wheels(folder, source=clone)
    versions, needed = set[str](), set[str]()
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as content:
            [about] = (name for name in content.namelist() if name.endswith("/METADATA"))
            text = content.read(about).decode()
        versions |= {*re.findall(r"^Version: (.*)$", text, re.MULTILINE)}
        needed |= {
            *re.findall(r"^Requires-Dist: taskmill(?:-service)?==([^;\s]+)", text, re.MULTILINE)
        }
    assert versions == needed
    with zipfile.ZipFile(wheels[0]) as content:
        text = content.read("taskmill/version.py").decode()
    [version] = versions
    [said] = re.findall(r'^VERSION: Final = "(.+)"$', text, re.MULTILINE)
    return version, said


def test_each_commit_has_a_version_of_its_own_and_a_later_one_is_newer(
    clone: Path, tmp_path: Path
) -> None:
    found = []
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        version, said = built(clone, folder)
        assert version == said
        assert re.fullmatch(_BUILT.format(number), version)
        found.append(version)
        commit(clone)
    assert len({*found}) == len(found)


def test_a_build_of_what_differs_from_its_commit_says_so(clone: Path, tmp_path: Path) -> None:
    (clone / "README.md").write_text("another")
    version, _ = built(clone, tmp_path)
    assert re.fullmatch(_BUILT.format(0) + r"\.changed", version)


def test_a_release_has_its_number(clone: Path, tmp_path: Path) -> None:
    set_version(clone, "9.8.0")
    git(clone, "commit", "--quiet", "--all", "--message", "Release 9.8.0")
    assert built(clone, tmp_path) == ("9.8.0", "9.8.0")


def test_a_clone_says_its_commit(clone: Path) -> None:
    script = "from taskmill.version import VERSION; print(VERSION)"
    python = ("python3", "-c", script)
    said = []
    for command in (
        ("checkout", "--quiet", "-b", "фикс"),
        ("pack-refs", "--all"),
        ("checkout", "--quiet", "--detach"),
    ):
        git(clone, *command)
        env = {"PYTHONPATH": str(clone / "src"), "PATH": "/usr/bin:/usr/local/bin"}
        done = subprocess.run(python, env=env, check=True, capture_output=True, text=True)  # noqa: S603 - Python
        said.append(done.stdout.strip())
    commit_id = git(clone, "rev-parse", "HEAD")[:9]
    assert said == [f"9.8.0.dev0+g{commit_id}"] * 3
