"""What a mutation run found: the mutants that no test noticed, less those that are explained.

Mutants are identified by their function and their changed lines, as mutmut's numbers shift with every edit.
"""

import tomllib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

NOTICED: Final = frozenset({"killed", "timeout"})
"""Mutmut's statuses of mutants that a test noticed."""
UNTESTED: Final = frozenset({"not checked", "check was interrupted by user"})
_COLUMNS: Final = ("mutants", "noticed", "explained", "survived", "untested")
_SEPARATOR: Final = "ǁ"  # what mutmut puts between a class and its method


class Change(NamedTuple):
    """A change of one function: its lines before and after, without indentation; removed lines become ""."""

    function: str
    was: str
    becomes: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A mutant by mutmut's name and status. `change` is None where nobody needs to know."""

    name: str
    status: str
    change: Change | None = None

    @property
    def module(self) -> str:
        """The module that it is in."""
        return self.name.rpartition(".")[0]


def function_of(name: str) -> str:
    """Return the dotted name of the function that a mutant changes: `a.b.xǁCǁf__mutmut_3` is in `a.b.C.f`."""
    module, _, mangled = name.rpartition(".")
    plain = mangled.partition("__mutmut_")[0].removeprefix("x_").removeprefix(f"x{_SEPARATOR}")
    return f"{module}.{plain.replace(_SEPARATOR, '.')}"


def change_of(name: str, diff: Sequence[str]) -> Change:
    """Return what a unified diff changes."""
    body = [line for line in diff if not line.startswith(("---", "+++"))]

    def lines(sign: str) -> str:
        return "\n".join(line[1:].strip() for line in body if line.startswith(sign))

    return Change(function_of(name), lines("-"), lines("+"))


def read_explained(text: str) -> set[Change]:
    """Read a file of explained mutants, each with its reason; one entry may have several outcomes."""
    changes = set()
    for entry in tomllib.loads(text).get("mutant", []):
        if not entry["because"].strip():
            raise ValueError(f"no reason is given for a mutant of {entry['function']}")
        becomes = entry["becomes"]
        for one in [becomes] if isinstance(becomes, str) else becomes:
            changes.add(Change(entry["function"], _stripped(entry["was"]), _stripped(one)))
    return changes


def _stripped(text: str) -> str:
    return "\n".join(line.strip() for line in text.strip().splitlines())


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Mutants by module, those that survived unexplained, and explanations that explain nothing (any more)."""

    counts: dict[str, Counter[str]]
    survivors: list[Mutant]
    stale: list[Change]

    @property
    def is_clean(self) -> bool:
        """Whether nothing is left to do."""
        is_complete = not any(count["untested"] for count in self.counts.values())
        return is_complete and not self.survivors and not self.stale


def report(mutants: Iterable[Mutant], explained: set[Change]) -> Report:
    """Compare mutants with explanations."""
    counts: dict[str, Counter[str]] = {}
    survivors, used = list[Mutant](), set[Change]()
    for mutant in mutants:
        column = _column(mutant, explained)
        counts.setdefault(mutant.module, Counter()).update(["mutants", column])
        if column == "survived":
            survivors.append(mutant)
        elif column == "explained" and mutant.change is not None:
            used.add(mutant.change)
    # Of a module that was not yet tested to its end, some may be used later.
    done = {module for module, count in counts.items() if not count["untested"]}
    stale = [one for one in explained - used if _module(one.function, counts) in done]
    return Report(counts=counts, survivors=survivors, stale=sorted(stale))


def _column(mutant: Mutant, explained: set[Change]) -> str:
    if mutant.status in UNTESTED:
        return "untested"
    if mutant.status in NOTICED:
        return "noticed"
    return "explained" if mutant.change in explained else "survived"


def _module(function: str, modules: Iterable[str]) -> str | None:
    return next((one for one in modules if function.startswith(f"{one}.")), None)


def lines_of(found: Report) -> list[str]:
    """Return the report as lines of text: the survivors first, the table of modules last."""
    lines = []
    for mutant in found.survivors:
        change = mutant.change or Change(function_of(mutant.name), "", "")
        lines.append(f"{change.function}  ({mutant.status}: {mutant.name})")
        lines += [f"  - {line}" for line in change.was.splitlines()]
        lines += [f"  + {line}" for line in change.becomes.splitlines()]
    lines += [f"explained, but noticed or gone: {one}" for one in found.stale]
    width = max(map(len, (*found.counts, "in all")), default=0)
    lines.append(" ".join([" " * width, *_COLUMNS]))
    total = sum(found.counts.values(), Counter[str]())
    for module, count in (*sorted(found.counts.items()), ("in all", total)):
        numbers = (f"{count[column]:{len(column)},}" for column in _COLUMNS)
        lines.append(" ".join([module.ljust(width), *numbers]))
    return lines
