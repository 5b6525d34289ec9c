"""The Dockerfile, as far as it can be checked without a container engine."""

import json
import re
import tomllib
from collections.abc import Iterator
from importlib import metadata
from typing import Final

from tests.contract.test_containers import DOCKERFILE, ROOT

LOCK: Final = (ROOT / "requirements/run.txt").read_text(encoding="utf-8")


def instructions(stage: str) -> Iterator[tuple[str, str]]:
    """Yield the instructions of a stage of the Dockerfile."""
    for line in re.sub(r"\\\n", " ", stage).splitlines():
        word, _, rest = line.partition(" ")
        if word.isupper():
            yield word, rest.strip()


def last_stage() -> list[tuple[str, str]]:
    return list(instructions("FROM " + DOCKERFILE.rpartition("\nFROM ")[2]))


def test_the_image_runs_the_program_itself_and_not_as_root() -> None:
    image = dict(last_stage())
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", image["USER"])
    assert json.loads(image["ENTRYPOINT"]) == ["taskmill"]
    assert json.loads(image["CMD"]) == ["--help"]
    _, _, check = image["HEALTHCHECK"].partition(" CMD ")
    assert json.loads(check) == ["taskmill", "health"]
    assert image["STOPSIGNAL"] == "SIGTERM"


def test_the_image_says_what_it_is_of() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    labels = dict(re.findall(r'image\.(\w+)="([^"]*)"', dict(last_stage())["LABEL"]))
    # `make release` knows them.
    assert (labels["version"], labels["revision"]) == ("${VERSION}", "${REVISION}")
    assert labels["description"] == project["description"]
    assert labels["licenses"] == project["license"]


def left_out() -> set[str]:
    found = re.search(r"is_out = /\^\((.*?)\)==/", DOCKERFILE)
    assert found
    return set(found[1].split("|"))


def test_what_the_image_leaves_out_is_in_the_lock() -> None:
    assert left_out() <= set(re.findall(r"^([a-z0-9-]+)==", LOCK, re.MULTILINE))


def test_nothing_in_the_image_needs_what_is_left_out() -> None:
    installed = set(re.findall(r"^([a-z0-9-]+)==", LOCK, re.MULTILINE)) - left_out()
    needed = {
        re.split(r"[^\w-]", requirement)[0].lower()
        for name in installed
        for requirement in _requirements(name)
        if "extra ==" not in requirement
    }
    assert "anyio" in needed
    assert not needed & left_out()


def _requirements(name: str) -> list[str]:
    return metadata.requires(name) or []


def test_only_what_the_image_needs_is_sent_to_the_build() -> None:
    lines = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    sent = {rule.removeprefix("!") for rule in rules if rule.startswith("!")}
    copied = {
        part
        for stage in DOCKERFILE.split("\nFROM ")
        for word, rest in instructions(stage)
        if word == "COPY" and not rest.startswith("--from")
        for part in rest.split()[:-1]
    }
    assert sent == copied
