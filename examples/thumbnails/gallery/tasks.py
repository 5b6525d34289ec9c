"""The task type `thumbnails`: small copies of one image, made in a process of its own."""

import os
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import Field

from gallery import images
from gallery.images import Thumbnail, UnusableImageError
from taskmill import Context, PermanentFailure, RetryPolicy, Taskmill

app = Taskmill()

Size = Annotated[int, Field(ge=16, le=2048)]


@app.task(
    "thumbnails",
    queue="images",
    max_attempts=2,
    retry=RetryPolicy(base=timedelta(seconds=1)),
    timeout=30,
    isolation="process",
)
def thumbnails(
    image: Path, context: Context, sizes: tuple[Size, ...] = (128, 512)
) -> list[Thumbnail]:
    """Write a thumbnail of each size into the folder `thumbnails` beside the image."""
    source = inside_gallery(image)
    context.progress(0, "decoding")
    try:
        decoded = images.read(source)
    except UnusableImageError as error:
        context.logger.warning("the image can't be used", image=str(image))
        raise PermanentFailure(f"{image.name}: {error}") from None
    made = []
    for number, size in enumerate(sizes, start=1):
        target = source.parent / "thumbnails" / f"{source.name}-{size}.jpg"
        made.append(images.write(decoded, target, size))
        context.progress(number / len(sizes), f"{size} pixels")
    return made


def inside_gallery(image: Path) -> Path:
    """Return the real path of an image.

    Raises:
        PermanentFailure: It is outside of the worker's folder: creating tasks must not give access to all files.
    """
    gallery = Path(os.environ.get("GALLERY", ".")).resolve()
    source = (gallery / image).resolve()
    if not source.is_relative_to(gallery):
        raise PermanentFailure(f"{image} is not in the gallery")
    return source
