"""What others rely on, as a list of names: what a release promises, and what breaks it.

Each entry is a name, such as `TASKMILL_API__PORT` or `POST /tasks: TaskView.id`, and a few words that must stay.
`tests/contract/released-surface.txt` is the list of the last release. What is new is no break, unless requests
need it.
"""

import importlib
import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import click

from taskmill import observability
from taskmill.amqp.names import CREATE_QUEUE
from taskmill.api import asyncapi
from taskmill.api.app import openapi_document
from taskmill.cli.main import program
from taskmill.client import TaskmillClient
from taskmill.observability.catalogue import SECTIONS
from taskmill.settings import Settings, effective
from taskmill.version import VERSION

ROOT: Final = Path(__file__).resolve().parents[2]
REQUIRED: Final = "required"
"""The words of what a request has to have; a new entry with it is a break."""

_OF_THE_MACHINE: Final = (
    "TASKMILL_API__ALLOWED_HOSTS",
    "TASKMILL_WORKER__ISOLATED",
    "TASKMILL_WORKER__NAME",
)
_METHODS: Final = ("get", "put", "post", "patch", "delete")
_HEADER: Final = (
    "# What Taskmill {version} promised: written by `make release ARGS=--promise`, never by hand.\n"
)
_MIGRATIONS: Final = ROOT / "src" / "taskmill" / "storage" / "migrations" / "versions"
_FUNCTION: Final = re.compile(
    r"CREATE (?:OR REPLACE )?FUNCTION (taskmill\.(?:create_task|put_schedule|pause_schedule))"
    r"\s*\((.*?)\)\s*RETURNS",
    re.DOTALL,
)
_EVENT: Final = re.compile(r"^\| `([a-z_]+\.[a-z_]+)` ", re.MULTILINE)

Json = dict[str, Any]
Entries = dict[str, str]


def current() -> Entries:
    """Return what this source promises."""
    found: Entries = {}
    for part in (
        _http(),
        _amqp(),
        _commands(),
        _settings(),
        _metrics(),
        _log_events(),
        _sql(),
        _client(),
    ):
        found.update(part)
    return dict(sorted(found.items()))


def text_of(entries: Mapping[str, str], version: str) -> str:
    """Write entries, one a line."""
    lines = (f"{name} = {words}".rstrip() for name, words in entries.items())
    return _HEADER.format(version=version) + "".join(f"{line}\n" for line in lines)


def read(text: str) -> Entries:
    """Read what `text_of` has written."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    pairs = (line.partition(" =") for line in lines)
    return {name: words.strip() for name, _, words in pairs}


def breaks(before: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """Return what a client, a script or a dashboard of before may no longer rely on: its name, and why."""
    found = dict.fromkeys(before.keys() - now.keys(), "is gone")
    for name, words in before.items():
        if name in now and now[name] != words:
            found[name] = f"was {words or 'nothing'}, and is {now[name] or 'nothing'}"
    for name in now.keys() - before.keys():
        if now[name].startswith(REQUIRED) and _parent(name) in before:
            found[name] = "is new, and required"
    return dict(sorted(found.items()))


def _parent(name: str) -> str:
    """Return what an entry is a part of."""
    return name.rpartition(".")[0] if "." in name else name.rpartition(" ")[0]


def named(what: str, changelog: str) -> bool:
    """Return whether a changelog names something that broke, by its last words at least."""
    return f"`{what}`" in changelog


def _http() -> Iterator[tuple[str, str]]:
    document = openapi_document()
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if method in operations:
                yield from _operation(f"{method.upper()} {path}", operations[method])
    for name, schema in document["components"]["schemas"].items():
        yield from _model(name, schema)


def _operation(name: str, operation: Json) -> Iterator[tuple[str, str]]:
    yield name, ""
    for one in operation.get("parameters", ()):
        yield f"{name} {one['in']} {one['name']}", REQUIRED if one.get("required") else "optional"
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"{name} body {media_type}", _kind(content.get("schema", {}))
    for status, response in operation["responses"].items():
        kinds = (
            _kind(content.get("schema", {})) for content in response.get("content", {}).values()
        )
        yield f"{name} {status}", " or ".join(kinds)


def _model(name: str, schema: Json) -> Iterator[tuple[str, str]]:
    yield name, ""
    for value in schema.get("enum", ()):
        yield f"{name} {value}", ""
    required = schema.get("required", ())
    is_request = schema.get("additionalProperties") is False
    for field, kind in schema.get("properties", {}).items():
        words = f"{REQUIRED} " if is_request and field in required else ""
        yield f"{name}.{field}", words + _kind(kind)


def _kind(schema: Json) -> str:
    """Return the type of a value in a few words, without bounds: these may be widened."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(sorted(map(_kind, options)))
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    return str(schema.get("format") or schema.get("type") or "anything")


