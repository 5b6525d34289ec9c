"""The version of the two packages: what hatchling asks for when it builds them.

A release has the version of `src/taskmill/version.py`. What is built between two releases has X.Y.Z.devN+gCOMMIT,
where X.Y.Z is the next release, N the number of commits since the version was set, and COMMIT the one that is
checked out: so no two commits have the same version, and pip takes the later one for newer.
"""
# ruff: noqa: INP001, S603, S607 - hatchling loads it by its path; it runs git

import re
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface

_ROOT: Final = Path(__file__).resolve().parents[1]
_FILE: Final = "src/taskmill/version.py"
_VERSION: Final = re.compile(r'^VERSION: Final = \D*"(.+)"', re.MULTILINE)
_WRITTEN: Final = '''"""The version of this program."""

from typing import Final

VERSION: Final = "{}"
'''
_EACH_OTHER: Final = ("taskmill", "taskmill-service")


def version() -> str:
    """Return the version of what is built from this source now."""
    [written] = _VERSION.findall((_ROOT / _FILE).read_text(encoding="utf-8"))
    if not written.endswith(".dev0") or not (_ROOT / ".git").exists():
        return str(written)
    begun = _git("log", "-1", "--format=%H", "-G", "^VERSION: ", "--", _FILE)
    commits = _git("rev-list", "--count", f"{begun}..HEAD")
    commit = _git("rev-parse", "--short=9", "HEAD")
    changed = ".changed" if _git("status", "--porcelain", "--untracked-files=no") else ""
    return f"{written.removesuffix('0')}{commits}+g{commit}{changed}"


def _git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", "-C", _ROOT, *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


class SameVersion(MetadataHookInterface):
    """Lets each of the two packages need the other one in the same version."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Add the version to the name of the other package, wherever it is needed."""
        _pin(metadata["dependencies"], metadata["version"])
        for needs in metadata.get("optional-dependencies", {}).values():
            _pin(needs, metadata["version"])


def _pin(needs: list[str], version: str) -> None:
    needs[:] = [f"{one}=={version}" if one in _EACH_OTHER else one for one in needs]


class WrittenVersion(BuildHookInterface[BuilderConfig]):
    """Replaces what looks at the clone by the version, where there is no clone any more."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the file, and map it to its path in the wheel or the archive; an editable wheel has none."""
        # hatchling asks no SameVersion for a wheel of an archive.
        for needs in self.metadata.core.optional_dependencies.values():
            _pin(needs, self.metadata.version)
        if version == "editable":
            return
        self._folder = tempfile.TemporaryDirectory()
        file = Path(self._folder.name) / "version.py"
        file.write_text(_WRITTEN.format(self.metadata.version), encoding="utf-8")
        is_archive = self.target_name == "sdist"
        build_data["force_include"][str(file)] = _FILE if is_archive else _FILE.removeprefix("src/")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        """Remove the file."""
        if version != "editable":
            self._folder.cleanup()
