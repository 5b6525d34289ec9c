"""The files that pages load: styles, scripts, and the libraries that come with the package.

Their address has a digest of them all, so browsers cache them for ever, and load others with another release. They
are read and compressed once, when they are first requested.
"""

import gzip
from dataclasses import dataclass
from functools import cache
from hashlib import blake2s
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).parent / "static"
_TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
CACHE_FOR_EVER: Final = "public, max-age=31536000, immutable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file as it is sent."""

    media_type: str
    plain: bytes
    zipped: bytes


@cache
def _paths() -> dict[str, Path]:
    files = sorted(path for path in FOLDER.rglob("*") if path.suffix in _TYPES)
    return {path.relative_to(FOLDER).as_posix(): path for path in files}


@cache
def digest() -> str:
    """Return a digest of all files."""
    total = blake2s(digest_size=6)
    for name, path in _paths().items():
        total.update(name.encode() + b"\0" + path.read_bytes())
    return total.hexdigest()


@cache
def _load(path: Path) -> Asset:
    content = path.read_bytes()
    return Asset(
        media_type=_TYPES[path.suffix], plain=content, zipped=gzip.compress(content, 9, mtime=0)
    )


def find(name: str) -> Asset | None:
    """Return a file by its path below the folder; None when there is none."""
    path = _paths().get(name)
    return None if path is None else _load(path)