def _amqp() -> Iterator[tuple[str, str]]:
    document = asyncapi.document(VERSION)
    for name, channel in document["channels"].items():
        yield f"amqp {name}", str(channel.get("address") or "")
        binding = channel.get("bindings", {}).get("amqp", {})
        for part in ("exchange", "queue"):
            if part in binding:
                yield f"amqp {name} {part}", binding[part]["name"]
    # Those who need no exchange publish to it.
    yield "amqp create queue", CREATE_QUEUE
    for name, schema in document["components"]["schemas"].items():
        for entry, words in _model(name, schema):
            yield f"amqp {entry}", words


def _commands() -> Iterator[tuple[str, str]]:
    yield from _command(
        program, click.Context(program, info_name="taskmill", **program.context_settings)
    )


def _command(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    name = context.command_path
    yield name, ""
    for one in command.params:
        if isinstance(one, click.Option):
            for option in (*one.opts, *one.secondary_opts):
                yield f"{name} {option}", REQUIRED if one.required else "optional"
        else:
            yield f"{name} {str(one.name).upper()}", REQUIRED if one.required else "optional"
    if isinstance(command, click.Group):
        for child in command.list_commands(context):
            found = command.get_command(context, child)
            if found is not None:
                yield from _command(found, click.Context(found, info_name=child, parent=context))


def _settings() -> Iterator[tuple[str, str]]:
    for row in effective(Settings.model_construct()):
        yield row.name, "of the machine" if row.name in _OF_THE_MACHINE else row.value


def _metrics() -> Iterator[tuple[str, str]]:
    for module in sorted(Path(observability.__path__[0]).glob("*.py")):
        if " = Section(" in module.read_text(encoding="utf-8"):
            importlib.import_module(f"{observability.__name__}.{module.stem}")
    for section in SECTIONS:
        for metric in section.metrics:
            yield metric.name, f"{metric.kind} by {', '.join(metric.labels) or 'nothing'}"


def _log_events() -> Iterator[tuple[str, str]]:
    page = (ROOT / "docs" / "operations" / "log-events.md").read_text(encoding="utf-8")
    for name in _EVENT.findall(page):
        yield f"log {name}", ""


def _sql() -> Iterator[tuple[str, str]]:
    """Yield the arguments of the functions that programs may call, as the latest migrations have them."""
    files = (one for one in _MIGRATIONS.rglob("*.sql") if not one.stem.endswith("down"))
    for file in sorted(files):
        for name, arguments in _FUNCTION.findall(file.read_text(encoding="utf-8")):
            for one in arguments.split(","):
                argument, _, kind = one.strip().partition(" ")
                kind, _, default = kind.partition(" DEFAULT ")
                yield f"{name} {argument}", f"{'optional' if default else REQUIRED} {kind}"


def _client() -> Iterator[tuple[str, str]]:
    for name, call in inspect.getmembers(TaskmillClient, inspect.isfunction):
        if not name.startswith("_"):
            yield f"Client.{name}", ""
            for parameter in [*inspect.signature(call).parameters][1:]:
                yield f"Client.{name} {parameter}", ""
