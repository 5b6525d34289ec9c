"""Selects the modules of `taskmill-service`: what the package `taskmill` does not list as its own."""
# ruff: noqa: INP001 - hatchling loads it by its path

import tomllib
from pathlib import Path
from typing import Any, Final

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_ROOT: Final = Path(__file__).resolve().parents[2]
_SOURCE: Final = _ROOT / "src" / "taskmill"


class ServiceModules(BuildHookInterface[BuilderConfig]):
    """Adds them to a wheel; an editable one has a path instead."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Map each module, or folder of modules, to its path in the wheel."""
        if version == "editable":
            return
        table = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
        listed = table["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
        own = {Path(path).name for path in listed} | {"__pycache__"}
        build_data["force_include"].update(
            {
                str(path): f"taskmill/{path.name}"
                for path in _SOURCE.iterdir()
                if path.name not in own
            }
        )
