"""Where this installation's own services are, according to the settings."""

import pytest

from taskmill.composition.own_services import addresses_of


@pytest.mark.parametrize(
    ("url", "found"),
    [
        ("postgresql://u:p@db:6432/x", [("db", 6432)]),
        ("postgresql://db/x", [("db", 5432)]),
        ("postgresql://u:p%40@one,two:5433,[::1]:5434,[::2]/x", None),
        ("postgresql:///x?host=db&port=6432", [("db", 6432)]),
        ("postgresql:///x?host=one,two&port=1,2", [("one", 1), ("two", 2)]),
        ("postgresql:///x?host=one,two&port=7", [("one", 7), ("two", 7)]),
        ("postgresql:///x?host=/run/pg", []),
        ("postgresql:///x?host=/a:b/socket&user=me", []),
        ("postgresql://%2Frun%2Fpg/x", []),
        ("postgresql:///x", [("localhost", 5432)]),
        ("postgresql://u@:/x", [("localhost", 5432)]),
    ],
)
def test_each_server_of_an_address_is_found(url: str, found: list[tuple[str, int]] | None) -> None:
    several = [("one", 5432), ("two", 5433), ("::1", 5434), ("::2", 5432)]
    assert list(addresses_of(url, default_port=5432)) == (several if found is None else found)
