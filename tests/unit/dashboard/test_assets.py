"""The assets of the pages: local, licensed, small, and without what the policy refuses."""

import gzip
import re
from pathlib import Path

from taskmill.dashboard import assets
from taskmill.dashboard.guard import POLICY
from tests.support.every import every

TEMPLATES = sorted((assets.FOLDER.parent / "templates").glob("*.html"))
MOST_BYTES_OF_SCRIPTS = 60_000


def test_each_library_has_its_version_and_its_licence() -> None:
    for folder in (assets.FOLDER / "vendor").iterdir():
        if folder.is_dir():
            assert re.fullmatch(r"[a-z.]+-\d+\.\d+\.\d+", folder.name)
            assert (folder / "LICENSE").stat().st_size > 100


def test_a_file_is_found_by_its_path_and_nothing_else_is() -> None:
    found = assets.find("app.css")
    assert found is not None
    assert gzip.decompress(found.zipped) == found.plain
    for name in (
        "",
        "nothing.js",
        "../assets.py",
        "vendor/README.md",
        "vendor/uplot-1.6.32/LICENSE",
    ):
        assert assets.find(name) is None


def test_all_files_together_are_small() -> None:
    names = [path.relative_to(assets.FOLDER).as_posix() for path in assets.FOLDER.rglob("*.*s*")]
    found = [asset for name in names if (asset := assets.find(name)) is not None]
    assert 0 < sum(len(asset.zipped) for asset in found) < 2 * MOST_BYTES_OF_SCRIPTS


@every("template", TEMPLATES)
def test_no_template_has_what_the_policy_refuses(template: Path) -> None:
    content = template.read_text("utf-8")
    assert re.search(r"\sstyle=|\son[a-z]+=|javascript:|hx-on|https?://", content) is None
    assert re.search(r"<script(?![^>]*\ssrc=)", content) is None
    assert "|safe" not in content


def test_the_policy_lets_nothing_in_from_elsewhere() -> None:
    assert POLICY.startswith("default-src 'self';")
    assert "unsafe" not in POLICY
    assert "http" not in POLICY
