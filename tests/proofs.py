"""Proofs: named groups of slow tests, and a record of the commit on which each of them last passed.

A test is slow when it is marked so, or when `slow.txt` lists it with its seconds. Each slow test is in one proof,
but those that are marked `engine`. A landing runs the proofs that are due while its time lasts, and commits
`proofs.txt`. `python -m tests.proofs --help` lists the commands, which `scripts/test` uses.
"""

import argparse
import re
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parent.parent
RECORD: Final = "tests/proofs.txt"
LISTED: Final = Path(__file__).with_name("slow.txt")
LIMIT_S: Final = 0.8
MOST_LANDINGS: Final = 10
# A landing runs one proof even when everything else took all of its time, but none that takes longer than this.
_LONGEST_S: Final = 300
# A record that nobody has written for so many commits says nothing.
_MOST_COMMITS: Final = 200
_NEVER: Final = 1_000
_DURATION: Final = re.compile(r"([\d.]+)s (?:setup|call|teardown) +(tests/\S+::.+?)\s*")


@dataclass(frozen=True, kw_only=True)
class Proof:
    """A group of slow tests.

    Args:
        paths: the files or folders of its tests.
        inputs: what it is about: it is due when one of these has changed since it passed.
        only_on_change: it is due for no other reason.
    """

    paths: tuple[str, ...]
    inputs: tuple[str, ...] = ()
    only_on_change: bool = False


_ENGINE: Final = tuple(f"src/taskmill/{name}" for name in ("storage", "relay", "worker", "amqp"))
PROOFS: Final[Mapping[str, Proof]] = {
    "failover": Proof(
        paths=("tests/chaos/test_failover.py", "tests/chaos/test_standby_page.py"), inputs=_ENGINE
    ),
    "cluster": Proof(
        paths=("tests/chaos/test_cluster.py", "tests/embedded/test_rabbitmq_cluster.py"),
        inputs=_ENGINE,
    ),
    "broker": Proof(paths=("tests/chaos/test_broker.py",), inputs=_ENGINE),
    "previous-release": Proof(paths=("tests/migrations/test_previous.py",), inputs=_ENGINE),
    "power-cut": Proof(paths=("tests/e2e/test_power_cut.py",), inputs=_ENGINE),
    "broken-builds": Proof(paths=("tests/chaos/test_broken_builds.py",), inputs=_ENGINE),
    "interleavings": Proof(paths=("tests/integration/test_interleavings.py",)),
    "schemathesis": Proof(paths=("tests/contract/test_openapi.py",)),
    "lifecycle": Proof(paths=("tests/property/test_lifecycle_machine.py",)),
    "chaos": Proof(paths=("tests/chaos/test_seeds.py",)),
    "fuzz": Proof(paths=("tests/fuzz/",)),
    "pages": Proof(
        paths=("tests/e2e/test_pages.py",),
        inputs=("docs", "README.md", "examples", "src/taskmill/cli", "tools/pages"),
        only_on_change=True,
    ),
    "packages": Proof(
        paths=("tests/packages/",),
        inputs=("pyproject.toml", "packages", "requirements", "tools/package_sizes"),
        only_on_change=True,
    ),
    "bootstrap": Proof(
        paths=("tests/bootstrap/",),
        inputs=("taskmill", "scripts", "requirements", "src/taskmill/embedded"),
        only_on_change=True,
    ),
}
SLICES: Final = tuple(f"slice-{number}" for number in range(1, 9))
NAMES: Final = (*PROOFS, *SLICES)


def proof_of(test_id: str) -> str:
    """Return the proof in which a slow test is: a named one, or a slice by its file, so that it stays there."""
    path = test_id.partition("::")[0]
    for name, proof in PROOFS.items():
        if path.startswith(proof.paths):
            return name
    return SLICES[zlib.crc32(path.encode()) % len(SLICES)]


# What pytest does with them.


@pytest.hookimpl
def pytest_addoption(parser: pytest.Parser) -> None:
    """Take `--proof`."""
    parser.addoption("--proof", choices=NAMES, help="run only the slow tests of this proof")


@pytest.hookimpl
def pytest_configure(config: pytest.Config) -> None:
    """Leave slow tests out of folders, unless `-m` or `--proof` chooses; not of files and tests that are named."""
    is_chosen = bool(config.option.markexpr) or config.getoption("--proof") is not None
    if not is_chosen and all(Path(one).is_dir() for one in config.args):
        config.option.markexpr = "not slow"


