"""Which extra an import lacked."""

import pytest

from taskmill.domain.extras import NotInstalled, needing


def lack(module: str) -> None:
    with needing("taskmill.testing", extra="worker"):
        raise ModuleNotFoundError(name=module)


def test_a_package_that_is_missing_is_named_with_its_extra() -> None:
    with pytest.raises(NotInstalled, match=r"taskmill.testing .*'taskmill\[worker\]'") as raised:
        lack("pydantic")
    assert (raised.value.extra, raised.value.missing) == ("worker", "pydantic")


@pytest.mark.parametrize("module", ["taskmill.testing.lines", "sqlite3"])
def test_a_module_that_no_extra_brings_is_a_fault(module: str) -> None:
    with pytest.raises(ModuleNotFoundError) as raised:
        lack(module)
    assert raised.value.name == module
