"""The command: prints what is dangerous in migrations and not explained; then the exit status is 1.

It reads what `alembic upgrade --sql` writes, so it makes no difference where a migration has its SQL.
"""

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from taskmill.storage import migrate, migration_plan

EXPLAINED: Final = Path(__file__).with_name("explained.toml")
# Databases that have it had no rows when it made the tables.
_FOUNDATION: Final = "0014"
# The oldest that Taskmill runs on.
_POSTGRES: Final = "15"
_TIMEOUT: Final = re.compile(r"(?i)SET\s+(LOCAL\s+)?(lock|statement)_timeout\b")
_IGNORE: Final = "-- squawk-ignore"
_OUTSIDE: Final = (
    "What takes longer holds no locks meanwhile: it runs in an autocommit_block, in batches."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A line of a migration that a rule refuses."""

    migration: str
    rule: str
    line: str
    advice: str

    def __str__(self) -> str:
        """Show it as the command does."""
        return f"{self.migration}: {self.rule}: {self.advice}\n    {self.line}"


def scripts(folder: Path = migrate.MIGRATIONS) -> dict[str, str]:
    """Return what each migration after the foundation runs, by its name, after the timeouts that hold for all."""
    names = {file.name[:4]: file.stem for file in (folder / "versions").glob("[0-9]*_*.py")}
    written = migration_plan.scripts(folder, after=_FOUNDATION)
    return {names[number]: text for number, text in written.items()}


def violations(scripts: Mapping[str, str]) -> list[Violation]:
    """Return what squawk and our own rules find."""
    return [*_by_squawk(scripts), *_by_our_rules(scripts)]


def _by_squawk(scripts: Mapping[str, str]) -> Iterator[Violation]:
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, f"{name}.sql") for name in scripts]
        for file, text in zip(files, scripts.values(), strict=True):
            file.write_text(text, encoding="utf-8")
        program = Path(sys.executable).with_name("squawk")
        done = subprocess.run(  # noqa: S603 - our own words
            [program, "--pg-version", _POSTGRES, "--reporter", "json", *files],
            capture_output=True,
            text=True,
            check=False,
        )
    if done.stderr or done.returncode > 1:
        raise RuntimeError(f"squawk: {done.stderr}")
    for found in json.loads(done.stdout):
        name = Path(found["file"]).stem
        yield Violation(
            migration=name,
            rule=found["rule_name"],
            line=scripts[name].splitlines()[found["line"]].strip(),
            advice=" ".join(filter(None, (found["message"], found["help"]))),
        )


def _by_our_rules(scripts: Mapping[str, str]) -> Iterator[Violation]:
    for name, text in scripts.items():
        for rule, line, advice in _of_script(text.splitlines()):
            yield Violation(migration=name, rule=rule, line=line, advice=advice)


def _of_script(lines: list[str]) -> Iterator[tuple[str, str, str]]:
    begins_at, in_transaction = lines.index("BEGIN;"), False
    for number, line in enumerate(lines[begins_at:], begins_at):
        in_transaction = (in_transaction or line == "BEGIN;") and line != "COMMIT;"
        is_timeout = _TIMEOUT.match(line) is not None and line not in lines[:begins_at]
        if is_timeout and in_transaction:
            yield "long-step", line, _OUTSIDE
        is_reasoned = lines[number - 1].startswith("--") or _TIMEOUT.match(lines[number - 2])
        if (is_timeout or line.startswith(_IGNORE)) and not is_reasoned:
            yield "no-reason", line, "A comment above it says why."


def main() -> int:
    """Print the violations that are not explained, and explanations that are not needed."""
    explained = tomllib.loads(EXPLAINED.read_text(encoding="utf-8"))
    found = violations(scripts())
    needed = {(violation.migration, violation.rule) for violation in found}
    given = {(name, rule) for name, rules in explained.items() for rule in rules}
    lines = [str(one) for one in found if (one.migration, one.rule) not in given]
    lines += [f"{EXPLAINED.name}: {name}: {rule} is not needed" for name, rule in given - needed]
    print("\n".join(lines) or f"{len(found)} violations, all explained")  # noqa: T201 - the output
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
