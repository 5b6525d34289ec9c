"""The commands that start parts of the service, or show its settings.

They turn options into settings and call `embedded` and `composition`. Imports are inside the commands, so
that each pays only for its own.
"""

import gc
from pathlib import Path

import click

from taskmill.cli.numbers import Whole

_UP_EPILOG = """\b
Examples:
  taskmill up
  taskmill up --port 0 --data /var/lib/taskmill --ready-file /run/taskmill.json
  taskmill up --workers 2 --concurrency 5000
  taskmill up --app shop.tasks:app
"""
_RUN_EPILOG = """\b
ROLE is one or more of:
  api          takes tasks and serves requests over HTTP
  worker       runs tasks; start as many as you like, on any machine
  relay        publishes to RabbitMQ which tasks wait
  intake       creates tasks from messages of RabbitMQ
  webhooks     delivers events to webhooks and callbacks
  maintenance  rescues tasks of dead workers, folds counters, drops old data

\b
Examples:
  taskmill migrate && taskmill run api maintenance
  taskmill run relay intake --broker-url amqp://user:password@host/
  taskmill run worker --concurrency 5000 --queues reports,mail
  taskmill run worker --app shop.tasks:app --processes 4 --queues mail=3,reports
  taskmill run worker --app shop.tasks:app --data ~/taskmill/.taskmill
  taskmill run api --processes 2
"""

_port = Whole(0, 65535)
_at_least_one = Whole(min=1)
_file = click.Path(dir_okay=False, path_type=Path)
_database_url = click.option(
    "--database-url",
    metavar="URL",
    help="PostgreSQL to use, postgresql://user:password@host:port/database.",
)
_broker_url = click.option(
    "--broker-url",
    metavar="URL",
    help="RabbitMQ to use, amqp://user:password@host:port/vhost.",
)
_broker = click.option(
    "--broker",
    type=click.Choice(["auto", "rabbitmq", "postgres"]),
    help="How workers learn of tasks; auto is RabbitMQ while it is there.  [default: auto]",
)
_app = click.option(
    "--app",
    metavar="MODULE:NAME",
    help="App whose task types the workers run, from the folder that they are started in.",
)
_running_data = click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Data folder of the `taskmill up` whose database and broker to use.  [default: .taskmill]",
)
_ready_file = click.option(
    "--ready-file",
    type=_file,
    metavar="PATH",
    help="Written as JSON when it is ready: url, amqp_url, database_url, pid; state of broker and intake.",
)


@click.command(epilog=_UP_EPILOG)
@click.option("--host", metavar="ADDRESS", help="Address of the API.  [default: 127.0.0.1]")
@click.option(
    "--port", type=_port, metavar="N", help="Port of the API; 0 picks a free one.  [default: 8000]"
)
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of the data.  [default: .taskmill]",
)
@_database_url
@_broker_url
@_broker
@click.option(
    "--workers",
    type=_at_least_one,
    default=1,
    metavar="N",
    show_default=True,
    help="Worker processes.",
)
@click.option(
    "--concurrency",
    type=_at_least_one,
    metavar="N",
    help="Tasks that one worker runs at once.  [default: 1000]",
)
@_app
@_ready_file
def up(
    *,
    host: str | None,
    port: int | None,
    data: Path | None,
    database_url: str | None,
    broker_url: str | None,
    broker: str | None,
    workers: int,
    concurrency: int | None,
    app: str | None,
    ready_file: Path | None,
) -> int:
    """Start everything on this machine: database, broker, API, workers and the rest.

    Nothing needs to be installed: without --database-url it runs a PostgreSQL of its own, and
    without --broker-url a RabbitMQ, which it fetches (Debian, Ubuntu) when none is installed; with
    --broker postgres it uses no RabbitMQ. Ctrl-C stops everything in order; the data stays, and the
    next start continues from there.
    """
    gc.disable()  # until the start is complete: it takes a tenth of the imports
    from taskmill import settings as configuration  # noqa: PLC0415 - only when it runs
    from taskmill.embedded import stack  # noqa: PLC0415 - only when it runs

    loaded = configuration.load(
        data_dir=data,
        database_url=database_url,
        broker_url=broker_url,
        broker=broker,
        api={"host": host, "port": port},
        worker={"concurrency": concurrency, "app": app},
    )
    return stack.up(loaded, workers=workers, ready_file=ready_file, load=configuration.load)


