"""Reads images that strangers may have made, and writes small copies. It knows nothing of tasks."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

# 150 MB in memory. Pillow warns of an image that has more pixels, and refuses one that has twice as many:
# a few kilobytes of PNG can hold billions.
Image.MAX_IMAGE_PIXELS = 50_000_000


class UnusableImageError(Exception):
    """The file is no image, or one that nobody should decode; its message says why."""


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A small copy: where it is, and how large it came out."""

    path: Path
    width: int
    height: int


def read(path: Path) -> Image.Image:
    """Decode an image, turned the right way up.

    Raises:
        UnusableImageError: it can't be decoded, now or ever.
        OSError: the disk has a trouble of its own.
    """
    try:
        with (
            warnings.catch_warnings(action="error", category=Image.DecompressionBombWarning),
            Image.open(path) as image,
        ):
            return ImageOps.exif_transpose(image).convert("RGB")
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise UnusableImageError(f"too many pixels: {error}") from None
    except FileNotFoundError:
        raise UnusableImageError("there is no such file") from None
    except (OSError, SyntaxError, ValueError) as error:
        # Pillow says these of broken files as well; only an error of the system has a number.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UnusableImageError(f"not a sound image: {error}") from None


def write(image: Image.Image, path: Path, size: int) -> Thumbnail:
    """Write a copy that fits into a square of `size` pixels; whoever looks sees all of it or nothing."""
    small = image.copy()
    small.thumbnail((size, size))
    path.parent.mkdir(exist_ok=True)
    # A process that is killed may leave this one; the next attempt has a name of its own.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    small.save(unfinished, format="JPEG")
    unfinished.replace(path)
    return Thumbnail(path=path, width=small.width, height=small.height)
