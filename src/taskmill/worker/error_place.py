"""Finds the place of an exception: the innermost function of the handler's own code. It reads no files."""

import sys
from collections.abc import Iterator
from functools import lru_cache
from types import CodeType
from typing import Final, NamedTuple

_NEVER_OWN: Final = sys.stdlib_module_names | {"taskmill"}
_INSTALLED: Final = ("site-packages", "dist-packages")
_MOST_FILES: Final = 1_024


class _Frame(NamedTuple):
    """A frame that is neither of Python's library nor of Taskmill."""

    package: str
    module: str
    code: CodeType


def find_place(error: BaseException) -> str | None:
    """Return module and function, such as `shop.mail.send`; None if no code of the handler's was under way.

    Own is what is no installed package; of a handler that is installed itself, what is of the same package.
    """
    frames = list(_frames(error))
    if not frames:
        return None
    innermost = frames[::-1]
    own = next((one for one in innermost if not _is_installed(one.code.co_filename)), None)
    own = own or next(one for one in innermost if one.package == frames[0].package)
    return f"{own.module}.{own.code.co_qualname}"


def _frames(error: BaseException) -> Iterator[_Frame]:
    """Return the frames from the handler to where it was raised, without those that are never its own."""
    entry = error.__traceback__
    while entry is not None:
        frame = entry.tb_frame
        name = frame.f_globals.get("__name__")
        module = name if isinstance(name, str) else "?"
        package = module.partition(".")[0]
        if package not in _NEVER_OWN:
            yield _Frame(package, module, frame.f_code)
        entry = entry.tb_next


@lru_cache(_MOST_FILES)
def _is_installed(file: str) -> bool:
    return any(folder in file for folder in _INSTALLED)
