"""The commands of README, tutorial and how-tos are run, and print what the pages show."""

import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bootstrap.conftest import Checkout, clone
from tests.support.processes import ROOT
from tools.pages.__main__ import PAGES, not_run
from tools.pages.blocks import Command, File, Page, read
from tools.pages.session import Site, site

TUTORIAL = ROOT / "docs/tutorial/first-handler.md"
SLOW = {
    "docs/how-to/emulate-types.md",  # a service of its own, like the next two
    "docs/how-to/own-handlers.md",
    "docs/how-to/several-workers.md",
    "docs/how-to/migrate-from-celery.md",
    "docs/how-to/task-logs.md",
    "docs/how-to/broker.md",
    "docs/how-to/from-a-cron-script.md",
}
# How many blocks of each page are not run. Each has its reason before it: `tools/run_pages --list` shows them.
NOT_RUN = {
    "README.md": 5,
    "docs/how-to/broker.md": 1,
    "docs/how-to/contracts.md": 1,
    "docs/how-to/dashboard.md": 2,
    "docs/how-to/deploy.md": 7,
    "docs/how-to/follow-changes.md": 7,
    "docs/how-to/from-a-cron-script.md": 1,
    "docs/how-to/install.md": 4,
    "docs/how-to/migrate-from-celery.md": 3,
    "docs/how-to/monitor.md": 4,
    "docs/how-to/own-handlers.md": 1,
    "docs/how-to/own-postgresql.md": 2,
    "docs/how-to/push-over-http.md": 3,
    "docs/how-to/several-workers.md": 1,
    "docs/how-to/stop-and-upgrade.md": 2,
    "docs/how-to/test-your-handlers.md": 1,
    "docs/how-to/trace-tasks.md": 8,
    "docs/how-to/transactional-enqueue.md": 10,
    "docs/how-to/verify.md": 2,
    "docs/how-to/webhooks.md": 9,
    "docs/how-to/why-is-it-not-running.md": 3,
    "docs/how-to/workers-in-any-language.md": 2,
    "docs/how-to/your-own-project.md": 3,
}


def name_of(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def marked(page: Path) -> object:
    marks = [pytest.mark.slow] if name_of(page) in SLOW else []
    return pytest.param(page, id=name_of(page), marks=marks)


@pytest.fixture(scope="module")
def shared() -> Iterator[Site]:
    """The service that pages find running."""
    with site(Path(sys.prefix), [read(page) for page in PAGES]) as made:
        yield made


def has_blocks(page: Path) -> bool:
    return "```" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", [marked(page) for page in PAGES if has_blocks(page)])
def test_a_page_prints_what_it_shows(page: Path, shared: Site) -> None:
    if "jq" in page.read_text(encoding="utf-8"):
        assert shutil.which("jq"), (
            f"{name_of(page)} uses jq: install it (Debian: apt-get install jq)"
        )
    shared.go_through(read(page), lambda line, text: print(line or "", text))  # noqa: T201 - shown when it fails


def test_the_blocks_that_are_not_run_are_known() -> None:
    counted = {name_of(page): len(not_run(read(page))) for page in PAGES}
    assert {page: count for page, count in counted.items() if count} == NOT_RUN


def test_both_readmes_have_the_same_commands() -> None:
    english, russian = (shell_steps(read(ROOT / name)) for name in ("README.md", "README.ru.md"))
    assert len(english) > 15
    assert english == russian


def shell_steps(page: Page) -> list[tuple[str | None, ...]]:
    return [
        (step.text, step.expected) if isinstance(step, Command) else (step.name, step.text)
        for step in page.steps
        if isinstance(step, Command | File)
    ]


@pytest.mark.slow
def test_the_tutorial_of_a_clean_clone_ends_with_the_readers_own_handler_retried_and_done(
    tmp_path: Path,
) -> None:
    checkout = Checkout(path=clone(tmp_path / "task mill"))
    done = checkout.call(
        checkout.path / "tools/run_pages", "task mill/docs/tutorial/first-handler.md"
    )
    assert "as printed" in done.stdout
    assert '{"letter":"outbox/17.txt"}' in done.stdout
    assert (checkout.path / ".venv").is_dir()
    assert not (checkout.path / ".taskmill").exists(), "the clone stays as it was"
