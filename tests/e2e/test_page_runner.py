"""The runner of pages notices when output differs, and leaves nothing out silently."""

import os
import sys
from pathlib import Path

import pytest

from tools.pages.__main__ import not_run
from tools.pages.blocks import Command, PageError, read
from tools.pages.matching import Ids
from tools.pages.session import Failure, site

FIRST, SECOND = "01a2145c-200c-7000-a2f0-4eec54aa5626", "01a21454-3113-7000-b6b5-64dd3fb2c345"


def run(folder: Path, text: str, environment: str = sys.prefix) -> list[str]:
    """Run a page, and return what was reported."""
    path = folder / "page.md"
    path.write_text(text, encoding="utf-8")
    page, reported = read(path), []
    with site(Path(environment), [page]) as shared:
        shared.go_through(page, lambda _, text: reported.append(text))
    return reported


def console(*lines: str) -> str:
    return "\n".join(["```console", *lines, "```", ""])


def test_variables_and_folder_stay_for_the_next_command(tmp_path: Path) -> None:
    run(tmp_path, console("$ mkdir a; cd a; B='c  d'", '$ pwd; echo "$B"', "…/a", "c  d"))


def test_an_environment_may_be_given_by_a_relative_path(tmp_path: Path) -> None:
    text = console("$ ./taskmill --version", "taskmill …", "$ .venv/bin/python -c 'print(1)'", "1")
    run(tmp_path, text, os.path.relpath(sys.prefix))


def test_a_command_may_have_several_lines(tmp_path: Path) -> None:
    shown = ["$ cat <<END", "a", "END", "a", "$ echo 'b", "c'", "b", "c", "$ echo \\", "  d", "d"]
    run(tmp_path, console(*shown))


def test_different_output_is_an_error_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"page\.md:6: echo two(?s:.*)-2\n\+two"):
        run(tmp_path, "text\n\n" + console("$ echo one", "one", "$ echo two", "2"))


def test_an_unexpected_exit_status_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="exit status 3, not 0"):
        run(tmp_path, console("$ exit 3"))
    run(tmp_path, "<!-- run: status 3 -->\n" + console("$ exit 3"))


def test_a_block_of_an_unknown_kind_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text('```json\n{"a": 1}\n```\n')
    with pytest.raises(PageError, match=r"page\.md:2: the kind of this block is unknown"):
        read(page)
    page.write_text('<!-- run: not, it is a response -->\n```json\n{"a": 1}\n```\n')
    assert [(step.line, step.reason) for step in not_run(read(page))] == [(3, "it is a response")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("<!-- run: nto, no -->\n", "got nto"),
        ("```sh\necho\n", "has no end"),
        ("<!-- run: output -->\n```\na\n```\n", "no command before"),
    ],
)
def test_a_mistake_in_a_page_is_an_error(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "page.md").write_text(text)
    with pytest.raises(PageError, match=words):
        read(tmp_path / "page.md")
    with pytest.raises(PageError, match="can't be read"):
        read(tmp_path)


def test_files_are_saved_and_go_on(tmp_path: Path) -> None:
    first = '```python title="a/b.py"\nprint("one")\n```\n'
    second = '<!-- run: append -->\n```python title="a/b.py"\nprint("two")\n```\n'
    run(tmp_path, first + second + console("$ python3 a/b.py", "one", "two"))


def test_hidden_commands_are_run_too(tmp_path: Path) -> None:
    run(tmp_path, "<!-- run\n$ X=5\n-->\n" + console("$ echo $X", "5"))


def test_background_commands_are_observed_and_stopped(tmp_path: Path) -> None:
    loop = (
        '```python title="loop.py"\nimport threading\n'
        'print("begun", flush=True)\nthreading.Event().wait()\n```\n'
    )
    start = "<!-- run: background until begun -->\n```sh\npython3 loop.py\n```\n"
    reported = run(tmp_path, loop + start + "<!-- run: interrupt loop -->\n")
    assert reported[-1] == "^C  (python3 loop.py)"
    with pytest.raises(Failure, match="it ended"):
        run(tmp_path, start + "<!-- run: interrupt loop -->\n")


def test_a_background_command_that_ends_early_is_an_error(tmp_path: Path) -> None:
    start = "<!-- run: background until begun -->\n```sh\necho begun\n```\n"
    with pytest.raises(Failure, match="it had ended before Ctrl-C: echo begun"):
        run(tmp_path, start + console("$ sleep 0.3"))


def test_a_command_is_repeated_until_its_output_fits(tmp_path: Path) -> None:
    run(tmp_path, "<!-- run: repeat -->\n" + console("$ echo x >>f; wc -l <f | tr -d ' '", "3"))


def test_ports_are_moved_to_free_ones_and_back(tmp_path: Path) -> None:
    listen = (
        "import socket\n"
        'real = socket.create_server(("127.0.0.1", 8000)).getsockname()[1]\n'
        'print(real != int("80" + "00"), f"http://127.0.0.1:{real}/")\n'
    )
    file = f'```python title="listen.py"\n{listen}```\n'
    run(tmp_path, file + console("$ python3 listen.py", "True http://127.0.0.1:8000/"))


def test_an_id_stands_for_the_same_one_from_then_on() -> None:
    ids = Ids()
    assert ids.fits(f"{FIRST} is {FIRST}", f"{SECOND} is {SECOND}")
    assert ids.fill(f"show {FIRST}") == f"show {SECOND}"
    assert not ids.fits(FIRST, FIRST)
    assert not Ids().fits(f"{FIRST} is {FIRST}", f"{SECOND} is {FIRST}")


@pytest.mark.parametrize(
    ("expected", "printed", "fits"),
    [
        ("at 10:11:12.123", "at 23:59:59.001", True),
        ("+0.02 s", "+12.5 s", True),
        ("in 29 s", "in 1m 30s", True),
        ("vm-17 has 3", "host-a.example-99 has 3", True),
        ("3 tasks", "4 tasks", False),
        ("a  b", "a          b", True),
        ("one\n…\nlast", "one\ntwo\nthree\nlast", True),
        ("one\n…\nlast", "one\nlast", True),
        ("one\n…", "one", True),
        ("one … last", "one two last", True),
        ("one", "one\ntwo", False),
        ("done", "\x1b[32mdone\x1b[0m  \n", True),
        ('{"at":"2026-11-25T01:31:35.536000Z"}', '{"at":"2027-01-02T03:04:05Z"}', True),
        ("up to 2026-11-25 01:31:35.5+00:00", "up to 2027-01-02 03:04:05+00:00", True),
    ],
)
def test_volatile_values_may_differ(expected: str, printed: str, fits: bool) -> None:  # noqa: FBT001 - a case
    assert Ids().fits(expected, printed) is fits


def test_numbers_differ_only_with_roughly() -> None:
    assert not Ids().fits("attempt 1 of 50", "attempt 2 of 50")
    assert Ids().fits("attempt 1 of 50", "attempt 2 of 50", roughly=True)
    assert not Ids().fits("attempt 1 of 50", "attempt one of 50", roughly=True)


def test_commands_know_their_lines(tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text("```sh\n# why\necho a\n\necho 'b\nc'\n```\n")
    steps = read(tmp_path / "page.md").steps
    assert [(s.line, s.text) for s in steps if isinstance(s, Command)] == [
        (3, "echo a"),
        (5, "echo 'b\nc'"),
    ]
