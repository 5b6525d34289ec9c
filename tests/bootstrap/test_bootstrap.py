"""`./taskmill`: the environment it makes, when it makes it again, and when it does not."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from taskmill.version import VERSION
from tests.bootstrap.conftest import Checkout, plain_environment

STARTED = f"['one', 'two words'] ({sys.version_info[0]}, "


def started(small: Checkout) -> str:
    """Start the program, and return what the bootstrap printed."""
    done = small.taskmill("one", "two words")
    assert done.stdout.startswith(STARTED)
    return done.stderr


def test_a_clean_clone_starts_the_program(cloned: Checkout) -> None:
    first = cloned.taskmill("--version")
    assert "making .venv from requirements/run.txt" in first.stderr
    found = re.search(
        r"(\d+) packages, about (\d+) MB on the disk; every 10 s it prints that it goes on",
        first.stderr,
    )
    assert found, first.stderr
    packages = [
        path
        for path in (cloned.path / ".venv").glob("lib/python3*/site-packages/*.dist-info")
        # What Python puts into each environment where there is no uv.
        if not path.name.startswith(("pip-", "setuptools-"))
    ]
    assert int(found[1]) - 5 <= len(packages) <= int(found[1]), "some are for other systems"
    files = (cloned.path / ".venv").rglob("*")
    megabytes = sum(path.lstat().st_size for path in files) / 1e6
    assert 0.6 < megabytes / int(found[2]) < 1.6
    assert "taskmill" in first.stdout.lower()
    assert VERSION in first.stdout


def test_only_the_first_start_installs_and_prints(small: Checkout) -> None:
    assert "making .venv" in started(small)
    assert started(small) == ""


def test_it_starts_through_links_and_from_anywhere(small: Checkout, tmp_path: Path) -> None:
    started(small)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "first").symlink_to("../task mill/taskmill")
    (tmp_path / "second").symlink_to(tmp_path / "bin" / "first")
    done = small.call(tmp_path / "second", "one", "two words", env={"CDPATH": "/"})
    assert done.stdout.startswith(STARTED)
    assert done.stderr == ""


def test_the_folder_can_be_moved(small: Checkout, tmp_path: Path) -> None:
    started(small)
    moved = Checkout(path=small.path.rename(tmp_path / "moved"))
    assert started(moved) == ""
    moved.path.rename(small.path)


def test_an_installed_copy_is_reported_and_removed_so_that_the_source_runs(
    small: Checkout,
) -> None:
    started(small)
    (packages,) = (small.path / ".venv").glob("lib/python3*/site-packages")
    for name in ("taskmill", "taskmill-0.0.1.dist-info", "pillow"):
        (packages / name).mkdir()
    (packages / "taskmill" / "__init__.py").touch()
    (packages / "taskmill" / "__main__.py").write_text("print('the copy')\n")

    output = started(small)
    assert "taskmill is an installed copy of Taskmill, which hides the source" in output
    assert "own-handlers.md" in output
    assert "making" not in output
    left = {path.name for path in packages.iterdir()}
    assert "pillow" in left
    assert not left & {"taskmill", "taskmill-0.0.1.dist-info"}
    assert started(small) == ""


def test_an_environment_that_was_made_elsewhere_is_reported_before_it_is_replaced(
    small: Checkout,
) -> None:
    (small.path / ".venv" / "bin").mkdir(parents=True)
    output = started(small)
    assert "was changed; it is made again" in output
    assert "own-handlers.md" in output


def test_a_long_installation_says_that_it_goes_on(small: Checkout) -> None:
    script = """
