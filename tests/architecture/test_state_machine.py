"""The page on the state machine says what the code does."""

import re
from pathlib import Path

from taskmill.domain.lifecycle import ALLOWED, TERMINAL, Happening, Reason, Status

PAGE = Path(__file__).resolve().parents[2] / "docs/state_machine.md"


def diagram() -> str:
    """The diagram's lines."""
    found = re.search(r"```mermaid\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def table() -> list[list[str]]:
    """The cells of the table of events."""
    text = PAGE.read_text(encoding="utf-8").split("## What happens to a task")[1]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in rows]


def test_the_diagram_shows_exactly_the_allowed_transitions() -> None:
    drawn = set(re.findall(r"^ +(\w+) --> (\w+):", diagram(), re.MULTILINE))
    assert drawn == {(before, after) for before in Status for after in ALLOWED[before]}


def test_the_diagrams_arrows_are_the_events_that_change_the_status() -> None:
    labels = re.findall(r"--> \w+: (.+)$", diagram(), re.MULTILINE)
    shown = {label for several in labels for label in several.split(", ")}
    assert shown == set(Happening) - {Happening.CANCEL_REQUESTED}


def test_the_table_has_every_event_and_every_reason() -> None:
    assert {row[0].strip("`") for row in table()} == set(Happening)
    reasons = {name for row in table() for name in re.findall(r"`(\w+)`", row[2])}
    assert reasons - {"expires_at"} == set(Reason)


def test_the_table_and_the_diagram_agree() -> None:
    arrows = {
        (before, after, label)
        for before, after, several in re.findall(
            r"^ +(\w+) --> (\w+): (.+)$", diagram(), re.MULTILINE
        )
        for label in several.split(", ")
    }
    for event, change, *_ in table():
        _, arrow, after = change.partition("→")
        if not arrow:
            continue
        [end] = re.findall(r"`(\w+)`", after)
        begins = re.findall(r"`(\w+)`", change.partition("→")[0])
        if "any terminal" in change:
            begins = sorted(TERMINAL)
        for begin in begins:
            assert (begin, end, event.strip("`")) in arrows