@pytest.hookimpl
def pytest_report_header(config: pytest.Config) -> str | None:
    """Say when slow tests are left out."""
    expression: str = config.option.markexpr
    return f"slow tests are left out: -m {expression!r}" if expression == "not slow" else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what is listed as slow, so that `-m` finds it, and deselect what is not in the proof."""
    listed = read_listed()
    for item in items:
        if item.nodeid in listed:
            item.add_marker(pytest.mark.slow)
    name: str | None = config.getoption("--proof")
    if name is None:
        return
    chosen = [item for item in items if is_in_a_proof(item) and proof_of(item.nodeid) == name]
    config.hook.pytest_deselected(items=[item for item in items if item not in chosen])
    items[:] = chosen


def is_in_a_proof(item: pytest.Item) -> bool:
    """Whether a test is in a proof: it is slow, and not one for `./scripts/test --all` only."""
    return bool(item.get_closest_marker("slow")) and not item.get_closest_marker("engine")


# Which tests are slow.


def read_listed() -> Mapping[str, float]:
    """Return how many seconds the listed tests took, by their ids."""
    lines = (line.split(maxsplit=1) for line in LISTED.read_text("utf-8").splitlines())
    return {test_id: float(seconds) for seconds, test_id in lines}


def measured(output: str) -> Mapping[str, float]:
    """Return the seconds of each test, of what pytest prints with `--durations=0`.

    Raises:
        ValueError: the run tried more examples than a landing, as `./scripts/test --all` does.
    """
    if "hypothesis profile 'many'" in output:
        raise ValueError("it is of a run with --all, which tries more examples than a landing")
    seconds: dict[str, float] = {}
    for line in output.splitlines():
        if found := _DURATION.fullmatch(line):
            seconds[found[2]] = seconds.get(found[2], 0.0) + float(found[1])
    return seconds


def listed_anew(
    listed: Mapping[str, float], runs: Iterable[Mapping[str, float]]
) -> Mapping[str, float]:
    """Return which tests are slow, by the longest time of each in the runs; what was not run stays listed."""
    longest: dict[str, float] = {}
    for seconds in runs:
        longest |= {test: max(taken, longest.get(test, 0.0)) for test, taken in seconds.items()}
    return {test: taken for test, taken in {**listed, **longest}.items() if taken >= LIMIT_S}


# When each has passed.


@dataclass(frozen=True, kw_only=True)
class Passed:
    """On which commit a proof last passed, and in how many seconds."""

    commit: str
    seconds: int


def read_record(text: str) -> dict[str, Passed]:
    """Parse the record: a line for each proof that has passed."""
    lines = (line.split() for line in text.splitlines())
    return {name: Passed(commit=commit, seconds=int(seconds)) for name, commit, seconds in lines}


def record_text(record: Mapping[str, Passed]) -> str:
    """Write the record, in the order of the proofs; what is no proof any more is left out."""
    kept = ((name, record[name]) for name in NAMES if name in record)
    return "".join(f"{name} {one.commit} {one.seconds}\n" for name, one in kept)


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a proof stands: `age` is in landings since it passed, `_NEVER` when its commit is not known."""

    name: str
    age: int
    seconds: int
    has_changed: bool
    passed: Passed | None

    @property
    def is_due(self) -> bool:
        """Whether it is to be run again; what only depends on its inputs is not while these are the same."""
        proof = PROOFS.get(self.name)
        return self.has_changed or proof is None or not proof.only_on_change

    @property
    def is_too_old(self) -> bool:
        """Whether nothing is proven any more."""
        return self.age > MOST_LANDINGS and self.is_due

    @property
    def rank(self) -> tuple[object, ...]:
        """The order in which proofs run: what would be too old soon, what has changed, then the oldest."""
        return (self.age < MOST_LANDINGS - 1, not self.has_changed, -self.age, self.name)


def next_of(standings: Iterable[Standing], *, left_s: float, has_run: bool) -> Standing | None:
    """Return the proof to run next in a landing, the first by rank that fits into what is left of its time."""
    longest_s = left_s if has_run else max(left_s, _LONGEST_S)
    due = (one for one in standings if one.is_due and one.seconds <= longest_s)
    return min(due, key=lambda one: one.rank, default=None)


def git(*arguments: str) -> str:
    """Return what git prints; empty when it fails, as for a commit that it does not know."""
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()  # noqa: S603 - git


def standing(name: str, passed: Passed | None) -> Standing:
    """Look up how a proof stands at the commit that is checked out.

    A landing commits the record, so landings are counted by the commits that changed it.
    """
    inputs = PROOFS[name].inputs if name in PROOFS else ()
    if passed is None or not git("rev-list", "-1", passed.commit):
        return Standing(name=name, age=_NEVER, seconds=0, has_changed=True, passed=None)
    recorded = git("rev-list", "--count", f"{passed.commit}..HEAD", "--", RECORD)
    changed = git("diff", "--name-only", passed.commit, "HEAD", "--", *inputs) if inputs else ""
    return Standing(
        name=name,
        age=max(0, int(recorded) - 1),
        seconds=passed.seconds,
        has_changed=bool(changed),
        passed=passed,
    )


