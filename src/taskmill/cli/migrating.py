"""`taskmill migrate`: brings a database to a schema, or shows what that would do.

Imports are inside the command, so that `taskmill --help` does not pay for them.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

import click

from taskmill.cli.server import json_option

if TYPE_CHECKING:
    from taskmill.cli.show import Cell
    from taskmill.settings import Settings
    from taskmill.storage.migration_plan import MigrationPlan, PlannedStep

_EPILOG = """\b
Examples:
  taskmill migrate --plan
  taskmill migrate
  taskmill migrate --to 0047
"""
_SHORT_S: Final = 1.0


@click.command(epilog=_EPILOG)
@click.option(
    "--database-url",
    metavar="URL",
    help="PostgreSQL to use, postgresql://user:password@host:port/database.",
)
@click.option(
    "--plan",
    "plans_only",
    is_flag=True,
    help="Only show the steps to come: what waits for each, how long about, whether programs of before go on.",
)
@click.option(
    "--to", "wanted", metavar="REVISION", help="Stop at this migration.  [default: the newest]"
)
@json_option
@click.option(
    "--roles",
    "makes_roles",
    is_flag=True,
    help="Also make the roles with the least rights, and give them the schema.",
)
@click.option(
    "--keys",
    "makes_keys",
    is_flag=True,
    help="Also make the keys of an installation in its data folder (TASKMILL_DATA_DIR).",
)
def migrate(
    *,
    database_url: str | None,
    plans_only: bool,
    wanted: str | None,
    as_json: bool,
    makes_roles: bool,
    makes_keys: bool,
) -> None:
    """Bring a database to the schema of this version.

    Safe to repeat, and to start from several machines at once. `taskmill up` does it by itself.

    With --plan it changes nothing, and shows each step to come: the tables whose changes, or all use, wait for
    it, how long about it takes with the rows that are there, and whether programs of before go on with it. With
    --to it stops at a migration; programs that need a later one refuse to start. It never goes back.

    With --roles there are roles for the owner, for the processes, for readers and for programs that
    create tasks, with no more rights than each needs (docs/operations/database-roles.md). The login needs
    CREATEROLE once. Those with a password in the settings (TASKMILL_ROLES__APP_PASSWORD) may log in.

    With --keys there are secrets.key, which encrypts stored secrets, and admin.key, an API key that grants
    everything, each in a file that only you can read. What is there and valid stays.
    """
    from taskmill import settings as configuration  # noqa: PLC0415 - only when it runs
    from taskmill.storage import migration_plan  # noqa: PLC0415 - only when it runs

    loaded = configuration.load(database_url=database_url)
    if plans_only:
        _show(migration_plan.plan(loaded.require_database_url(), wanted), as_json=as_json)
        return
    if as_json:
        raise click.UsageError("--json is for --plan")
    _apply(loaded, wanted, makes_roles=makes_roles)
    if makes_keys:
        from taskmill.embedded.admin_key import make_keys  # noqa: PLC0415 - only when it is wanted

        make_keys(loaded)
        click.echo(f"The keys are in {loaded.data_dir}.")


def _apply(loaded: "Settings", wanted: str | None, *, makes_roles: bool) -> None:
    import asyncio  # noqa: PLC0415 - only when it runs

    from taskmill.storage import migrate as migration, migration_plan, name_index, roles  # noqa: PLC0415 - only when it runs

    url, is_newest = loaded.require_database_url(), wanted in (None, migration.head())
    if wanted is not None:
        # Refuses what there is no way to.
        migration_plan.plan(url, wanted)
    migration.upgrade(url, wanted or "head")
    asyncio.run(roles.apply(url, loaded.roles.passwords()) if makes_roles else roles.renew(url))
    if not is_newest:
        click.echo(f"The database has the schema {wanted}.")
        return
    asyncio.run(name_index.apply(url, is_wanted=loaded.database.name_index))
    click.echo("The database has the schema of this version.")


def _show(plan: "MigrationPlan", *, as_json: bool) -> None:
    from taskmill.cli import show  # noqa: PLC0415 - only when it runs

    if as_json:
        show.json_lines(_json(step) for step in plan.steps)
        return
    if not plan.steps:
        show.line(show.good(f"nothing to do: the schema is {plan.applied}"))
        return
    if plan.applied is None:
        steps = f"{len(plan.steps)} steps to {plan.wanted}"
        show.line(f"a new database: {steps}, which take seconds; nobody uses it yet")
        return
    headings = ("STEP", "WAITS FOR IT", "ABOUT", "PROGRAMS OF BEFORE", "WHAT IT DOES")
    show.table(headings, [_row(step) for step in plan.steps], cut="WHAT IT DOES")
    if stops := [step.number for step in plan.steps if not step.programs_go_on]:
        show.line()
        show.line(
            show.warning(
                f"Stop all processes before {stops[0]}, and start those of this version after it."
            )
        )


def _row(step: "PlannedStep") -> "tuple[Cell, ...]":
    from taskmill.cli import show  # noqa: PLC0415 - only when it runs

    waits = ", ".join(f"{what} of {table}" for table, what in _waits(step).items())
    return (
        step.number,
        show.warning(waits) if "all use" in waits else waits or "nothing",
        "< 1 s" if step.about_s < _SHORT_S else show.duration(step.about_s),
        "go on" if step.programs_go_on else show.failure("must be stopped"),
        step.title,
    )


def _waits(step: "PlannedStep") -> Mapping[str, str]:
    from taskmill.storage.migration_sql import Blocked  # noqa: PLC0415 - only when it runs

    return {
        table: "all use" if what is Blocked.EVERYTHING else "changes"
        for table, what in step.blocked.items()
    }


def _json(step: "PlannedStep") -> dict[str, object]:
    return {
        "migration": step.number,
        "title": step.title,
        "waits": _waits(step),
        "about_s": round(step.about_s, 1),
        "in_parts": step.in_parts,
        "programs_go_on": step.programs_go_on,
    }
