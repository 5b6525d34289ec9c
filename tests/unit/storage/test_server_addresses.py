"""An address with several hosts becomes one address for each; what else it has is that of all."""

from pathlib import Path

import pytest

from taskmill.domain.errors import ConfigurationError
from taskmill.storage.server_addresses import addresses_of, check_files, place_of


@pytest.mark.parametrize(
    ("url", "addresses"),
    [
        ("postgresql://u:p@db1/t", ["postgresql://u:p@db1/t"]),
        (
            "postgresql://u:p@db1,db2:5433/t",
            [
                "postgresql://u:p@db1/t?target_session_attrs=primary",
                "postgresql://u:p@db2:5433/t?target_session_attrs=primary",
            ],
        ),
        (
            "postgresql://u@[::1]:1,db2/t?sslrootcert=/a/b",
            [
                "postgresql://u@[::1]:1/t?sslrootcert=/a/b&target_session_attrs=primary",
                "postgresql://u@db2/t?sslrootcert=/a/b&target_session_attrs=primary",
            ],
        ),
        (
            "postgresql://u@db1,db2/t?target_session_attrs=read-write",
            [
                "postgresql://u@db1/t?target_session_attrs=read-write",
                "postgresql://u@db2/t?target_session_attrs=read-write",
            ],
        ),
        (
            "postgresql://u@/t?host=db1,/folder&port=1,2",
            [
                "postgresql://u@/t?host=db1&port=1&target_session_attrs=primary",
                "postgresql://u@/t?host=/folder&port=2&target_session_attrs=primary",
            ],
        ),
        (
            "postgresql://u@/t?host=db1,db2&port=5433",
            [
                "postgresql://u@/t?host=db1&port=5433&target_session_attrs=primary",
                "postgresql://u@/t?host=db2&port=5433&target_session_attrs=primary",
            ],
        ),
        (
            "postgresql://u@/t?host=db1,db2",
            [
                "postgresql://u@/t?host=db1&target_session_attrs=primary",
                "postgresql://u@/t?host=db2&target_session_attrs=primary",
            ],
        ),
        ("postgresql://u@/t?host=/folder", ["postgresql://u@/t?host=/folder"]),
    ],
)
def test_each_host_gets_its_address_and_of_several_only_the_primary_fits(
    url: str, addresses: list[str]
) -> None:
    assert addresses_of(url) == tuple(addresses)


def test_hosts_and_ports_that_do_not_belong_together_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="3 hosts and 2 ports"):
        addresses_of("postgresql://u@/t?host=a,b,c&port=1,2")


def test_a_place_has_no_login() -> None:
    assert place_of("postgresql://u:p@db2:5433/t") == "db2:5433"
    assert place_of("postgresql://u:p@/t?host=/folder") == "/folder"


def test_a_missing_certificate_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="sslrootcert="):
        check_files(f"postgresql://u@db/t?sslrootcert={tmp_path}/none")
