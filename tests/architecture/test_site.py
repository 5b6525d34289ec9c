"""The documentation as a site: it builds strictly, and loads nothing from other hosts."""

import os
import re
import subprocess
import sys
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PARTS = ("h1", "h2", "h3", "h4", "p", "li", "pre", "tr", "td", "strong", "em")
FAULTS = """# Page

[nowhere](nowhere.md), [no heading](#nothing), [out](/absolute.md), but [this](#here--there), as GitHub calls it.

## Here & there
"""


class Html(HTMLParser):
    """The contents of a page: links, ids, loaded files, and the parts of its article."""

    def __init__(self, text: str, *, whole: bool = False) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.ids: set[str] = set()
        self.parts: Counter[str] = Counter()
        self._is_inside = whole
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value for name, value in attrs if value}
        self._is_inside = self._is_inside or tag == "article"
        if self._is_inside and tag in PARTS:
            self.parts[tag] += 1
        self.ids |= {named["id"]} if "id" in named else set()
        if tag == "a":
            self.links += [named["href"]] if "href" in named else []
        else:
            self.loaded += [named[name] for name in ("src", "href", "srcset") if name in named]

    def handle_endtag(self, tag: str) -> None:
        self._is_inside = self._is_inside and tag != "article"


def build(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(  # noqa: S603 - our own environment's program
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", folder, *arguments],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},  # noqa: TID251 - for the child
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    built = build(folder)
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Html]:
    """All pages except the one that only a server shows, whose links begin at its root."""
    found = [path for path in site.rglob("*.html") if path.name != "404.html"]
    assert len(found) > 80
    return {path: Html(path.read_text(encoding="utf-8")) for path in found}


def test_the_build_refuses_broken_pages(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(FAULTS)
    (tmp_path / "docs" / "forgotten.md").write_text("# Forgotten\n")
    config = tmp_path / "mkdocs.yml"
    config.write_text(f"INHERIT: {ROOT / 'mkdocs.yml'}\nhooks: []\nnav: [index.md]\n")
    refused = build(tmp_path / "site", "--config-file", str(config))
    assert refused.returncode == 1
    assert "Aborted with 4 warnings" in refused.stdout
    for fault in ("'nowhere.md'", "'#nothing'", "'/absolute.md'", "forgotten.md"):
        assert fault in refused.stderr


def test_nothing_is_loaded_from_another_host(site: Path, pages: dict[Path, Html]) -> None:
    addresses = [address for page in pages.values() for address in page.loaded]
    for style in site.rglob("*.css"):
        addresses += re.findall(r"url\(['\"]?([^)'\"]+)", style.read_text(encoding="utf-8"))
    assert len(addresses) > 500
    foreign = [address for address in addresses if re.match(r"[a-z]+:|//", address)]
    assert {address[:5] for address in foreign} <= {"data:"}
    # The theme would load a script for these.
    assert not [path for path in pages if 'class="mermaid"' in path.read_text(encoding="utf-8")]


def test_a_page_from_a_folder_can_be_searched(site: Path, pages: dict[Path, Html]) -> None:
    assert "assets/iframe-worker.js" in pages[site / "index.html"].loaded
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    assert index.startswith("var __index = {")
    assert "reference/settings.html#leases" in index


def test_every_link_leads_to_a_part_of_the_site(site: Path, pages: dict[Path, Html]) -> None:
    broken = [
        f"{path.relative_to(site)}: {link}"
        for path, page in pages.items()
        for link in page.links
        if not re.match(r"https?:", link) and not leads_somewhere(path, unquote(link), pages)
    ]
    assert not broken


def leads_somewhere(path: Path, link: str, pages: dict[Path, Html]) -> bool:
    file, _, fragment = link.partition("#")
    target = (path.parent / file).resolve() if file else path
    return target in pages and (not fragment or fragment in pages[target].ids)


def test_files_outside_docs_are_on_the_site_if_a_page_links_to_them(site: Path) -> None:
    repository = site / "repository"
    assert "<h1" in (repository / "index.html").read_text(encoding="utf-8")
    code = (repository / "src/taskmill/domain/lifecycle.py.html").read_text(encoding="utf-8")
    assert "EventType" in code
    folder = (repository / "src/taskmill/storage/queries.html").read_text(encoding="utf-8")
    assert "create_tasks.sql" in folder


def test_pages_have_the_same_parts_as_in_the_repository(
    site: Path, pages: dict[Path, Html]
) -> None:
    markdown = MarkdownIt("commonmark").enable("table")
    for source in DOCS.rglob("*.md"):
        name = "index.html" if source.name == "README.md" else f"{source.stem}.html"
        shown = pages[site / source.parent.relative_to(DOCS) / name]
        meant = Html(markdown.render(source.read_text(encoding="utf-8")), whole=True)
        assert shown.parts == meant.parts, source
