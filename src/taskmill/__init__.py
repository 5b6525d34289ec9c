"""Taskmill: a self-hosted task service. This package root holds the version and nothing else."""

from importlib.metadata import PackageNotFoundError, version

__all__ = ["__version__"]

try:
    __version__ = version("taskmill")
except PackageNotFoundError:  # run from a source tree that was never installed
    __version__ = "0.1.0"
