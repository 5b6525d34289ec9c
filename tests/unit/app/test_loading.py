"""Finding an app by its name."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from taskmill.app.loading import check_app, load_app
from taskmill.domain.errors import ConfigurationError

GOOD = """
from taskmill import Taskmill
app = other = Taskmill()
empty = Taskmill()
@app.task("one")
def one() -> None: ...
"""

Write = Callable[[str, str], None]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Write modules into the folder in which the program is started."""
    monkeypatch.chdir(tmp_path)
    path, modules = sys.path[:], set(sys.modules)

    def write(name: str, text: str) -> None:
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)

    yield write
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


@pytest.mark.parametrize("spec", ["shop_one.tasks:app", "shop_one.tasks:other", "shop_one.tasks"])
def test_an_app_is_found_in_the_folder_of_the_start(spec: str, write: Write) -> None:
    write("shop_one/tasks.py", GOOD)
    assert [one.name for one in load_app(spec)] == ["one"]
    check_app(spec)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("nowhere_at_all:app", "No module named 'nowhere_at_all'"),
        ("shop_two:nothing", "got nothing of that name"),
        ("shop_two:empty", "has no task types"),
        ("shop_two:one.name", "got str 'one'"),
        ("", "expected MODULE:NAME"),
        ("../x:app", "can't be imported"),
    ],
)
def test_what_is_no_app_is_an_error(spec: str, words: str, write: Write) -> None:
    write("shop_two.py", GOOD)
    for attempt in (load_app, check_app):
        with pytest.raises(ConfigurationError, match=words) as refusal:
            attempt(spec)
        assert "Traceback" not in str(refusal.value)


def test_a_module_that_fails_is_an_error_with_its_line(write: Write) -> None:
    write("shop_three.py", "x = 1\ny = x / 0\n")
    with pytest.raises(ConfigurationError, match=r"ZeroDivisionError.*shop_three\.py, line 2"):
        check_app("shop_three:app")
