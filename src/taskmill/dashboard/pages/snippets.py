"""Examples that create the same task as the form: for the shell, over HTTP and RabbitMQ, and in Python."""

from collections.abc import Mapping
from dataclasses import dataclass
from pprint import pformat
from shlex import quote
from textwrap import indent
from typing import Any, Final

import orjson

from taskmill.dashboard.direction import escaped_in_json

FILE: Final = "task.json"
"""The file that has a long body."""

LONGEST_INLINE: Final = 8_192
"""Longer bodies are in a file."""

_WIDTH: Final = 72


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippets:
    """The same request in three ways; with `needs_file`, its body is in `FILE`."""

    curl: str
    amqp: str
    python: str
    needs_file: bool


def snippets_of(base: str, body: Mapping[str, Any], *, needs_key: bool = False) -> Snippets:
    """Return the examples for a service at the address `base`; curl has no key of its own, unlike the others."""
    shown = escaped_in_json(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode())
    if len(shown) > LONGEST_INLINE:
        return _with_file(base, needs_key=needs_key)
    return Snippets(
        curl=_curl(base, quote(shown), needs_key=needs_key),
        # No line of JSON is only this word: texts have quotes.
        amqp=f"taskmill queue publish - <<'END'\n{shown}\nEND",
        python=_python(base, _arguments(body)),
        needs_file=False,
    )


def _with_file(base: str, *, needs_key: bool) -> Snippets:
    return Snippets(
        curl=_curl(base, f"@{FILE}", needs_key=needs_key),
        amqp=f"taskmill queue publish {FILE}",
        python="import json\nfrom pathlib import Path\n\n"
        + _python(base, f'        **json.loads(Path("{FILE}").read_text("utf-8"))\n'),
        needs_file=True,
    )


def _curl(base: str, data: str, *, needs_key: bool) -> str:
    key = '  -H "Authorization: Bearer $TASKMILL_API_KEY" \\\n' if needs_key else ""
    return (
        f"curl -X POST {quote(base + '/tasks')} \\\n"
        f"{key}"
        "  -H 'Content-Type: application/json' \\\n"
        f"  --data-binary {data}"
    )


def _python(base: str, arguments: str) -> str:
    return (
        "from taskmill.client import TaskmillClient\n\n"
        f"with TaskmillClient({base!r}) as client:\n"
        f"    task = client.create(\n{arguments}    )\n"
        "    print(task.id)"
    )


def _arguments(body: Mapping[str, Any]) -> str:
    return "".join(
        indent(f"{name}={pformat(value, width=_WIDTH, sort_dicts=False)},\n", " " * 8)
        for name, value in body.items()
    )
