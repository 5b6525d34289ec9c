"""Adds to the documentation's site what is outside docs/: a hook of MkDocs, named in mkdocs.yml.

Pages link to files outside docs/, which works in the repository. On the site each such target becomes a page: a
page as it is, any other file as a block of code, a folder as the list of its files. And an entry `folder/*` of the
nav stands for all pages of the folder that the nav does not name.
"""
# ruff: noqa: INP001 - read by MkDocs, from its path

import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
DOCS = "docs/"
OUTSIDE = "repository/"
LINK = re.compile(r"(?<=\]\()(?![a-z]+:)([^)\s#]+)")
FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
LANGUAGES = {".py": "python", ".sql": "sql", ".yaml": "yaml", ".yml": "yaml", ".sh": "sh"}

Nav = list[Any]


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Expand the nav."""
    named = set(_named(config.nav or []))
    config.nav = _expanded(config.nav or [], named)
    return config


def _named(nav: Nav) -> Iterator[str]:
    for entry in nav:
        for value in entry.values() if isinstance(entry, dict) else [entry]:
            yield from _named(value) if isinstance(value, list) else [value]


def _expanded(nav: Nav, named: set[str]) -> Nav:
    complete: Nav = []
    for entry in nav:
        if isinstance(entry, dict):
            [(title, value)] = entry.items()
            inner = _expanded(value, named) if isinstance(value, list) else value
            complete += [{title: inner}] if inner else []
        elif entry.endswith("/*"):
            pages = sorted((ROOT / DOCS).glob(f"{entry}.md"))
            uris = [page.relative_to(ROOT / DOCS).as_posix() for page in pages]
            complete += [uri for uri in uris if uri not in named]
        else:
            complete.append(entry)
    return complete


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each link target outside docs/, and for the targets of those."""
    waiting = [DOCS + file.src_uri for file in files.documentation_pages()]
    while waiting:
        path = waiting.pop()
        for target in _targets(path):
            uri = _uri(target)
            if target.startswith(DOCS) or files.get_file_from_path(uri) is not None:
                continue
            files.append(
                File.generated(
                    config, uri, content=_content(target), inclusion=InclusionLevel.NOT_IN_NAV
                )
            )
            waiting.append(target)
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """Point links to the pages of the site that stand for their targets."""
    uri = page.file.src_uri
    path = uri.removeprefix(OUTSIDE) if uri.startswith(OUTSIDE) else DOCS + uri
    if not (ROOT / path).is_file():  # generated from code, not from a page
        return markdown

    def moved(link: re.Match[str]) -> str:
        target = _target(path, link[1])
        return posixpath.relpath(_uri(target), posixpath.dirname(uri)) if target else link[1]

    parts = FENCE.split(markdown)
    parts[::2] = [LINK.sub(moved, part) for part in parts[::2]]
    return "".join(parts)


def _targets(path: str) -> Iterator[str]:
    """Yield the paths in the repository that a page links to."""
    if path.endswith(".md"):
        text = FENCE.sub("", (ROOT / path).read_text(encoding="utf-8"))
        for link in LINK.findall(text):
            yield from filter(None, [_target(path, link)])


def _target(path: str, link: str) -> str | None:
    """Return the path in the repository of a link's target; None if it does not exist."""
    target = posixpath.normpath(posixpath.join(posixpath.dirname(path), link))
    there = (ROOT / target).resolve()
    return target if there.exists() and there.is_relative_to(ROOT) else None


def _uri(target: str) -> str:
    """Return which page of the site stands for a path in the repository."""
    if target.startswith(DOCS):
        return target.removeprefix(DOCS)
    return OUTSIDE + (target if target.endswith(".md") else f"{target}.md")


def _content(target: str) -> str:
    path = ROOT / target
    if path.is_dir():
        names = "\n".join(sorted(child.name for child in path.iterdir()))
        return f"# `{target}/`\n\n```text\n{names}\n```\n"
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".md":
        return text
    return f"# `{target}`\n\n````{LANGUAGES.get(path.suffix, 'text')}\n{text.rstrip()}\n````\n"
