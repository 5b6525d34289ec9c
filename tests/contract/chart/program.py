"""What tests/support/charts.py asks Helm's library and the schemas of Kubernetes, in an environment of its own.

A line of JSON in is a line of JSON out: `{"render": VALUES, "chart": PATH}`, of a folder or an archive,
`{"lint": VALUES}`, or `{"validate": OBJECTS, "version": VERSION}`.
"""
# ruff: noqa: T201 - a program that prints

import json
import sys
from typing import Any

import kubernetes_validate
from helm_python import Chart, HelmError, lint

Json = dict[str, Any]


def render(path: str, release: str, namespace: str, values: Json) -> Json:
    """Return what Helm makes of the values, by template, or why it refuses them."""
    try:
        with Chart.load(path) as chart:
            return {"texts": chart.render(values=values, name=release, namespace=namespace)}
    except HelmError as error:
        return {"refused": str(error)}


def errors(objects: list[Json], version: str) -> list[str]:
    """Return what is wrong with objects, by the strict schemas of a version of Kubernetes."""
    found = []
    for one in objects:
        try:
            kubernetes_validate.validate(one, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            found.append(f"{one['kind']} {one['metadata']['name']}: {error.message}")
    return found


def main() -> None:
    """Answer until the input ends."""
    folder, release, namespace = sys.argv[1:]
    for line in sys.stdin:
        asked = json.loads(line)
        if "render" in asked:
            result: object = render(asked["chart"], release, namespace, asked["render"])
        elif "lint" in asked:
            result = lint(folder, asked["lint"], strict=True)["messages"]
        else:
            result = errors(asked["validate"], asked["version"])
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
