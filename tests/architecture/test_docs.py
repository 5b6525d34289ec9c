"""Checks links, settings, commands, log events, tests and paths in the documentation against the program."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from taskmill import settings as configuration
from taskmill.cli.main import program
from taskmill.composition import longest_stop_s
from taskmill.domain.blockers import BlockerName
from taskmill.domain.lifecycle import EventType
from tests.support.every import every

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted(
    page
    for pattern in ("*.md", "docs/**/*.md", "examples/*.md", "examples/*/*.md")
    for page in ROOT.glob(pattern)
)
READMES = [ROOT / "README.md", ROOT / "README.ru.md"]

FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
FENCED_UNIT = re.compile(r"^ *```ini [^\n]*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#{1,6} (.+)$", re.MULTILINE)
PATH = re.compile(r"`((?:src|tests)/[^`]*)`")
EVENT = re.compile(r"[a-z_]+\.[a-z_]+")
OF_THE_MACHINE = {
    "TASKMILL_WORKER__NAME",
    "TASKMILL_API__ALLOWED_HOSTS",
    "TASKMILL_WORKER__ISOLATED",
}
FORMER = {"TASKMILL_WORKER__PATIENCE_S", "TASKMILL_OUTBOUND__SIGNING_KEYS"}
LOG_METHODS = {"debug", "info", "warning", "error", "exception"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def prose(page: Path) -> str:
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchor(heading: str) -> str:
    """Return the anchor of a heading by GitHub's rule."""
    text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", heading).lower()
    return re.sub(r"[^\w\- ]", "", text).replace(" ", "-")


def anchors(page: Path) -> set[str]:
    return {anchor(heading) for heading in HEADING.findall(prose(page))}


@every("page", PAGES)
def test_every_link_leads_somewhere(page: Path) -> None:
    for link in LINK.findall(prose(page)):
        if link.startswith("https://"):
            continue
        path, _, fragment = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{link} leads nowhere"
        assert target.is_relative_to(ROOT), f"{link} leads out of the repository"
        assert not fragment or fragment in anchors(target), f"{link} names no heading"


def test_every_page_is_reached_from_a_readme() -> None:
    reached: set[Path] = set()
    pending = [ROOT / "README.md"]
    while pending:
        page = pending.pop()
        if page in reached or page.suffix != ".md":
            continue
        reached.add(page)
        links = (link.partition("#")[0] for link in LINK.findall(prose(page)))
        pending += [(page.parent / link).resolve() for link in links if "://" not in link and link]
    assert not set(PAGES) - reached


@every("page", PAGES)
def test_every_diagram_is_text(page: Path) -> None:
    """Mermaid is rendered by a script of another host, which the site must not load, and not in editors."""
    assert "```mermaid" not in page.read_text(encoding="utf-8")


def test_every_setting_is_described_with_its_default() -> None:
    described = dict(settings_rows())
    for setting in defaults():
        assert setting.name in described, f"{setting.name} is not described"
        default = described.pop(setting.name)
        assert default in {f"`{setting.value}`", ""} or setting.name in OF_THE_MACHINE
        assert bool(default) == bool(setting.value), f"{setting.name} is {setting.value!r}"
    assert not described, "these are no settings"


def defaults() -> list[configuration.Effective]:
    return configuration.effective(configuration.Settings.model_construct())


def settings_rows() -> Iterator[tuple[str, str]]:
    text = (ROOT / "docs/reference/settings.md").read_text(encoding="utf-8")
    yield from re.findall(r"^\| `(TASKMILL_\w+)` \| *(.*?) *\| ", text, re.MULTILINE)


@every("page", PAGES)
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    known = {setting.name for setting in defaults()}
    known |= {
        "TASKMILL_API_KEY",
        "TASKMILL_API_KEY_FILE",
        "TASKMILL_CONFIG_FILE",
        "TASKMILL_URL",
        "TASKMILL_PYTHON",
        "TASKMILL_TEST_POSTGRES_BIN",
    }
    wrong_on_purpose = {"TASKMILL_API__PRT", "TASKMILL_WORKER__CONCURENCY"}
    former = FORMER if page.name == "CHANGELOG.md" else set()
    named = set(re.findall(r"TASKMILL_[A-Z_]*[A-Z]", page.read_text(encoding="utf-8")))
    assert not named - known - wrong_on_purpose - former


@every("page", PAGES)
def test_every_command_that_a_page_shows_exists(page: Path) -> None:
    for words in commands(page):
        assert_exists(words)


