"""The page on one request walks the way that a request takes."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

from tests.support.api import Served
from tests.support.processes import ROOT

PAGE: Final = ROOT / "docs/explanation/one-request.md"
SOURCE: Final = f"{ROOT}/src/taskmill/"
ROW: Final = re.compile(r"^\|[^|]*\| `([^`]+)` \| `([^`]+)` \|$", re.MULTILINE)

# The notifier notifies later where the transaction has not; what is logged depends on the level.
BESIDE: Final = {"storage/notifier.py", "observability/logs.py", "observability/sink.py"}

Call = tuple[str, str]


@contextmanager
def calls() -> Iterator[list[Call]]:
    """The functions of ours that are called meanwhile, with their files, each as often as it is called."""
    found: list[Call] = []

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(SOURCE):
            found.append((frame.f_code.co_qualname, frame.f_code.co_filename.removeprefix(SOURCE)))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        yield found
    finally:
        sys.setprofile(before)


async def test_the_page_walks_the_way_of_a_request(api: Served) -> None:
    await api.create()
    requests: list[list[Call]] = []
    for number in range(5):
        with calls() as made:
            headers = {"idempotency-key": f"{number}"}
            response = await api.post("/tasks", {"name": "a"}, headers=headers)
        assert response.status_code == 201
        requests.append(made)
    walk = ROW.findall(PAGE.read_text(encoding="utf-8"))
    # What the process does besides is not part of each of them.
    files = set.intersection(*({file for _, file in made} for made in requests))
    assert {file for _, file in walk} == files - BESIDE
    for made in requests:
        steps = iter(made)
        assert [step for step in walk if step not in steps] == [], "not called, or out of order"
