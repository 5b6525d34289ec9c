"""What is about the client begins with how to install it, and no page installs what a stranger may own."""

import re

import pytest

from tests.support.processes import ROOT

_TYPED = re.compile(r"```sh\n(.*?)```", re.DOTALL)
_BY_NAME = re.compile(r"pip\d? install [^\n]*(?<![\w./-])taskmill(?!\S*\.whl)")
_FIRST_BLOCK = re.compile(r"```\w*[^\n]*\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize(
    ("page", "heading", "command"),
    [
        ("reference/client.md", "# Python client", "pip install ../taskmill "),
        ("how-to/transactional-enqueue.md", "## In Python", "pip install '../taskmill[contracts]'"),
        ("how-to/test-your-handlers.md", "# Test", "pip install '../taskmill[worker]'"),
        ("how-to/trace-tasks.md", "## ", "pip install '../taskmill[traces]'"),
    ],
)
def test_the_first_command_of_a_page_installs_what_it_is_about(
    page: str, heading: str, command: str
) -> None:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    part = text[text.index(f"\n{heading}" if heading.startswith("##") else heading) :]
    found = _FIRST_BLOCK.search(part)
    assert found is not None
    assert found[1].startswith(command)


def test_no_command_installs_from_an_index_by_a_name_that_is_not_published() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "examples").rglob("*.md")]
    blocks = [block for page in pages for block in _TYPED.findall(page.read_text(encoding="utf-8"))]
    assert _BY_NAME.search("pip install --upgrade 'taskmill[up]'")
    assert any("pip install '../taskmill[" in block for block in blocks)
    assert [block for block in blocks if _BY_NAME.search(block)] == []
