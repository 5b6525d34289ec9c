"""Which RabbitMQ is chosen, tested with fake installations."""

import os
from pathlib import Path

import pytest

from taskmill.embedded import rabbitmq_programs
from taskmill.embedded.rabbitmq_programs import find_installed

REAL = "#!/bin/sh\n. ${0%/*}/rabbitmq-env\n"
WRAPPER = "#!/bin/sh\nexec su rabbitmq -s /bin/sh -c /usr/lib/rabbitmq/bin/rabbitmq-server\n"


def program(path: Path, text: str = "#!/bin/sh\nexit 0\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


@pytest.fixture
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A system with nothing installed but what is put into this folder or, in it, on PATH."""
    inside = [
        tuple(f"{tmp_path.relative_to('/')}/{folder}" for folder in folders)
        for folders in (rabbitmq_programs._INSTALLED, rabbitmq_programs._ERLANG)
    ]
    monkeypatch.setattr(rabbitmq_programs, "_INSTALLED", inside[0])
    monkeypatch.setattr(rabbitmq_programs, "_ERLANG", inside[1])
    monkeypatch.setenv("PATH", f"{tmp_path}/usr/sbin{os.pathsep}{tmp_path}/usr/bin")
    return tmp_path


def test_nothing_installed_is_nothing_found(system: Path) -> None:
    assert find_installed() is None
    assert find_installed(system) is None


def test_debians_real_script_is_found_with_its_version(system: Path) -> None:
    tree = system / "usr" / "lib" / "rabbitmq"
    program(tree / "lib" / "rabbitmq_server-4.0.5" / "sbin" / "rabbitmq-server", REAL)
    (tree / "bin").symlink_to(tree / "lib" / "rabbitmq_server-4.0.5" / "sbin")
    erlang = program(system / "usr" / "lib" / "erlang" / "bin" / "erl").parent
    program(system / "usr" / "sbin" / "rabbitmq-server", WRAPPER)
    found = find_installed()
    assert found
    assert (found.server.parent, found.erlang, found.version) == (tree / "bin", erlang, "4.0.5")


def test_debians_wrapper_alone_is_passed_over(system: Path) -> None:
    program(system / "usr" / "sbin" / "rabbitmq-server", WRAPPER)
    program(system / "usr" / "bin" / "erl")
    assert find_installed() is None


def test_one_on_the_path_is_found_where_its_link_leads(system: Path) -> None:
    real = program(system / "cellar" / "rabbitmq" / "4.1.2" / "sbin" / "rabbitmq-server", REAL)
    program(system / "usr" / "bin" / "erl")
    (system / "usr" / "sbin").mkdir()
    (system / "usr" / "sbin" / "rabbitmq-server").symlink_to(real)
    found = find_installed()
    assert found
    assert (found.server, found.version) == (real, "4.1.2")


def test_an_erlang_that_does_not_run_is_passed_over(system: Path) -> None:
    program(system / "usr" / "lib" / "rabbitmq" / "bin" / "rabbitmq-server", REAL)
    program(system / "usr" / "bin" / "erl", "#!/bin/sh\nexit 1\n")
    assert find_installed() is None
    working = program(system / "usr" / "lib" / "erlang" / "bin" / "erl").parent
    found = find_installed()
    assert found
    assert found.erlang == working


def test_epmd_is_beside_erl_or_with_its_runtime(system: Path) -> None:
    program(system / "usr" / "lib" / "rabbitmq" / "bin" / "rabbitmq-server", REAL)
    erlang = program(system / "usr" / "lib" / "erlang" / "bin" / "erl").parent
    found = find_installed()
    assert found
    runtime = program(erlang.parent / "erts-15.2" / "bin" / "epmd")
    assert found.epmd == runtime
    assert found.epmd != program(erlang / "epmd")
    assert found.epmd == erlang / "epmd"
