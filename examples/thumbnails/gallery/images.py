"""Reads untrusted images, and writes small copies. It knows nothing about tasks."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageOps

# 150 MB in memory. Pillow warns of an image with more pixels, and refuses one with twice as many: a PNG of a few
# kilobytes can have billions.
Image.MAX_IMAGE_PIXELS = 50_000_000


class UnusableImageError(Exception):
    """The file is no image, or a dangerous one; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A small copy: its path and its size."""

    path: Path
    width: int
    height: int


def read(path: Path) -> Image.Image:
    """Decode an image, turned the right way up.

    Raises:
        UnusableImageError: It can't be decoded, now or ever.
        OSError: The disk failed.
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
        # Pillow raises OSError for broken files as well; only an error of the system has a number.
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UnusableImageError(f"not a sound image: {error}") from None


def write(image: Image.Image, path: Path, size: int) -> Thumbnail:
    """Write a copy that fits into a square of `size` pixels, as a whole or not at all."""
    small = image.copy()
    small.thumbnail((size, size))
    path.parent.mkdir(exist_ok=True)
    # A killed process may leave this file behind; the next attempt uses another name.
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    small.save(unfinished, format="JPEG")
    unfinished.replace(path)
    return Thumbnail(path=path, width=small.width, height=small.height)
