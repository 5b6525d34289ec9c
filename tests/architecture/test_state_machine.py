"""The page on the state machine matches the code."""

import re
from pathlib import Path

from taskmill.domain.lifecycle import ALLOWED, TERMINAL, EventType, Reason, Status

PAGE = Path(__file__).resolve().parents[2] / "docs/state_machine.md"


def arrows() -> set[tuple[str, str, str]]:
    """The diagram's arrows: from, to, event."""
    found = re.search(r"```text\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    picture = found[1]
    forth = re.findall(r"(new) ─+ (\w+) ─+▶ (\w+)", picture)
    from_new = [("new", *arrow) for arrow in re.findall(r"[├└]─+ (\w+) ─+▶ (\w+)", picture)]
    from_work = re.findall(r"(\w+) +◀─+ (\w+) ─+[┤┘]", picture)
    [back] = re.findall(r"┌─+ ([\w, ]+) ─+┐", picture)
    [again] = re.findall(r"└─+ (\w+) ─+┘ from each of the three", picture)
    return (
        {(before, after, event) for before, event, after in forth + from_new}
        | {("in_progress", after, event) for after, event in from_work}
        | {("in_progress", "new", event) for event in back.split(", ")}
        | {(before, "new", again) for before in TERMINAL}
    )


def table() -> list[list[str]]:
    """The cells of the table of events."""
    text = PAGE.read_text(encoding="utf-8").split("## What happens to a task")[1]
    rows = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in row] for row in rows]


def test_the_diagram_shows_exactly_the_allowed_transitions() -> None:
    shown = {(before, after) for before, after, _ in arrows()}
    assert shown == {(before, after) for before in Status for after in ALLOWED[before]}


def test_the_diagrams_arrows_are_the_events_that_change_the_status() -> None:
    shown = {event for *_, event in arrows()}
    same = {EventType.CREATED, EventType.CANCEL_REQUESTED, EventType.RESCHEDULED}
    assert shown == set(EventType) - same


def test_the_table_has_every_event_and_every_reason() -> None:
    assert {row[0].strip("`") for row in table()} == set(EventType)
    reasons = {name for row in table() for name in re.findall(r"`(\w+)`", row[2])}
    assert reasons - {"expires_at"} == set(Reason)


def test_the_table_and_the_diagram_agree() -> None:
    documented = set()
    for event, change, *_ in table():
        before, arrow, after = change.partition("→")
        begins = sorted(TERMINAL) if "any terminal" in before else re.findall(r"`(\w+)`", before)
        for end in re.findall(r"`(\w+)`", after) if arrow else []:
            documented |= {(begin, end, event.strip("`")) for begin in begins}
    assert documented == arrows()
