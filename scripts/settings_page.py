"""Writes docs/reference/settings.md: every setting with its default, its bounds and its meaning.

`python scripts/settings_page.py` writes the page anew; `tests/architecture/test_settings_page.py` fails while the
two differ.
"""
# ruff: noqa: INP001 - a program of its own

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "settings.md"

if __name__ == "__main__":
    sys.path.insert(0, str(ROOT / "src"))

from taskmill.settings import Settings, effective  # noqa: E402 - see above
from taskmill.settings.values import MOST  # noqa: E402 - see above

Json = dict[str, Any]

INTRODUCTION = """\
# Settings

<!-- Made by scripts/settings_page.py of what src/taskmill/settings declares. -->

`taskmill settings` shows every setting, its value with secrets masked, and where that comes from;
`taskmill settings lease` what those mean that have `lease` in their name. Sources, strongest first:

1. options of the command (`--port 0`);
2. the environment (`TASKMILL_API__PORT=0`; two underscores between group and name);
3. `.env` in the working folder, with the same names;
4. a TOML file: `taskmill.toml` in the working folder, or the one that `TASKMILL_CONFIG_FILE` names;
5. defaults.

```toml
# taskmill.toml
[api]
port = 8100

[worker]
concurrency = 200
queues = ["reports"]
```

Lists are comma separated or JSON (`report,mail.send` or `["report", "mail.send"]`). A variable that is set
but empty counts as not set. No number may be above 1,000,000,000.

A `TASKMILL_…` name that is no setting is an error, and so is a value that does not fit; other names are
nobody's business ([0010](../decisions/0010-unknown-settings-are-errors.md)):

```
$ TASKMILL_API__PRT=1 ./taskmill settings
Error: TASKMILL_API__PRT (environment) is not a setting; did you mean TASKMILL_API__PORT?
$ TASKMILL_LEASE__TTL_S=soon ./taskmill settings
Error: TASKMILL_LEASE__TTL_S='soon' (environment): expected a valid number, unable to parse string as a number
```

Four names are taken but are no settings: `TASKMILL_CONFIG_FILE` (above), `TASKMILL_URL` (the service that
`taskmill task` and its like talk to), `TASKMILL_PYTHON` (the Python that `./taskmill` builds on) and
`TASKMILL_TEST_POSTGRES_BIN` (the PostgreSQL that the tests run on).
"""
TITLES: Final = {
    "": "General",
    "api": "API",
    "dashboard": "Dashboard",
    "limits": "Limits",
    "database": "Database",
    "emulation": "Emulation",
    "lease": "Leases",
    "worker": "Workers",
    "task_log": "Task logs",
    "retry": "Retries",
    "retention": "Retention",
    "outbound": "Calling endpoints",
    "webhooks": "Webhooks",
    "metrics": "Metrics",
    "maintenance": "Maintenance",
    "feed": "Feed",
    "pull": "Workers that pull over HTTP",
}
# What only a machine knows.
FOUND_OUT: Final = {
    "api.allowed_hosts": "`localhost`, the machine's name",
    "worker.name": "host and process id",
    "worker.isolated": "number of processors",
}
MORE: Final = {
    "api.allowed_hosts": "[who may ask](http.md#who-may-ask)",
    "api.allowed_origins": "[who may ask](http.md#who-may-ask)",
    "traces": "[traces](../how-to/trace-tasks.md)",
    "admin_port": "[the ports](../how-to/monitor.md#prometheus)",
    "dashboard": "[dashboard](../how-to/dashboard.md)",
    "emulation": "[emulate other types](../how-to/emulate-types.md)",
    "worker.app": "[own handlers](../how-to/own-handlers.md)",
    "task_log": "[task logs](../how-to/task-logs.md)",
    "outbound": "[push over HTTP](../how-to/push-over-http.md)",
    "webhooks": "[webhooks](../how-to/webhooks.md)",
    "metrics": "[metrics](metrics.md)",
    "maintenance.numbering_s": "[follow changes](../how-to/follow-changes.md)",
    "feed": "[follow changes](../how-to/follow-changes.md)",
    "pull": "[workers in any language](../how-to/workers-in-any-language.md)",
}
UNITS: Final = {"_s": "seconds", "_bytes": "bytes", "_days": "days", "_chars": "characters"}


def page() -> str:
    """Return the whole page."""
    schema = Settings.model_json_schema()
    defaults = {row.name: row.value for row in effective(Settings.model_construct())}
    lines = (line for group in TITLES for line in _lines(group, schema, defaults))
    return "\n".join([INTRODUCTION, *lines])


def _lines(group: str, schema: Json, defaults: dict[str, str]) -> Iterator[str]:
    yield from (f"## {TITLES[group]}", "")
    fields = schema["properties"]
    if group:
        declared = schema["$defs"][fields[group]["$ref"].rpartition("/")[2]]
        fields = declared["properties"]
        about = " ".join(declared["description"].split()).removesuffix(".")
        yield from (f"{about}{_more(group)}.", "")
    yield from ("| setting | default | values | what |", "|---|---|---|---|")
    for field, described in fields.items():
        if "$ref" in described:
            continue
        name = f"{group}.{field}".lstrip(".")
        variable = "TASKMILL_" + name.replace(".", "__").upper()
        value = defaults[variable]
        default = FOUND_OUT.get(name) or (f"`{value}`" if value else "")
        meaning = described["description"] + _more(name)
        yield f"| `{variable}` | {default} | {_values(field, described)} | {meaning} |"
    yield ""


def _more(name: str) -> str:
    return f" ({MORE[name]})" if name in MORE else ""


def _values(field: str, described: Json) -> str:
    """Say which values a setting takes."""
    schema: Json = [*described.get("anyOf", ()), described][0]
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    kind = str(schema["type"])
    if kind in {"integer", "number"}:
        unit = next((UNITS[end] for end in UNITS if f"_{field}".endswith(end)), "")
        return ", ".join(filter(None, [unit, _bounds(schema)]))
    if kind == "string" and "maxLength" in schema:
        return f"text, {schema['minLength']} to {schema['maxLength']} characters"
    words = {"boolean": "`true`, `false`", "array": "list", "object": "list", "string": "text"}
    return words[kind]


def _bounds(schema: Json) -> str:
    least, most = schema.get("minimum"), schema.get("maximum")
    if most is not None and most < MOST:
        return f"{least:,} to {most:,}" if least is not None else f"more than 0, at most {most:,}"
    return f"at least {least:,}" if least is not None else "more than 0"


if __name__ == "__main__":
    PAGE.write_text(page().rstrip("\n") + "\n", encoding="utf-8")
