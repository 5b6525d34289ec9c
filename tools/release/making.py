"""Begins a version, and makes its files, its image and its tag. The same commit gives the same bytes of the files.

It publishes nothing.
"""
# ruff: noqa: S603 - it runs git, our own scripts and container engines

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Final

from taskmill.version import VERSION
from tools.package_sizes.installing import build_sdist, build_wheels
from tools.release import chart, surface

ROOT: Final = Path(__file__).resolve().parents[2]
CHANGELOG: Final = ROOT / "CHANGELOG.md"
VERSION_FILE: Final = ROOT / "src" / "taskmill" / "version.py"
CHART: Final = chart.CHART / "Chart.yaml"
SNAPSHOT: Final = ROOT / "tests" / "contract" / "released-surface.txt"
_UNRELEASED: Final = "## [Unreleased]"
_ENGINES: Final = ("docker", "podman")
_SHA: Final = "SHA256SUMS"
# The chart's own, and that of the program in its image, which is the same.
_CHART_VERSIONS: Final = re.compile(r"^((?:version|appVersion): ).*$", re.MULTILINE)
_WRITTEN: Final = re.compile(r'(^VERSION: Final = \D*")[^"]+', re.MULTILINE)
_NUMBER: Final = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


def section_of(changelog: str, version: str) -> str:
    """Return what a changelog says of a version, `Unreleased` for what comes next, without its heading.

    Raises:
        ValueError: It says nothing of it.
    """
    found = re.search(
        rf"^## \[{re.escape(version)}\][^\n]*\n(.*?)(?=^## \[|\Z)",
        changelog,
        re.MULTILINE | re.DOTALL,
    )
    if found is None:
        raise ValueError(f"the changelog has no section [{version}]")
    return found[1].strip() + "\n"


def cut(version: str, today: str) -> None:
    """Turn what is unreleased into a version: in changelog, source and chart, and as what is promised.

    Raises:
        ValueError: The version is none, nothing is unreleased, or the source differs from its commit.
    """
    if not _NUMBER.fullmatch(version):
        raise ValueError(f"{version} is no version: expected MAJOR.MINOR.PATCH")
    text = CHANGELOG.read_text(encoding="utf-8")
    if not section_of(text, "Unreleased").strip():
        raise ValueError("nothing is unreleased")
    _refuse_changes()
    heading = f"{_UNRELEASED}\n\n## [{version}] - {today}"
    CHANGELOG.write_text(text.replace(_UNRELEASED, heading, 1), encoding="utf-8")
    _write_version(version)
    description = CHART.read_text(encoding="utf-8")
    CHART.write_text(_CHART_VERSIONS.sub(rf"\g<1>{version}", description), encoding="utf-8")
    promise(version)


def begin_next() -> str:
    """Write the version of what comes after this release into the source, and return it."""
    major, minor, _ = VERSION.split(".")
    version = f"{major}.{int(minor) + 1}.0.dev0"
    _write_version(version)
    return version


def _write_version(version: str) -> None:
    source = VERSION_FILE.read_text(encoding="utf-8")
    VERSION_FILE.write_text(_WRITTEN.sub(rf"\g<1>{version}", source), encoding="utf-8")


def check() -> str:
    """Return the tag of this version.

    Raises:
        ValueError: What is checked out is no release.
    """
    if not _NUMBER.fullmatch(VERSION):
        raise ValueError(
            f"{VERSION} is no release: cut one first (ARGS='--cut MAJOR.MINOR.PATCH'), and commit it"
        )
    if section_of(CHANGELOG.read_text(encoding="utf-8"), "Unreleased").strip():
        raise ValueError(
            f"CHANGELOG.md has entries under Unreleased: move them to [{VERSION}], or cut another version"
        )
    _refuse_changes()
    tag = f"v{VERSION}"
    tagged = _git("rev-list", "-1", tag) if _git("tag", "--list", tag) else ""
    if tagged not in ("", _git("rev-parse", "HEAD")):
        raise ValueError(f"{tag} is commit {tagged[:9]}: check it out (git checkout {tag})")
    return tag


def _refuse_changes() -> None:
    if changed := _git("status", "--porcelain"):
        raise ValueError(f"these differ from the commit, so commit them first:\n{changed}")


def make_tag(tag: str) -> bool:
    """Tag the commit that is checked out; return whether it had no such tag."""
    is_new = not _git("tag", "--list", tag)
    if is_new:
        _git("tag", tag)
    return is_new


def promise(version: str) -> None:
    """Write the list of what this source promises, as that of a version which nobody has yet."""
    SNAPSHOT.write_text(surface.text_of(surface.current(), version), encoding="utf-8")


def build_files(folder: Path) -> list[Path]:
    """Build all files of a release into an empty folder, and return them, the checksums last."""
    made = [build_sdist(folder), *build_wheels(folder)]
    made += [chart.pack(folder), _write_packages(folder), _write_changes(folder)]
    sums = folder / _SHA
    lines = [f"{sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in sorted(made)]
    sums.write_text("".join(lines), encoding="ascii")
    return [*made, sums]


def _write_packages(folder: Path) -> Path:
    """Write the list of packages, with the version that it is of, and the two packages that this consists of."""
    subprocess.run([ROOT / "scripts" / "sbom"], check=True)
    listed = json.loads((ROOT / "dist" / "taskmill.cdx.json").read_text(encoding="utf-8"))
    own = listed["metadata"]["component"]
    own["version"] = VERSION
    own["components"] = [
        {"bom-ref": name, "type": "library", "name": name, "version": VERSION}
        for name in ("taskmill", "taskmill-service")
    ]
    file = folder / f"taskmill-{VERSION}.cdx.json"
    file.write_text(json.dumps(listed, indent=2) + "\n", encoding="utf-8")
    return file


def _write_changes(folder: Path) -> Path:
    """Write what the changelog says of this version, as a page of its own."""
    text = CHANGELOG.read_text(encoding="utf-8")
    file = folder / f"taskmill-{VERSION}-changes.md"
    file.write_text(f"# Taskmill {VERSION}\n\n{section_of(text, VERSION)}", encoding="utf-8")
    return file


def build_image() -> str | None:
    """Build the image with the first container engine that works; return its name, None without an engine.

    Raises:
        CalledProcessError: It can't be built; the engine has printed why.
    """
    engine = next(_usable_engines(), None)
    if engine is None:
        return None
    name = f"taskmill:{VERSION}"
    arguments = (
        "--build-arg",
        f"VERSION={VERSION}",
        "--build-arg",
        f"REVISION={_git('rev-parse', 'HEAD')}",
    )
    command = [engine, "build", "--file", "deploy/Dockerfile", "--tag", name, *arguments, "."]
    subprocess.run(command, cwd=ROOT, check=True)
    return name


def _usable_engines() -> Iterator[str]:
    for name in _ENGINES:
        found = shutil.which(name)
        if (
            found
            and subprocess.run([found, "info"], capture_output=True, check=False).returncode == 0
        ):
            yield found


def _git(*arguments: str) -> str:
    git = shutil.which("git") or "git"
    done = subprocess.run([git, *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.strip()
