"""The version of this program, read when somebody asks: that takes as long as starting Python does."""

from functools import cache


@cache
def version() -> str:
    """Return the version, such as `0.1.0`."""
    from importlib.metadata import PackageNotFoundError, version as of  # noqa: PLC0415 - see above

    try:
        return of("taskmill")
    except PackageNotFoundError:  # run from a source tree that was never installed
        return "0.1.0"
