"""Begins a version, and makes its files and its image. The same commit gives the same bytes of the files.

It publishes nothing, and makes no tag.
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
from tools.package_sizes.installing import SERVICE, build_sdist, build_wheels
from tools.release import chart, surface

ROOT: Final = Path(__file__).resolve().parents[2]
CHANGELOG: Final = ROOT / "CHANGELOG.md"
VERSION_FILE: Final = ROOT / "src" / "taskmill" / "version.py"
PROJECTS: Final = (ROOT / "pyproject.toml", ROOT / SERVICE / "pyproject.toml")
CHART: Final = chart.CHART / "Chart.yaml"
SNAPSHOT: Final = ROOT / "tests" / "contract" / "released-surface.txt"
_UNRELEASED: Final = "## [Unreleased]"
_ENGINES: Final = ("docker", "podman")
_SHA: Final = "SHA256SUMS"
# The chart's own, and that of the program in its image, which is the same.
_CHART_VERSIONS: Final = re.compile(r"^((?:version|appVersion): ).*$", re.MULTILINE)
# What the two packages need of each other: the same version.
_EACH_OTHER: Final = re.compile(r'("taskmill(?:-service)?==)[\d.]+')
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
    """Turn what is unreleased into a version: in changelog, source, packages, chart, and as what is promised."""
    if not _NUMBER.fullmatch(version):
        raise ValueError(f"{version} is no version: expected MAJOR.MINOR.PATCH")
    text = CHANGELOG.read_text(encoding="utf-8")
    if not section_of(text, "Unreleased").strip():
        raise ValueError("nothing is unreleased")
    heading = f"{_UNRELEASED}\n\n## [{version}] - {today}"
    CHANGELOG.write_text(text.replace(_UNRELEASED, heading, 1), encoding="utf-8")
    source = VERSION_FILE.read_text(encoding="utf-8")
    VERSION_FILE.write_text(source.replace(f'"{VERSION}"', f'"{version}"'), encoding="utf-8")
    for file in PROJECTS:
        project = file.read_text(encoding="utf-8")
        file.write_text(_EACH_OTHER.sub(rf"\g<1>{version}", project), encoding="utf-8")
    description = CHART.read_text(encoding="utf-8")
    CHART.write_text(_CHART_VERSIONS.sub(rf"\g<1>{version}", description), encoding="utf-8")
    promise(version)


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
    arguments = ("--build-arg", f"VERSION={VERSION}", "--build-arg", f"REVISION={_revision()}")
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


def _revision() -> str:
    git = shutil.which("git") or "git"
    command = [git, "rev-parse", "HEAD"]
    return subprocess.run(
        command, cwd=ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()
