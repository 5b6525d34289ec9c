"""What an installation of the package brings, by its extras; and programs that find nothing else."""

import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from importlib.metadata import distribution, packages_distributions, requires
from pathlib import Path
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.processes import ROOT, environment

OWN: Final = "taskmill"
SERVICE: Final = "taskmill-service"
_BLOCK: Final = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {absent!r} or name in {ours!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Absent())
"""


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def project() -> dict[str, Any]:
    """The table `project` of pyproject.toml."""
    table: dict[str, Any] = _table()["project"]
    return table


def files_of_taskmill() -> list[Path]:
    """What the package `taskmill` lists as its own, files and folders; `taskmill-service` has all else."""
    wheel = _table()["tool"]["hatch"]["build"]["targets"]["wheel"]
    return [ROOT / path for path in wheel["only-include"]]


def modules_of_service() -> set[str]:
    """The modules of `taskmill-service`, by their first two names."""
    source = ROOT / "src" / OWN
    rest = set(source.iterdir()) - {*files_of_taskmill(), source / "__pycache__"}
    return {f"{OWN}.{path.stem}" for path in rest}


def packages_of(*extras: str) -> set[str]:
    """The packages that are installed beside ours, with all that they need."""
    found: set[str] = set()
    waiting = [*_needed(project()["dependencies"], {""})]
    for extra in extras:
        waiting += _needed(project()["optional-dependencies"][extra], {""})
    while waiting:
        one = waiting.pop()
        name = canonicalize_name(one.name)
        if name == OWN:
            found |= packages_of(*one.extras)
        elif name not in found:
            found.add(name)
            if name != SERVICE:
                waiting += _needed(requires(name) or [], {"", *one.extras})
    return found


def _needed(texts: Iterable[str], extras: set[str]) -> Iterator[Requirement]:
    for requirement in map(Requirement, texts):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": extra}) for extra in extras):
            yield requirement


@cache
def _homes() -> Mapping[str, list[str]]:
    """Return the packages of each module that is installed here."""
    return packages_distributions()


def modules_of(packages: set[str]) -> set[str]:
    """The modules that packages bring, by their first names."""
    return {
        module
        for module, names in _homes().items()
        if any(canonicalize_name(name) in packages for name in names)
    }


def run_with(packages: set[str], script: str) -> subprocess.CompletedProcess[str]:
    """Run a script that finds only our package, these packages, and Python's own library."""
    absent = set(_homes()) - modules_of(packages) - {OWN}
    ours = set() if SERVICE in packages else modules_of_service()
    return subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", _BLOCK.format(absent=absent, ours=ours) + script],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def files_of(packages: set[str]) -> Iterator[Path]:
    """All files of packages as they are installed here."""
    for name in packages:
        for file in distribution(name).files or ():
            path = Path(str(file.locate()))
            if path.is_file():
                yield path
