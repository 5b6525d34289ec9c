"""What is reported of a mutation run."""

import re
from pathlib import Path

import pytest

from tools.mutation.report import (
    Change,
    Mutant,
    change_of,
    function_of,
    lines_of,
    read_explained,
    report,
)

ROOT = Path(__file__).resolve().parents[3]
FUNCTION = "taskmill.domain.retry.RetryPolicy.delay"
NAME = "taskmill.domain.retry.xǁRetryPolicyǁdelay__mutmut_3"
DIFF = """\
--- src/taskmill/domain/retry.py
+++ src/taskmill/domain/retry.py
@@ -1,3 +1,3 @@
 def delay(self, attempt):
-    return min(attempt, 1)
+    return min(attempt, 2)
""".splitlines()
CHANGE = Change(FUNCTION, "return min(attempt, 1)", "return min(attempt, 2)")
EXPLAINED = f"""
[[mutant]]
function = "{FUNCTION}"
was = "return min(attempt, 1)"
becomes = ["return min(attempt, 2)", ""]
because = "there is one attempt"
"""


def a_mutant(status: str, change: Change | None = None) -> Mutant:
    return Mutant(name=NAME, status=status, change=change)


@pytest.mark.parametrize(
    ("name", "function"),
    [
        (NAME, FUNCTION),
        ("taskmill.domain.lifecycle.x_decide__mutmut_12", "taskmill.domain.lifecycle.decide"),
        ("taskmill.domain.lifecycle.x__lost__mutmut_1", "taskmill.domain.lifecycle._lost"),
    ],
)
def test_a_mutants_name_is_read(name: str, function: str) -> None:
    assert function_of(name) == function


def test_a_change_is_known_by_its_function_and_lines_wherever_they_are() -> None:
    assert change_of(NAME, DIFF) == CHANGE
    assert change_of(NAME, DIFF[:-1]) == CHANGE._replace(becomes="")


def test_an_explained_mutant_is_no_survivor() -> None:
    explained = read_explained(EXPLAINED)
    found = report([a_mutant("survived", CHANGE), a_mutant("killed")], {CHANGE})
    assert found.is_clean
    assert found.counts["taskmill.domain.retry"] == {"mutants": 2, "noticed": 1, "explained": 1}
    assert explained == {CHANGE, CHANGE._replace(becomes="")}


@pytest.mark.parametrize("status", ["survived", "no tests", "suspicious"])
def test_whatever_else_was_not_noticed_is_listed_with_its_change(status: str) -> None:
    found = report([a_mutant(status, CHANGE)], set())
    assert not found.is_clean
    assert lines_of(found)[:3] == [
        f"{FUNCTION}  ({status}: {NAME})",
        "  - return min(attempt, 1)",
        "  + return min(attempt, 2)",
    ]


def test_an_explanation_without_a_survivor_is_reported_once_its_module_was_tested() -> None:
    assert report([a_mutant("killed")], {CHANGE}).stale == [CHANGE]
    unfinished = report([a_mutant("killed"), a_mutant("not checked")], {CHANGE})
    assert (unfinished.stale, unfinished.is_clean) == ([], False)
    assert report([], {CHANGE}).is_clean, "another area"


def test_an_explanation_without_a_reason_is_refused() -> None:
    with pytest.raises(ValueError, match="no reason is given for a mutant of taskmill"):
        read_explained(EXPLAINED.replace("there is one attempt", " "))


def test_every_explanation_is_of_code_that_is_there() -> None:
    for function, was, _ in read_explained((ROOT / "tools/mutation/explained.toml").read_text()):
        package, name = function.removeprefix("taskmill.").split(".")[:2]
        source = (ROOT / f"src/taskmill/{package}/{name}.py").read_text(encoding="utf-8")
        lines = {line.strip() for line in source.splitlines()}
        assert set(was.splitlines()) <= lines, function
        assert re.search(rf"def {function.rpartition('.')[2]}\b", source), function