import sys; sys.path.insert(0, sys.argv[1])
import make_environment as made
made.REPORT_EVERY_S = 0.2
assert made.run([sys.executable, "-c", "import time; time.sleep(1.1)"]) is None
assert "boom" in made.run([sys.executable, "-c", "raise SystemExit('boom')"])
"""
    done = small.call(sys.executable, "-c", script, small.path / "scripts")
    assert done.stderr.count("still at it, after") >= 2


def test_where_there_is_no_python_it_says_how_to_get_one_without_root(small: Checkout) -> None:
    script = '. "$0/environment.sh"; wanted_python=; is_new_enough() { return 1; }; find_python'
    done = small.call("sh", "-c", script, small.path / "scripts", check=False)
    assert done.returncode == 1
    assert "uv python install 3.13" in done.stderr
    assert "apt-get install python3" in done.stderr


@pytest.mark.slow
def test_a_changed_lock_makes_the_environment_again(small: Checkout) -> None:
    started(small)
    (small.path / "requirements" / "run.txt").write_text("# still nothing\n")
    assert "making .venv" in started(small)
    assert started(small) == ""


@pytest.mark.slow
def test_a_half_made_environment_is_made_again(small: Checkout) -> None:
    started(small)
    (small.path / ".venv" / ".complete").unlink()
    (small.path / ".venv" / "leftover").touch()
    assert "making .venv" in started(small)
    assert not (small.path / ".venv" / "leftover").exists()


@pytest.mark.slow
def test_an_environment_whose_python_is_gone_is_made_again(small: Checkout) -> None:
    started(small)
    (small.path / ".venv" / "bin" / "python").unlink()
    (small.path / ".venv" / "bin" / "python").symlink_to("/nonexistent/python")
    assert "making .venv" in started(small)


def test_starts_at_the_same_time_make_it_once(small: Checkout) -> None:
    starts = [
        subprocess.Popen(  # noqa: S603 - our own script
            [small.path / "taskmill", "one", "two words"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=plain_environment(),
        )
        for _ in range(4)
    ]
    outputs = [start.communicate() for start in starts]
    assert all(out.startswith(STARTED) for out, _ in outputs), outputs
    assert "".join(err for _, err in outputs).count("making .venv") == 1


def test_a_lock_that_cannot_be_installed_is_an_error_that_names_the_command(
    small: Checkout,
) -> None:
    (small.path / "requirements" / "run.txt").write_text("nothing==1.0\n")  # it has no hash
    done = small.call(small.path / "taskmill", check=False)
    assert done.returncode != 0
    assert "install --require-hashes" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (small.path / ".venv" / ".complete").exists()


def test_a_wanted_python_is_used_and_not_handed_on(small: Checkout) -> None:
    program = small.path / "src" / "taskmill" / "__main__.py"
    program.write_text("import os, sys\nprint(sys.executable, os.environ.get('TASKMILL_PYTHON'))\n")
    done = small.taskmill(TASKMILL_PYTHON=sys.executable)
    assert done.stdout == f"{small.path}/.venv/bin/python None\n"
    made_by = (small.path / ".venv" / ".complete").read_text().splitlines()[1]
    assert made_by == str(Path(sys.executable).resolve())


@pytest.mark.parametrize("wanted", ["true", "/nonexistent/python"])
def test_a_wanted_python_that_does_not_exist_is_refused(small: Checkout, wanted: str) -> None:
    done = small.call(small.path / "taskmill", check=False, env={"TASKMILL_PYTHON": wanted})
    assert done.returncode != 0
    assert f"'{wanted}', which is not a Python 3.11 or newer" in done.stderr


def test_a_test_run_fails_when_its_tools_are_missing(small: Checkout) -> None:
    done = small.call(small.path / "scripts" / "test", "--lint", check=False)
    assert done.returncode == 1
    steps = (
        "ruff check",
        "ruff format --check",
        "mypy",
        "mypy: typed samples",
        "pyright: typed samples",
        "lint-imports",
        "lint of migrations",
        "deptry",
        "mkdocs build --strict",
    )
    for step in steps:
        assert f"s  {step}\n" in done.stdout
    assert done.stdout.count("FAILED") == len(steps)
    assert f"{len(steps)} of the steps failed" in done.stdout


def test_a_test_run_stops_at_once_when_programs_are_missing(
    small: Checkout, tmp_path: Path
) -> None:
    (tmp_path / "bin").mkdir()
    for name in ("dirname", "date", "id"):
        (tmp_path / "bin" / name).symlink_to(str(shutil.which(name)))
    done = small.call(
        small.path / "scripts" / "test", check=False, env={"PATH": str(tmp_path / "bin")}
    )
    assert done.returncode == 1
    assert "The tests need these programs, which are not here: chromium curl jq" in done.stderr
    assert "==> pytest" not in done.stdout
    assert "not run: everything else" in done.stdout
    assert not (small.path / ".venv-test").exists()


@pytest.mark.parametrize("script", ["taskmill", "scripts/environment.sh", "scripts/test"])
def test_scripts_parse_as_posix_sh(cloned: Checkout, script: str) -> None:
    cloned.call("sh", "-n", cloned.path / script)
