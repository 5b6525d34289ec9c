"""The options of the benchmarks' runner, and failing scenarios."""

import importlib
from pathlib import Path

import pytest

import benchmarks
from benchmarks import __main__ as runner
from benchmarks.lab import Scale
from benchmarks.peers import environments
from benchmarks.programs import ROOT
from tests.support.every import every

FOLDER = Path(benchmarks.__file__).parent


def test_every_file_of_a_scenario_can_be_run_by_its_name() -> None:
    files = {file.stem for file in (FOLDER / "scenarios").glob("*.py")} - {"__init__"}
    assert files == set(runner.SCENARIOS)
    assert len(runner.SCENARIOS) == len(files)


@every("name", runner.SCENARIOS)
def test_every_scenario_has_a_title_and_can_be_run(name: str) -> None:
    scenario = importlib.import_module(f"benchmarks.scenarios.{name}")
    assert isinstance(scenario.TITLE, str)
    assert callable(scenario.run)


@every("name", runner.SCENARIOS)
def test_every_scenario_is_described(name: str) -> None:
    assert f"| `{name}` |" in (FOLDER / "README.md").read_text(encoding="utf-8")


def test_a_run_is_short_by_default() -> None:
    usual, full, quick = (runner.read_options(given) for given in ([], ["--full"], ["--quick"]))
    assert (usual.scale, usual.scenarios, usual.rounds) == (Scale.SHORT, runner.SHORT, 3)
    assert (full.scale, full.scenarios, full.rounds) == (Scale.FULL, runner.SCENARIOS, 5)
    assert (quick.scale, quick.scenarios, quick.rounds) == (Scale.QUICK, runner.SHORT, 1)


def test_a_scenario_that_is_not_there_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as refused:
        runner.read_options(["nowhere"])
    assert refused.value.code == 2
    assert "unknown scenario nowhere" in capsys.readouterr().err


def test_of_a_group_of_errors_the_first_is_reported() -> None:
    cause = TimeoutError("too slow")
    group = ExceptionGroup("", [ExceptionGroup("", [cause]), ValueError()])
    assert runner.cause_of(group) is cause
    assert runner.cause_of(cause) is cause


@pytest.mark.parametrize("peer", environments.PACKAGES)
def test_every_peer_has_a_lock_with_hashes_and_a_program(peer: str) -> None:
    lock = (ROOT / "requirements" / f"peer-{peer}.txt").read_text(encoding="utf-8")
    for package in environments.PACKAGES[peer]:
        assert f"\n{package}==" in lock
    assert "--hash=sha256:" in lock
    assert (FOLDER / "peers" / f"{peer}_app.py").exists()
