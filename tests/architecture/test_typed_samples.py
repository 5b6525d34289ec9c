"""The typed samples in tests/typing use the whole public API; the test command has mypy and pyright check them."""

import re
from pathlib import Path

import taskmill
from taskmill import client, testing
from taskmill.app import Context
from tests.support.every import every
from tests.support.processes import ROOT

SAMPLES = {
    path.name: path.read_text(encoding="utf-8")
    for path in sorted((ROOT / "tests" / "typing").glob("*.py"))
}


def public(kind: object) -> list[str]:
    return [name for name in dir(kind) if not name.startswith("_")]


def test_the_package_says_that_it_is_typed() -> None:
    assert (Path(taskmill.__file__).parent / "py.typed").is_file()


@every("name", sorted({*taskmill.__all__, *testing.__all__} - {"__version__"}))
def test_each_public_name_is_used(name: str) -> None:
    assert any(re.search(rf"\b{name}\b", text) for text in SAMPLES.values())


@every("name", public(client.TaskmillClient))
def test_each_call_of_the_client_is_used(name: str) -> None:
    assert name in {"base_url", "close"} or f"client.{name}(" in SAMPLES["clients.py"]


@every("name", public(Context))
def test_all_that_a_context_has_is_used(name: str) -> None:
    assert f"context.{name}" in SAMPLES["handlers.py"]


def test_wrong_uses_are_refused_by_both_checkers() -> None:
    wrong = [line for line in SAMPLES["refused.py"].splitlines() if "ignore[" in line]
    assert len(wrong) > 30
    for line in wrong:
        assert "# type: ignore[" in line, line
        assert "# pyright: ignore[" in line, line
