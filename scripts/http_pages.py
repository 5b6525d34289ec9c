"""Writes docs/reference/http-requests.md and http-bodies.md: what the OpenAPI document says, to read.

`python scripts/http_pages.py` writes the pages anew; `tests/architecture/test_contract_pages.py` fails while they
differ.
"""
# ruff: noqa: INP001 - a program of its own

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

ROOT = Path(__file__).resolve().parent.parent
REQUESTS = ROOT / "docs" / "reference" / "http-requests.md"
BODIES = ROOT / "docs" / "reference" / "http-bodies.md"

if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

from scripts.schemas import Json, fields, row, words  # noqa: E402 - see above
from taskmill.api.app import openapi_document  # noqa: E402
from taskmill.wire.problems import problem_kinds  # noqa: E402

REQUESTS_INTRODUCTION = """\
# HTTP: every request

<!-- Made by scripts/http_pages.py of the OpenAPI document. -->

What `/openapi.json` of a running service says, to read: every request with its parameters, its body and its
answers. What they are good for is in [HTTP](http.md), how bodies look in [HTTP: bodies](http-bodies.md). Every
answer has a header `X-Request-Id`, under which the logs tell more.

A *name* is one of a queue or of a type: `[a-z0-9][a-z0-9._-]{0,62}`. Times are RFC 3339.
"""
BODIES_INTRODUCTION = """\
# HTTP: bodies

<!-- Made by scripts/http_pages.py of the OpenAPI document. -->

The JSON of [requests and their answers](http-requests.md). Where a table has defaults, only what is required has
to be there, and no default is null. Where it has none, every field is there. Requests with other fields are
refused; answers may get further ones.
"""
REFUSED_FROM: Final = 400
UNSAID: Final = "Successful Response"
"""What the framework says where nobody has said anything."""


def requests_page() -> str:
    """Return the page of requests."""
    document = openapi_document()
    lines = [REQUESTS_INTRODUCTION, *_refusals(document)]
    for tag in document["tags"]:
        lines += [f"## {tag['name'].capitalize()}", "", tag["description"], ""]
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if operation["tags"][0] == tag["name"]:
                    lines += _operation(f"{method.upper()} {path}", operation)
    return _joined(lines)


def bodies_page() -> str:
    """Return the page of bodies."""
    lines = [BODIES_INTRODUCTION]
    for name, schema in sorted(openapi_document()["components"]["schemas"].items()):
        lines += _model(name, schema)
    return _joined(lines)


def _model(name: str, schema: Json) -> Iterator[str]:
    yield from (f"## {name}", "")
    if "description" in schema:
        yield from (schema["description"], "")
    if "properties" in schema:
        yield from (*fields(schema, _here), "")
    else:
        yield from (words(schema, _here), "")


def link_to_bodies(name: str) -> str:
    """Return where other pages of the reference find a model."""
    return f"http-bodies.md#{name.lower()}"


def _here(name: str) -> str:
    return f"#{name.lower()}"


def _operation(title: str, operation: Json) -> Iterator[str]:
    summary = operation["summary"] + ("" if operation["summary"].endswith("?") else ".")
    yield from (f"### {title}", "", f"**{summary}** {operation['description']}", "")
    parameters = operation.get("parameters", [])
    if parameters:
        yield from (row(["parameter", "in", "values", "what"]), row(["---"] * 4))
        yield from map(_parameter, parameters)
        yield ""
    if "requestBody" in operation:
        yield from (f"Body: {_content(operation['requestBody'])}.", "")
    yield from _answers(operation["responses"])


def _parameter(parameter: Json) -> str:
    schema = parameter["schema"]
    values = words(schema, link_to_bodies)
    if schema.get("default") is not None:
        values += f"; `{schema['default']}` unless given"
    place = parameter["in"] + (", required" if parameter["required"] else "")
    return row([f"`{parameter['name']}`", place, values, parameter.get("description", "")])


def _answers(responses: Json) -> Iterator[str]:
    yield from (row(["status", "body", "what"]), row(["---"] * 3))
    refused = []
    for status, answer in sorted(responses.items()):
        if _is_usual_refusal(status, answer):
            refused.append(status)
            continue
        named = [f"`{name}`" for name in answer["headers"] if name != "X-Request-Id"]
        headers = f"with {', '.join(named)}" if named else ""
        words_of_its_own = answer["description"].replace(UNSAID, "")
        about = "; ".join(filter(None, [words_of_its_own, headers]))
        yield row([status, _content(answer), about])
    yield from ("", f"[Refused](#refusals) with {', '.join(refused)}.", "")


def _is_usual_refusal(status: str, answer: Json) -> bool:
    return int(status) >= REFUSED_FROM and "application/problem+json" in answer["content"]


def _content(holder: Json) -> str:
    return " or ".join(
        f"{words(described['schema'], link_to_bodies)} (`{media_type}`)"
        for media_type, described in holder.get("content", {}).items()
    )


def _refusals(document: Json) -> Iterator[str]:
    meanings: dict[int, str] = {}
    for methods in document["paths"].values():
        for operation in methods.values():
            for status, answer in operation["responses"].items():
                if _is_usual_refusal(status, answer):
                    meanings.setdefault(int(status), answer["description"])
    yield from ("## Refusals", "")
    yield from (
        f"The body is a [Problem]({link_to_bodies('Problem')}) (`application/problem+json`). With which statuses",
        "a request may be refused stands below it; they mean:",
        "",
    )
    yield from (row(["status", "what"]), row(["---"] * 2))
    for status, meaning in sorted(meanings.items()):
        yield row([str(status), meaning])
    yield from ("", "### Problem types", "", "`type` is stable, `title` is for people.", "")
    yield from (row(["status", "`type`", "`title`"]), row(["---"] * 3))
    for kind in problem_kinds():
        yield row([str(kind.status), f"`{kind.type}`", kind.title])
    yield ""


def _joined(lines: list[str]) -> str:
    return "\n".join(lines).rstrip("\n") + "\n"


if __name__ == "__main__":
    REQUESTS.write_text(requests_page(), encoding="utf-8")
    BODIES.write_text(bodies_page(), encoding="utf-8")