def standings() -> list[Standing]:
    """Return how each proof stands."""
    record = read_record((ROOT / RECORD).read_text("utf-8"))
    return [standing(name, record.get(name)) for name in NAMES]


# The commands.


def show(_: argparse.Namespace) -> int:
    """Print how each proof stands; the exit status is 1 when one is older than ten landings."""
    found = standings()
    print(f"{'proof':<18}{'passed on':<11}{'day':<12}{'s':>4}  landings since")
    for one in found:
        commit, day = (
            (one.passed.commit[:8], git("log", "-1", "--format=%cs", one.passed.commit))
            if one.passed
            else ("never", "")
        )
        state = "  TOO OLD" if one.is_too_old else "  inputs have changed" * one.has_changed
        age = one.age if one.passed else ""
        print(f"{one.name:<18}{commit:<11}{day:<12}{one.seconds:>4}  {age}{state}")
    trouble = [
        f"{one.name} is too old: ./scripts/test --proof {one.name}"
        for one in found
        if one.is_too_old
    ]
    if git("rev-parse", "--is-shallow-repository") == "true":
        trouble.append(
            "this clone is shallow, so nobody can tell how old they are: git fetch --unshallow"
        )
    if not git("rev-list", f"--max-count={_MOST_COMMITS}", "HEAD", "--", RECORD):
        trouble.append(f"{RECORD} was never committed: each landing commits it")
    print("\n".join(trouble) or f"all proofs are at most {MOST_LANDINGS} landings old")
    return int(bool(trouble))


def show_next(arguments: argparse.Namespace) -> int:
    """Print the name of the proof that a landing runs next, or nothing."""
    ran = arguments.ran.split()
    others = [one for one in standings() if one.name not in ran]
    chosen = next_of(others, left_s=arguments.left, has_run=bool(ran))
    if chosen is not None:
        print(chosen.name)
    return 0


def write_passed(arguments: argparse.Namespace) -> int:
    """Record that a proof has passed on the commit that is checked out, unless the tree differs from it."""
    if changed := git("status", "--porcelain", "--", ".", f":!{RECORD}"):
        print(f"not recorded, as these differ from the commit:\n{changed}")
        return 0
    path = ROOT / RECORD
    passed = Passed(
        commit=git("rev-parse", "HEAD"),
        seconds=arguments.seconds,
    )
    path.write_text(
        record_text({**read_record(path.read_text("utf-8")), arguments.name: passed}), "utf-8"
    )
    print(f"recorded in {RECORD}: who lands this commits it")
    return 0


def list_tests(_: argparse.Namespace) -> int:
    """Print which tests are in which proof."""
    collected: list[str] = []

    class Collecting:
        def pytest_collection_finish(self, session: pytest.Session) -> None:
            collected.extend(item.nodeid for item in session.items)

    status = pytest.main(
        ["--collect-only", "-qqq", "--no-summary", "-m", "slow and not engine"], [Collecting()]
    )
    seconds = read_listed()
    for name in NAMES:
        ids = [test_id for test_id in collected if proof_of(test_id) == name]
        print(
            f"\n{name}: {len(ids)} tests, {sum(seconds.get(one, 0) for one in ids):.0f} s by one process"
        )
        print("\n".join(f"  {test_id}" for test_id in sorted(ids)))
    return int(status)


def list_slow(arguments: argparse.Namespace) -> int:
    """List the slow tests anew, by what `./scripts/test --durations` has printed into files."""
    runs = [measured(Path(name).read_text("utf-8", "replace")) for name in arguments.files]
    lines = sorted(
        f"{seconds:.1f} {test_id}\n"
        for test_id, seconds in listed_anew(read_listed(), runs).items()
    )
    LISTED.write_text("".join(sorted(lines, key=lambda line: line.split(maxsplit=1)[1])), "utf-8")
    return 0


def main(arguments: Sequence[str]) -> int:
    """Run a command."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.proofs", description="Proofs, and when each has passed."
    )
    commands = parser.add_subparsers(required=True)

    def command(name: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=run.__doc__, description=run.__doc__)
        added.set_defaults(run=run)
        return added

    command("show", show)
    choosing = command("next", show_next)
    choosing.add_argument("--left", type=float, required=True, help="seconds that are left")
    choosing.add_argument("--ran", default="", help="the proofs that were run already")
    recording = command("passed", write_passed)
    recording.add_argument("name", choices=NAMES)
    recording.add_argument("seconds", type=int)
    command("list", list_tests)
    command("slow", list_slow).add_argument("files", nargs="+", metavar="FILE")
    parsed = parser.parse_args(arguments)
    status: int = parsed.run(parsed)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
