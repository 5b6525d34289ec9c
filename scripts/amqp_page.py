"""Writes docs/reference/amqp-messages.md: what the AsyncAPI document says, to read.

`python scripts/amqp_page.py` writes the page anew; `tests/architecture/test_contract_pages.py` fails while the two
differ.
"""
# ruff: noqa: INP001 - a program of its own

import json
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "amqp-messages.md"

if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from scripts.http_pages import link_to_bodies  # noqa: E402 - see above
from scripts.schemas import Json, Link, fields, row, words  # noqa: E402
from taskmill.api import asyncapi  # noqa: E402
from taskmill.api.app import openapi_document  # noqa: E402
from taskmill.version import version  # noqa: E402

INTRODUCTION = """\
# RabbitMQ: every message

<!-- Made by scripts/amqp_page.py of the AsyncAPI document. -->

What `/asyncapi.json` of a running service says, to read. What it is good for is in [RabbitMQ](amqp.md). Bodies are
those of [HTTP](http-bodies.md), but for [two](#bodies).
"""
DIRECTIONS = {"receive": "Taskmill receives", "send": "Taskmill sends"}


def page() -> str:
    """Return the whole page."""
    document = asyncapi.document(version())
    known = openapi_document()["components"]["schemas"]
    messages, schemas = (document["components"][kind] for kind in ("messages", "schemas"))
    own = {name: schema for name, schema in schemas.items() if name not in known}

    def link(name: str) -> str:
        return f"#{name.lower()}" if name in own else link_to_bodies(name)

    lines = [INTRODUCTION, "## Channels", ""]
    for name, channel in document["channels"].items():
        lines += _channel(name, channel, messages, document["operations"])
    lines += ["## Messages", ""]
    for message in messages.values():
        lines += [f"### {message['title']}", "", *_parts(message, link), *_examples(message)]
    lines += ["## Bodies", ""]
    for name, schema in sorted(own.items()):
        lines += [f"### {name}", "", *_body(schema, link)]
    return "\n".join(lines).rstrip("\n") + "\n"


def _channel(name: str, channel: Json, messages: Json, operations: Json) -> Iterator[str]:
    yield from (f"### {name.capitalize()}", "", f"{_sentence(channel['description'])}", "")
    yield from (row(["part", "what"]), row(["---"] * 2))
    address = channel["address"]
    bound = channel.get("bindings", {}).get("amqp", {})
    if bound.get("is") == "routingKey":
        exchange = bound["exchange"]
        kind = f"{exchange['type']}, {'durable' if exchange['durable'] else 'transient'}"
        yield row(["exchange", f"`{exchange['name']}` ({kind})"])
        yield row(["routing key", f"`{address}`"])
    elif address:
        yield row(["queue", f"`{address}`"])
    for parameter, described in channel.get("parameters", {}).items():
        values = ", ".join(f"`{value}`" for value in described.get("enum", ()))
        about = ": ".join(filter(None, [described["description"], values]))
        yield row([f"`{{{parameter}}}`", about])
    for operation in operations.values():
        if operation["channel"]["$ref"] == f"#/channels/{name}":
            yield row([DIRECTIONS[operation["action"]], operation["summary"]])
    titles = [messages[kind]["title"] for kind in channel["messages"]]
    yield row(["message", ", ".join(f"[{title}](#{_anchor(title)})" for title in titles)])
    yield ""


def _parts(message: Json, link: Link) -> Iterator[str]:
    media_type = message.get("contentType")
    payload = message["payload"]
    about = payload.get("description") or words(payload, link)
    kind = f" (`{media_type}`)" if media_type else ""
    yield from (f"Body: {about}{kind}.", "")
    yield from (*fields(message["headers"], link), "")


def _examples(message: Json) -> Iterator[str]:
    for example in message.get("examples", ()):
        yield from ("```json", json.dumps(example["payload"], ensure_ascii=False), "```", "")


def _body(schema: Json, link: Link) -> Iterator[str]:
    if "description" in schema:
        yield from (schema["description"], "")
    for option in schema.get("oneOf", [schema]):
        yield from (*fields(option, link), "")


def _anchor(title: str) -> str:
    return "".join(c for c in title.lower() if c.isalnum() or c in " -").replace(" ", "-")


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
