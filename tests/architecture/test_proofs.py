"""Each slow test is in a proof, and the record tells which proof is due."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.proofs import (
    LIMIT_S,
    NAMES,
    PROOFS,
    RECORD,
    ROOT,
    SLICES,
    Passed,
    Standing,
    listed_anew,
    measured,
    next_of,
    proof_of,
    pytest_collection_modifyitems,
    pytest_configure,
    read_record,
    record_text,
    standing,
)

OUTPUT = """\
============================= slowest durations ==============================
0.60s call     tests/unit/test_a.py::test_one[a b]
0.30s setup    tests/unit/test_a.py::test_one[a b]
0.60s call     tests/unit/test_a.py::test_two
12.00s call    somewhere/else.py::test_three
"""


def test_a_test_is_slow_by_all_that_it_took() -> None:
    assert measured(OUTPUT) == {
        "tests/unit/test_a.py::test_one[a b]": 0.6 + 0.3,
        "tests/unit/test_a.py::test_two": 0.6,
    }
    assert 0.6 < LIMIT_S < 0.6 + 0.3


def test_a_run_that_tries_more_than_a_landing_says_nothing_about_its_times() -> None:
    with pytest.raises(ValueError, match="--all"):
        measured(f"hypothesis profile 'many'\n{OUTPUT}")


def test_what_is_quick_now_is_slow_no_longer_and_the_longest_of_the_runs_counts() -> None:
    listed = {"was slow": 9.0, "not run": 2.0}
    runs = [{"was slow": 0.1, "at times": 0.2}, {"at times": 1.0}]
    assert listed_anew(listed, runs) == {"not run": 2.0, "at times": 1.0}


def test_each_file_is_in_one_proof_and_stays_there() -> None:
    assert proof_of("tests/chaos/test_broker.py::test_one[a]") == "broker"
    assert proof_of("tests/fuzz/test_service.py::test_one") == "fuzz"
    names = {proof_of(f"tests/unit/test_{number}.py::test_one") for number in range(100)}
    assert names == set(SLICES)


def test_what_a_proof_is_of_exists() -> None:
    named = [path for proof in PROOFS.values() for path in (*proof.paths, *proof.inputs)]
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_the_record_is_of_proofs_that_exist() -> None:
    text = (ROOT / RECORD).read_text("utf-8")
    record = read_record(text)
    assert record_text(record) == text
    gone = Passed(commit="0" * 40, seconds=1)
    assert record_text({**record, "no proof any more": gone}) == text


def a_standing(
    name: str, *, age: int = 0, seconds: int = 50, changed: bool = False, passed: bool = True
) -> Standing:
    known = Passed(commit="0" * 40, seconds=seconds) if passed else None
    return Standing(name=name, age=age, seconds=seconds, has_changed=changed, passed=known)


def name_of_next(*standings: Standing, left_s: float = 200, has_run: bool = False) -> str | None:
    chosen = next_of(standings, left_s=left_s, has_run=has_run)
    return chosen.name if chosen else None


def test_what_has_changed_is_proven_before_what_is_older_but_what_is_nearly_too_old_first() -> None:
    changed, older = a_standing("chaos", changed=True), a_standing("cluster", age=5)
    assert name_of_next(older, changed) == "chaos"
    assert name_of_next(older, changed, a_standing("broker", age=9)) == "broker"
    assert name_of_next(older, a_standing("broker", age=4)) == "cluster"


def test_what_depends_on_its_inputs_only_is_not_due_while_these_are_the_same() -> None:
    assert name_of_next(a_standing("pages", age=50)) is None
    assert not a_standing("pages", age=50).is_too_old
    assert name_of_next(a_standing("pages", changed=True)) == "pages"
    assert a_standing("pages", age=11, changed=True).is_too_old


def test_a_landing_runs_one_proof_at_least_and_others_while_they_fit() -> None:
    one = a_standing("chaos", age=3, seconds=230)
    assert name_of_next(one, left_s=-100) == "chaos"
    assert name_of_next(one, left_s=100, has_run=True) is None
    assert name_of_next(one, left_s=240, has_run=True) == "chaos"


def test_a_proof_is_too_old_after_ten_landings() -> None:
    assert not a_standing("chaos", age=10).is_too_old
    assert a_standing("chaos", age=11).is_too_old
    assert standing("chaos", None).is_too_old


@pytest.mark.parametrize(
    ("named", "expression", "proof", "runs"),
    [
        (Path(__file__).parent, "", None, "not slow"),
        (Path(__file__), "", None, ""),
        (f"{__file__}::test_one", "", None, ""),
        (Path(__file__).parent, "slow", None, "slow"),
        (Path(__file__).parent, "", "chaos", ""),
    ],
)
def test_slow_tests_are_left_out_only_where_nobody_chose_them(
    named: object, expression: str, proof: str | None, runs: str
) -> None:
    option = SimpleNamespace(markexpr=expression)
    config: Any = SimpleNamespace(option=option, args=[str(named)], getoption=lambda _: proof)
    pytest_configure(config)
    assert option.markexpr == runs


def test_what_needs_a_container_engine_is_in_no_proof() -> None:
    items = [an_item("slow"), an_item("slow", "engine"), an_item()]
    hook = SimpleNamespace(pytest_deselected=lambda items: None)  # noqa: ARG005 - as pytest calls it
    ran = []
    for name in NAMES:
        chosen = list(items)
        config: Any = SimpleNamespace(getoption=lambda _, name=name: name, hook=hook)
        pytest_collection_modifyitems(config, chosen)
        ran += chosen
    assert ran == items[:1]


def an_item(*markers: str) -> Any:  # noqa: ANN401 - as much of pytest's as is needed
    return SimpleNamespace(
        nodeid=" ".join(markers), get_closest_marker=lambda name: name in markers or None
    )
