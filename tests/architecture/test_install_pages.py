"""What is about the client begins with how to install it."""

import re

import pytest

from tests.support.processes import ROOT

_FIRST_BLOCK = re.compile(r"```\w*[^\n]*\n(.*?)```", re.DOTALL)


@pytest.mark.parametrize(
    ("page", "heading", "command"),
    [
        ("reference/client.md", "# Python client", "pip install taskmill"),
        ("how-to/transactional-enqueue.md", "## In Python", "pip install 'taskmill[contracts]'"),
        ("how-to/test-your-handlers.md", "# Test", "pip install 'taskmill[worker]'"),
        ("how-to/trace-tasks.md", "## ", "pip install 'taskmill[traces]'"),
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
