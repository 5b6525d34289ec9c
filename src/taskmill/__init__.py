"""Taskmill: a self-hosted task service. This package root holds the version and nothing else."""

__all__ = ["__version__"]


def __getattr__(name: str) -> str:
    """Read the version when somebody asks for it: that takes as long as starting Python does."""
    if name != "__version__":
        raise AttributeError(name)
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415 - see above

    try:
        return version("taskmill")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0.1.0"