@click.command(epilog=_RUN_EPILOG)
@click.argument(
    "roles",
    nargs=-1,
    required=True,
    type=click.Choice(["api", "worker", "relay", "intake", "webhooks", "maintenance"]),
    metavar="ROLE...",
)
@_database_url
@_broker_url
@_broker
@click.option("--host", metavar="ADDRESS", help="Address of the API.  [default: 127.0.0.1]")
@click.option(
    "--port", type=_port, metavar="N", help="Port of the API; 0 picks a free one.  [default: 8000]"
)
@click.option(
    "--concurrency",
    type=_at_least_one,
    metavar="N",
    help="Tasks that the worker runs at once.  [default: 1000]",
)
@click.option(
    "--queues",
    metavar="A,B=3",
    help="Queues that the worker serves, with optional weights.  [default: all, equal]",
)
@_app
@_running_data
@click.option(
    "--processes",
    type=_at_least_one,
    default=1,
    metavar="N",
    help="Processes of the role api, or worker. If there are several, those that die are restarted.  [default: 1]",
)
@_ready_file
def run(
    *,
    roles: tuple[str, ...],
    database_url: str | None,
    broker_url: str | None,
    broker: str | None,
    host: str | None,
    port: int | None,
    concurrency: int | None,
    queues: str | None,
    app: str | None,
    data: Path | None,
    processes: int,
    ready_file: Path | None,
) -> int:
    """Run roles in this process, on a database and a broker of your own.

    If no database is given, both are those of the `taskmill up` that runs in this folder, or with the
    data folder --data. SIGTERM and Ctrl-C stop it in order: a worker ends what it can in time and hands
    back the rest. With several --processes, this process supervises that many others, restarts those
    that die, and does nothing else; those of the API share its port.
    """
    gc.disable()  # as in `up`
    from taskmill.cli.addresses import settings_to_run  # noqa: PLC0415 - only when it runs

    loaded = settings_to_run(
        data,
        database_url=database_url,
        broker_url=broker_url,
        broker=broker,
        api={"host": host, "port": port},
        worker={"concurrency": concurrency, "queues": queues, "app": app},
    )
    if loaded.broker == "rabbitmq":
        loaded.require_broker_url()
    chosen, files = list(dict.fromkeys(roles)), [ready_file] if ready_file else []
    if processes > 1:
        if chosen not in (["worker"], ["api"]):
            raise click.UsageError(
                "--processes is for one role, api or worker: taskmill run worker --processes N"
            )
        from taskmill.embedded import role_processes  # noqa: PLC0415 - not for one process

        return role_processes.run_beside(loaded, chosen, processes=processes, ready_files=files)
    from taskmill.composition import run_roles  # noqa: PLC0415 - not for a wrong command

    return run_roles(loaded, chosen, ready_files=files)


@click.command()
@click.argument("words", metavar="[WORD]...", nargs=-1)
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")
def settings(*, words: tuple[str, ...], as_json: bool) -> None:
    """Show every setting: its name, its value with secrets masked, and where the value comes from.

    With WORDs, only those with one of them in the name, and what they mean.

    Sources, strongest first: options, environment, .env, the TOML file (taskmill.toml, or the one
    that TASKMILL_CONFIG_FILE names), defaults.
    """
    from taskmill import settings as configuration  # noqa: PLC0415 - only when it runs
    from taskmill.cli import show  # noqa: PLC0415 - only when it runs

    rows = configuration.effective(configuration.load())
    if words:
        rows = [row for row in rows if any(word.upper() in row.name for word in words)]
        if not rows:
            raise click.ClickException(f"no setting has {' or '.join(words)} in its name")
    if as_json:
        show.json_lines(row._asdict() for row in rows)
    elif words:
        for row in rows:
            click.echo(f"{row.name}={row.value} ({row.source})")
            click.echo(click.wrap_text(row.meaning, initial_indent="  ", subsequent_indent="  "))
    else:
        styled = [(row.name, row.value, show.source(row.source)) for row in rows]
        show.table(("NAME", "VALUE", "SOURCE"), styled, cut="VALUE")
