"""Loads the app that a worker runs: `module:name`, from the folder in which it is started."""

import importlib
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Final

import orjson

from taskmill.app.registry import Taskmill
from taskmill.domain.errors import ConfigurationError

FIND_MODULES: Final = "import json, sys; sys.path[:] = json.loads(sys.argv[1])['path']"
"""First line of a program that must find the same modules as this one; its argument is JSON with `path`."""

_DEFAULT_NAME = "app"
_LONGEST_S = 120


def load_app(spec: str) -> Taskmill:
    """Import the module and return the app in it, called `app` unless the spec says otherwise.

    Raises:
        ConfigurationError: The module or name does not exist, is not a `Taskmill`, or can't be imported.
    """
    module_name, _, name = spec.partition(":")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    app = _imported(spec, module_name)
    for part in (name or _DEFAULT_NAME).split("."):
        app = getattr(app, part, None)
    if not isinstance(app, Taskmill):
        found = "nothing of that name" if app is None else f"{type(app).__name__} {app!r}"
        raise ConfigurationError(f"app {spec}: expected a Taskmill in {module_name}, got {found}")
    if not len(app):
        raise ConfigurationError(f"app {spec} has no task types: none is marked with @app.task")
    return app


def check_app(spec: str) -> None:
    """Check that the app can be loaded, in another process: side effects of the import stay there.

    Raises:
        ConfigurationError: As for `load_app`.
    """
    program = f"{FIND_MODULES}; from taskmill.app import loading; loading.main()"
    path = orjson.dumps({"path": sys.path}).decode()
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            [sys.executable, "-c", program, path, spec],
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
            timeout=_LONGEST_S,
        )
    except subprocess.TimeoutExpired:
        raise ConfigurationError(f"app {spec} can't be imported within {_LONGEST_S} s") from None
    if done.returncode:
        raise ConfigurationError(done.stderr.decode(errors="replace").strip())


def main() -> None:
    """Load the app that the command line names, and print what is wrong with it."""
    try:
        load_app(sys.argv[2])
    except ConfigurationError as error:
        sys.exit(str(error))


def _imported(spec: str, module_name: str) -> object:
    try:
        return importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        at = "" if "importlib" in where.filename else f" ({where.filename}, line {where.lineno})"
        raise ConfigurationError(
            f"app {spec}: {module_name} can't be imported: {type(error).__name__}: {error}{at}; "
            "expected MODULE:NAME, such as shop.tasks:app, from the folder that the worker is started in"
        ) from error
