"""Warnings about addresses to which nothing will be delivered."""

import pytest

from taskmill.outbound.addresses import AddressRules
from taskmill.outbound.warnings import Warnings, warning_of
from taskmill.settings.values import PortRange


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://127.0.0.1:9000/hooks", "127.0.0.1"),
        ("http://[::1]:9000/", "::1"),
        ("http://10.1.2.3/", "10.1.2.3"),
        ("http://169.254.169.254/latest", "169.254.169.254"),
        ("http://LOCALHOST:9000/", "localhost"),
        ("http://shop.localhost/", "shop.localhost"),
    ],
)
def test_an_address_that_is_never_called_is_warned_of_with_the_setting_that_allows_it(
    url: str, host: str
) -> None:
    warning = warning_of(AddressRules(), url)
    assert warning is not None
    assert warning.startswith(f"{host} is not a public address")
    assert warning.endswith(f"TASKMILL_OUTBOUND__ALLOW={host}")
    assert warning_of(AddressRules([host]), url) is None, "as the warning says"


@pytest.mark.parametrize(
    "url",
    [
        "https://shop.example.org/done",
        "http://8.8.8.8/",
        "http://intranet/",
        "http://notlocalhost/",
    ],
)
def test_a_name_is_not_resolved_and_a_public_address_has_no_warning(url: str) -> None:
    assert warning_of(AddressRules(), url) is None


def test_what_is_allowed_has_no_warning() -> None:
    rules = AddressRules(["127.0.0.0/8"])
    assert warning_of(rules, "http://127.0.0.1:9000/") is None
    assert warning_of(rules, "http://localhost:9000/") is None


def test_the_warning_of_a_host_is_cached_for_its_other_addresses() -> None:
    warnings = Warnings(AddressRules())
    assert warnings(None) is None
    for path in ("", "/a", "/b?c=d/e"):
        assert warnings(f"http://127.0.0.1:9000{path}") is not None
        assert warnings(f"https://example.org{path}") is None
    for number in range(3000):
        assert warnings(f"http://127.0.0.1:{number % 60_000 + 1}/") is not None
    assert len(warnings._known) <= 1000


def test_a_scheme_or_port_that_is_never_called_is_warned_of() -> None:
    warnings = Warnings(AddressRules(["127.0.0.1"], https_only=True, ports=[PortRange(443, 443)]))
    assert warnings("https://127.0.0.1/") is None
    assert "HTTPS_ONLY" in str(warnings("http://127.0.0.1/"))
    assert "PORTS allows only 443" in str(warnings("https://127.0.0.1:444/"))