def test_the_readmes_show_the_same_commands() -> None:
    english, russian = (sorted(map(" ".join, commands(page))) for page in READMES)
    assert english
    assert english == russian


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the words after `taskmill` in code blocks and in inline code."""
    text = page.read_text(encoding="utf-8")
    for line in text.replace("\\\n", " ").splitlines():
        found = re.match(r"(?:\$ )?(?:\w+='?[^\s]*'? )*\./taskmill (.*)", line.strip())
        if found:
            yield shlex.split(found[1].partition(" && ")[0], comments=True)
    for shown in re.findall(r"`(?:\./)?taskmill ([^`]+)`", text):
        yield shlex.split(shown)


def assert_exists(words: list[str]) -> None:
    command: click.Command = program
    # A command takes its help option from the first context.
    context = click.Context(program, **program.context_settings)
    remaining = list(words)
    while isinstance(command, click.Group) and remaining and not remaining[0].startswith("-"):
        name = remaining.pop(0)
        found = command.get_command(context, name)
        assert found is not None, f"there is no command {name!r}: {' '.join(words)}"
        command, context = found, click.Context(found, parent=context)
    options = {name for parameter in command.get_params(context) for name in parameter.opts}
    for word in remaining:
        if word.startswith("--"):
            assert word.partition("=")[0] in options, f"no option {word}: {' '.join(words)}"


def test_every_log_event_is_described() -> None:
    text = (ROOT / "docs/operations/log-events.md").read_text(encoding="utf-8")
    described = {
        event
        for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
        for event in re.findall(r"`([^`]+)`", row)
    }
    logged = {event for file in sources() for event in events(file)}
    logged |= {f"task.{event_type}" for event_type in EventType}
    assert logged >= {"task.claimed", "request.served", "log.dropped"}
    assert logged - described == set(), "these are not described"
    assert described - logged == set(), "these are never logged"


def test_every_blocker_is_described_in_its_order() -> None:
    text = (ROOT / "docs/reference/http.md").read_text(encoding="utf-8")
    described = re.findall(r"^\| `(\w+)` \|[^|]*\|[^|]*\|[^|]*\|$", text, re.MULTILINE)
    assert described == list(BlockerName)


def sources() -> Iterator[Path]:
    yield from (ROOT / "src").rglob("*.py")


def events(file: Path) -> Iterator[str]:
    """Yield the log events of a module: arguments of a logger's methods, or of functions that stand for them."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            text = node.args[0].value
            is_function = isinstance(node.func, ast.Name) and not node.func.id[0].isupper()
            is_log = is_function or getattr(node.func, "attr", "") in LOG_METHODS
            if is_log and isinstance(text, str) and EVENT.fullmatch(text):
                yield text
        if isinstance(node, ast.Constant) and isinstance(node.value, bytes):
            yield from re.findall(r'"event":"([a-z_.]+)"', node.value.decode(errors="replace"))


def test_every_test_that_a_page_names_exists() -> None:
    code = [file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py")]
    there = {name for text in code for name in re.findall(r"def (test_\w+)", text)}
    named = {
        (name_of(page), name) for page in PAGES for name in re.findall(r"`(test_\w+)`", prose(page))
    }
    assert {(page, name) for page, name in named if name not in there} == set()


@every("page", PAGES)
def test_every_path_that_a_page_names_exists(page: Path) -> None:
    missing = [path for path in PATH.findall(prose(page)) if not any(ROOT.glob(path))]
    assert not missing, "these are not there"


def test_every_decision_is_listed_once() -> None:
    folder = ROOT / "docs/decisions"
    listed = LINK.findall((folder / "README.md").read_text(encoding="utf-8"))
    there = sorted(page.name for page in folder.glob("[0-9]*.md"))
    assert listed == there
    assert [name[:4] for name in there] == [f"{n:04}" for n in range(1, len(there) + 1)]


def test_systemd_signals_only_the_first_process_and_leaves_it_time() -> None:
    page = (ROOT / "docs/how-to/deploy.md").read_text(encoding="utf-8")
    units = [unit for unit in FENCED_UNIT.findall(page) if "[Service]" in unit]
    assert len(units) == 2
    for unit in units:
        service = dict(line.strip().split("=", 1) for line in unit.splitlines() if "=" in line)
        assert service["KillMode"] == "mixed"
        assert float(service["TimeoutStopSec"]) > longest_stop_s(configuration.Settings()) + 5
