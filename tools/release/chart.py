"""Packs the chart for Kubernetes as `helm package` does, with the same bytes each time; it needs no helm."""

import gzip
import os
import re
import tarfile
from collections.abc import Iterator
from fnmatch import fnmatch
from io import BytesIO
from pathlib import Path
from typing import Final

CHART: Final = Path(__file__).resolve().parents[2] / "deploy" / "helm" / "taskmill"
_IGNORED: Final = ".helmignore"
_MODIFIED: Final = 1580601600
"""The time of all files, in seconds since 1970: that of the files in the package's source."""


def pack(folder: Path) -> Path:
    """Write the chart into a folder, under the name that Helm would give it, and return its path."""
    made = folder / f"{CHART.name}-{version()}.tgz"
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(_files()):
            _add(archive, path)
    made.write_bytes(gzip.compress(packed.getvalue(), mtime=0))
    return made


def version() -> str:
    """Return the version of the chart, and of the program in the image that it runs: that of the last release."""
    description = (CHART / "Chart.yaml").read_text(encoding="utf-8")
    [found] = re.findall(r"^version: (.*)$", description, re.MULTILINE)
    return str(found)


def _add(archive: tarfile.TarFile, path: Path) -> None:
    content = path.read_bytes()
    entry = tarfile.TarInfo(f"{CHART.name}/{path.relative_to(CHART)}")
    entry.size, entry.mtime = len(content), _MODIFIED
    archive.addfile(entry, BytesIO(content))


def _files() -> Iterator[Path]:
    """Yield all files of the chart; links are what they lead to, as nothing else is in an archive."""
    ignored = (CHART / _IGNORED).read_text(encoding="utf-8").split()
    for folder, _, names in os.walk(CHART, followlinks=True):
        for name in names:
            if not any(fnmatch(name, pattern) for pattern in (*ignored, _IGNORED)):
                yield Path(folder) / name
